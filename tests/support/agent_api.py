"""The shipped conversations of one simulated agent: what ApiThreads does, without threads.

A simulation decides how long each request, delivery and pause takes. Standard library only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from elasticjob.agent.api.calls import Call, RequestAction, perform
from elasticjob.agent.api.conversation import (
    BUSY,
    Context,
    Conversation,
    Need,
    NextLine,
    NoAnswer,
    Open,
    Pause,
    Problem,
    ReadClock,
    Recovery,
    SetupError,
    Time,
    resume,
)
from elasticjob.agent.api.messages import Address, Request, Response
from elasticjob.agent.api.watch import Succession, Watch, scope_of
from elasticjob.rendezvous.events import Event
from elasticjob.rendezvous.state import Identity
from elasticjob.wire.lease import JobIdentity, RoundLease

CUT = NoAnswer("the connection was closed")
ADDRESS = Address("10.96.0.1", 443)
_WAITS = (Request, Open, NextLine, Pause)


@dataclass(eq=False)
class Talk:
    """One conversation that is not over. number: of a watch; 0: of a call."""

    conversation: Conversation[None]
    number: int = 0
    need: Need | None = None  # for which it waits
    answered: bool = False  # the API server has answered a call since this watch had a stream
    closed: bool = False
    stream: Any = None  # the open response, of the simulation


class AgentApi:
    """The calls and watches of one agent.

    post: receives each event that counts, with its conversation. time: returns the time. wait:
    receives a conversation that waits for a Request, Open, NextLine or Pause; the simulation calls
    `answer`, soon or later. fail: receives the reason of a SetupError. close: receives a watch that
    has been replaced.
    """

    def __init__(
        self, job: JobIdentity, identity: Identity, *, post: Callable[[Talk, Event], None],
        time: Callable[[], Time], wait: Callable[[Talk, Any], None],
        fail: Callable[[str], None], close: Callable[[Talk], None],
    ) -> None:  # fmt: skip
        self.context = Context(job, identity, ADDRESS)
        self.watches: list[Talk] = []
        self._succession = Succession()
        self._post = post
        self._time = time
        self._wait = wait
        self._fail = fail
        self._close = close

    def call(self, action: RequestAction, round_lease: RoundLease) -> None:
        """Perform one action."""
        self.answer(Talk(perform(Call(self.context, round_lease), action)))

    def reopen(self, wide: bool) -> None:
        """Open a new watch; the current one continues until the new one has an event."""
        is_first = self._succession.is_first
        watch = Watch(self.context, scope_of(self.context.job, wide), is_first)
        talk = Talk(watch.conversation(), self._succession.open())
        self._close_replaced()
        self.watches.append(talk)
        self.answer(talk)

    def answer(self, talk: Talk, answer: Any = None) -> None:
        """Begin a conversation, or continue it with the answer to what it waits for."""
        if talk.closed:
            return
        need, talk.need = talk.need, None
        if isinstance(need, Request) and not talk.number and is_contact(answer):
            self._note_answer()
        if isinstance(need, NextLine) and not isinstance(answer, bytes):
            talk.answered = False
        try:
            self._run(talk, answer)
        except SetupError as error:
            self._fail(str(error))

    def _run(self, talk: Talk, answer: Any) -> None:
        need = resume(talk.conversation, answer)
        while need is not None and not talk.closed:
            if isinstance(need, Pause) and need.until_answer and talk.answered:
                answer = True
            elif isinstance(need, _WAITS):
                talk.need = need
                talk.answered = talk.answered and not isinstance(need, Open)
                self._wait(talk, need)
                return
            else:
                answer = self._do(talk, need)
            need = resume(talk.conversation, answer)

    def _do(self, talk: Talk, need: Any) -> Time | None:
        if isinstance(need, ReadClock):
            return self._time()
        if not isinstance(need, (Problem, Recovery)) and self._counts(talk):
            self._post(talk, need)
        return None

    def _counts(self, talk: Talk) -> bool:
        if not talk.number:
            return True
        accepted = self._succession.accept(talk.number)
        self._close_replaced()
        return accepted

    def _close_replaced(self) -> None:
        for talk in [t for t in self.watches if self._succession.is_replaced(t.number)]:
            talk.closed = True
            self.watches.remove(talk)
            self._close(talk)

    def _note_answer(self) -> None:
        """End the pauses of watches that wait for the API server."""
        for talk in tuple(self.watches):
            talk.answered = True
            if isinstance(talk.need, Pause) and talk.need.until_answer:
                self.answer(talk, True)


def is_contact(answer: Any) -> bool:
    """Whether the answer to a call shows that the API server works."""
    return isinstance(answer, Response) and answer.status not in BUSY
