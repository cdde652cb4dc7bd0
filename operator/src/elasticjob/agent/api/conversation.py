"""The form of a conversation with the API server: a generator without I/O, clock or randomness.

It yields what it needs, one thing at a time, and is resumed with the answer (`resume`). A driver
answers: `drivers.py` on the agent's threads; tests with a simulated server and a simulated time.

    what it yields       what the driver does                          the answer
    Request              sends it once, reads the whole response       Response, or NoAnswer
    Open                 sends it, keeps a response of status 200      Response, or NoAnswer
                         open, and reads every other one as a whole
    NEXT_LINE            waits for the next line of that response      bytes; None: the server ended
                                                                       it; NoAnswer: it was cut
    Pause                waits                                         whether an answer ended it
    READ_CLOCK                                                         Time
    an event             passes it to the agent                        None
    Problem, Recovery    writes a line of the log                      None
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, TypeVar, Union

from elasticjob.agent.api.messages import Address, Request, Response
from elasticjob.rendezvous.events import Event
from elasticjob.rendezvous.state import Identity
from elasticjob.wire.dataclasses import dataclass
from elasticjob.wire.lease import JobIdentity

BUSY = (429, 500, 502, 503, 504)
DENIED = (401, 403)


class SetupError(Exception):
    """The agent cannot continue: it ends with code 75 and this text, which names the cure."""


@dataclass(frozen=True)
class Open:
    """A request for a response that the driver keeps open: a watch."""

    request: Request


@dataclass(frozen=True)
class NextLine:
    """The next line of the open response."""


@dataclass(frozen=True)
class Pause:
    """A wait of a random time between two limits, so that agents do not act at the same instant."""

    shortest_s: float
    longest_s: float
    # Whether it ends early: when the API server answers another request of this agent, or at once
    # if it did so since the last Open was sent, or since the open response ended. A busy server's
    # answer does not count.
    until_answer: bool = False

    def seconds(self, jitter: float) -> float:
        """The time to wait. jitter: a new random number in [0, 1)."""
        return self.shortest_s + (self.longest_s - self.shortest_s) * jitter


@dataclass(frozen=True)
class ReadClock:
    """The current time."""


@dataclass(frozen=True)
class Problem:
    """A line of the log, unless it repeats the last one on its topic."""

    topic: str
    text: str


@dataclass(frozen=True)
class Recovery:
    """A line of the log if there was a problem on its topic."""

    topic: str
    text: str


NEXT_LINE, READ_CLOCK = NextLine(), ReadClock()

Need = Union[Request, Open, NextLine, Pause, ReadClock, Problem, Recovery, Event]


@dataclass(frozen=True)
class NoAnswer:
    """The API server sent no response, or cut it."""

    reason: str


@dataclass(frozen=True)
class Time:
    """The answer to READ_CLOCK."""

    at: float  # seconds of the monotonic clock
    text: str  # the wall-clock time in the format of renewTime


Answer = Union[Response, NoAnswer]
Line = Union[bytes, None, NoAnswer]

_T = TypeVar("_T")
Conversation = Generator[Need, Any, _T]


def resume(conversation: Conversation[None], answer: Any = None) -> Need | None:
    """Pass an answer, or begin; return what the conversation needs next. None: it has ended.

    Raises SetupError.
    """
    try:
        return conversation.send(answer)
    except StopIteration:
        return None


@dataclass(frozen=True)
class Context:
    """What all conversations of an agent have in common."""

    job: JobIdentity
    identity: Identity
    address: Address


def ignored(name: str, why: object) -> Problem:
    """Return the line of the log for a Lease that is ignored."""
    return Problem(f"lease {name}", f"Lease {name} is ignored: {why}")
