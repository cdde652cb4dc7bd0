"""A simulated API server with Leases, and agents that talk to it, for scenarios of the protocol.

The scenario decides when a request is performed, when a watch event is delivered and when time
passes, so it can write down any race step by step. The agents run the shipped conversations.
Standard library only, Python 3.9.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from typing import Any, Callable, Union

from tests.support.agent_api import CUT, AgentApi, Talk
from tests.support.lease_server import ApiError, LeaseServer, Piece
from tests.support.protocol import JOB, identity, is_round_lease, letter, name, pod

from elasticjob.agent.api.conversation import NextLine, NoAnswer, Open, Pause, Time
from elasticjob.rendezvous import agent_step, events, new_agent
from elasticjob.rendezvous.actions import (
    Action,
    CasRound,
    CreateLease,
    Exit,
    GetLease,
    Pulse,
    ReadRound,
    ReopenStream,
    Start,
    Stop,
    WriteState,
)
from elasticjob.rendezvous.state import Me
from elasticjob.wire import lease as leases
from elasticjob.wire import names
from elasticjob.wire.codec import Json, WireError
from elasticjob.wire.desired import Desired
from elasticjob.wire.member import Pod
from elasticjob.wire.round import Round

ROUND = names.round_lease_name(JOB.name)
OTHER_JOB = "other"  # another job of the namespace
NEVER_ENDS = 200  # turns of all agents
LOST = NoAnswer("the answer was lost")


class RestlessError(AssertionError):
    """The agents never come to rest."""


class Server(LeaseServer):
    """The API server of a meeting. forged: Leases of another job, by the pod that they name."""

    def __init__(self, desired: Desired) -> None:
        super().__init__(JOB)
        self.forged: dict[Pod, leases.AgentLease] = {}
        self.forgery_listeners: list[Callable[[events.Event], None]] = []
        self.admit = refuse_unreadable
        self.create(leases.round_manifest(JOB, desired, Round()))

    def forge(self, lease: leases.AgentLease) -> None:
        """A Lease of another job gets the labels of a pod of this job.

        The watch ignores it by its name. A scenario shows that the rules do so, too: they receive
        it all the same.
        """
        self.version += 1
        name_ = names.pod_name(OTHER_JOB, lease.pod.index, lease.pod.generation)
        self.forged[lease.pod] = replace(lease, name=name_, version=str(self.version))
        self._report(events.LeaseSeen(self.forged[lease.pod]))

    def delete_forged(self, pod_: Pod) -> None:
        """It is deleted, or loses the labels."""
        self.version += 1
        self._report(events.LeaseGone(self.forged.pop(pod_).name))

    def _report(self, event: events.Event) -> None:
        for listener in self.forgery_listeners:
            listener(event)


def refuse_unreadable(made: Json) -> None:
    """Refuse a round that no agent can read, which an agent without a clause may write: two pods of
    one index. Otherwise the scenario would end there, with all agents."""
    try:
        if is_round_lease(made):
            leases.parse_round(made)
    except WireError as error:
        raise ApiError(422, str(error)) from None


Delivery = Union[tuple[Talk, Piece], events.Event]


@dataclass
class Player:
    """One agent: its state, its requests on the wire, what its streams have for it, its workers.

    held: `requests`, `answers`, `watch`, `workers` or `ticks` wait until they are moved by hand;
    `starts` of workers are never done. fails: requests get no answer. dark: its stream is dead.
    """

    me: Me
    api: AgentApi = field(init=False)
    alive: bool = True
    again_at: float | None = None  # when its next Tick is due
    held: set[str] = field(default_factory=set)
    fails: bool = False
    dark: bool = False
    wide: bool = False  # its newest watch has all Leases
    requests: deque[Talk] = field(default_factory=deque)
    kinds: dict[Talk, str] = field(default_factory=dict)  # of conversations
    kind: str = ""  # of the action that is being accepted
    answers: deque[tuple[str, events.Event]] = field(default_factory=deque)  # held, with the kind
    stream: deque[Delivery] = field(default_factory=deque)
    inbox: deque[events.Event] = field(default_factory=deque)  # of a line that has arrived
    pauses: list[tuple[float, Talk, Pause]] = field(default_factory=list)
    work: deque[Action] = field(default_factory=deque)

    @property
    def letter(self) -> str:
        """How a scenario calls it."""
        return letter(self.me.who.pod)


Step = tuple[Player, events.Event, tuple[Action, ...]]


class Meeting:
    """The server, the agents, the time. on_step: is called with every step."""

    def __init__(self, desired: Desired) -> None:
        self.now = 0.0
        self.server = Server(desired)
        self.server.forgery_listeners.append(self._forged)
        self.players: dict[str, Player] = {}
        self.on_step: Callable[[Step], None] = lambda step: None

    # ---- agents ----------------------------------------------------------------------------------

    def start(self, letter_: str, nonce: str = "", node: str = "") -> None:
        """A pod's agent begins; another one of the same pod with another nonce."""
        who = identity(letter_, nonce=nonce or f"nonce-{letter_}")
        who = replace(who, node=node or who.node)
        player = Player(new_agent(who, self.now))
        player.api = AgentApi(
            JOB,
            who,
            post=lambda talk, event: self._receive(player, talk, event),
            time=self.time,
            wait=lambda talk, need: self._wait(player, talk, need),
            fail=lambda reason: self._end(player),
            close=self._close,
        )
        self.players[letter_] = player
        self.feed(letter_, events.Tick())

    def feed(self, letter_: str, event: events.Event) -> None:
        """One event to one agent."""
        self._feed(self.players[letter_], event)

    def _feed(self, player: Player, event: events.Event) -> None:
        if not player.alive:
            return
        player.me, actions, player.again_at = agent_step(player.me, event, self.now)
        self.on_step((player, event, actions))
        for action in actions:
            self._accept(player, action)

    def _accept(self, player: Player, action: Action) -> None:
        if isinstance(action, Exit):
            self._end(player)
            return
        if isinstance(action, (Start, Stop)):
            player.work.append(action)
            return
        player.kind = kind_of(action)
        if isinstance(action, (ReadRound, ReopenStream)):
            player.wide = isinstance(action, ReopenStream) and action.wide
            player.api.reopen(player.wide)
        else:
            assert player.me.lease is not None
            player.api.call(action, player.me.lease)

    def end(self, letter_: str) -> None:
        """The agent is no more. What is held on the wire stays there."""
        self._end(self.players[letter_])

    def _end(self, player: Player) -> None:
        player.alive = False
        player.stream.clear()
        player.inbox.clear()
        player.answers.clear()
        player.work.clear()
        player.pauses.clear()
        for talk in player.api.watches:
            self._close(talk)
        if "requests" not in player.held:
            player.requests.clear()

    # ---- everything that can happen without time -------------------------------------------------

    def go(self) -> None:
        """Performs and delivers, each agent in turn, until there is nothing that is not held."""
        for _ in range(NEVER_ENDS):
            if not any([self._turn(letter_) for letter_ in sorted(self.players, key=pod)]):
                return
        raise RestlessError

    def _turn(self, letter_: str) -> bool:
        player = self.players[letter_]
        ways = {"workers": self.work, "requests": self.perform, "watch": self.deliver}
        return any([way(letter_) for kind, way in ways.items() if kind not in player.held])

    def work(self, letter_: str) -> bool:
        """The agent's next start or stop of workers is done."""
        player = self.players[letter_]
        if not player.work:
            return False
        action = player.work.popleft()
        if isinstance(action, Start) and "starts" not in player.held:
            start_ms = round((self.now - player.me.round_at) * 1000)
            self.feed(letter_, events.WorkersStarted(action.round.n, start_ms))
        elif isinstance(action, Stop):
            self.feed(letter_, events.WorkersReaped(action.n))
        return True

    def deliver(self, letter_: str) -> bool:
        """What the agent's stream has next."""
        player = self.players[letter_]
        if not player.stream and not player.inbox:
            return False
        while player.stream and not player.inbox:
            self._read(player, player.stream.popleft())
        if player.inbox:
            self._feed(player, player.inbox.popleft())
        return True

    def _read(self, player: Player, delivery: Delivery) -> None:
        if not isinstance(delivery, tuple):
            player.inbox.append(delivery)
            return
        talk, piece = delivery
        for line in piece:
            player.api.answer(talk, line)

    def perform(self, letter_: str, answered: bool = True, kind: str = "") -> bool:
        """The agent's next request (of this kind) arrives, and its answer, unless that is lost."""
        player = self.players[letter_]
        talk = next((t for t in player.requests if kind in ("", player.kinds[t])), None)
        if talk is None:
            return False
        player.requests.remove(talk)
        answer = CUT if player.fails else self._perform(player, talk)
        if player.alive:
            player.api.answer(talk, answer if answered else LOST)
        if player.me.lease is None and player.stream:
            self.deliver(letter_)  # the read with which an agent joins is one request
        return True

    def perform_all(
        self, letter_: str, kind: str, arrives: bool = True, answered: bool = True
    ) -> bool:
        """Perform the whole conversation of this kind at this moment: what follows a conflict, too.

        Without an answer the conversation is given up, with all of its tries.
        """
        player = self.players[letter_]
        talk = next((t for t in player.requests if kind == player.kinds[t]), None)
        if talk is None:
            return False
        if talk.number or (arrives and answered):
            if talk.number:  # what the watch before it still has comes too late
                player.stream.clear()
                player.inbox.clear()
            while talk in player.requests:
                self.perform(letter_, kind=kind)
            return True
        if arrives:
            self._perform(player, talk)
        while talk in player.requests or any(t is talk for _, t, _ in player.pauses):
            player.pauses = [each for each in player.pauses if each[1] is not talk]
            if talk in player.requests:
                player.requests.remove(talk)
            if kind == "create":
                player.requests.append(talk)  # tried until there is an answer
                return True
            player.api.answer(talk, False if isinstance(talk.need, Pause) else LOST)
        return True

    def answer(self, letter_: str, kind: str) -> bool:
        """The next held answer to a request of this kind arrives."""
        player = self.players[letter_]
        found = next((answer for answer in player.answers if answer[0] == kind), None)
        if found is None:
            return False
        player.answers.remove(found)
        self.feed(letter_, found[1])
        return True

    def tick(self, until: float) -> bool:
        """Moves the time to the next moment at which an agent wants to wake, at most to `until`."""
        wakes = [(w, x) for x, p in self.players.items() for w in [self._wake(p)] if w is not None]
        due = min((w for w, _ in wakes), default=until)
        if due > until or self.now >= until:
            self.now = until
            return False
        self.now = due
        for letter_ in sorted((x for w, x in wakes if w == due), key=pod):
            self._wake_up(self.players[letter_])
        return True

    def _wake(self, player: Player) -> float | None:
        ends = [at for at, talk, pause in player.pauses if talk.need is pause]
        if player.alive and player.again_at is not None and "ticks" not in player.held:
            ends.append(player.again_at)
        return min(ends, default=None)

    def _wake_up(self, player: Player) -> None:
        """End the pauses that are over; then a Tick, if one is due."""
        over = [(talk, pause) for at, talk, pause in player.pauses if at <= self.now]
        player.pauses = [each for each in player.pauses if each[0] > self.now]
        for talk, pause in over:
            if talk.need is pause:
                player.api.answer(talk, False)
        is_due = player.again_at is not None and player.again_at <= self.now
        if is_due and "ticks" not in player.held:
            self._feed(player, events.Tick())

    # ---- the API ---------------------------------------------------------------------------------

    def _wait(self, player: Player, talk: Talk, need: Any) -> None:
        """What a conversation waits for becomes a request, a delivery or a moment."""
        player.kinds.setdefault(talk, player.kind)
        if isinstance(need, Pause):
            player.pauses.append((self.now + need.shortest_s, talk, need))
        elif not isinstance(need, NextLine):
            player.requests.append(talk)

    def _perform(self, player: Player, talk: Talk) -> Any:
        need = talk.need
        if not isinstance(need, Open):
            assert need is not None
            return self.server.answer(need)  # type: ignore[arg-type]
        player.dark = False
        response, talk.stream = self.server.open(
            need, lambda piece: self._send(player, talk, piece)
        )
        return response

    def _send(self, player: Player, talk: Talk, piece: Piece) -> None:
        if player.alive and not player.dark:
            player.stream.append((talk, piece))

    def _close(self, talk: Talk) -> None:
        self.server.close(talk.stream)

    def _receive(self, player: Player, talk: Talk, event: events.Event) -> None:
        """The events of one line of a watch are separate deliveries."""
        if isinstance(event, events.ViewComplete):
            event = events.ViewComplete((*event.leases, *self.server.forged.values()))
        if talk.number:
            player.inbox.append(event)
        elif "answers" in player.held:
            player.answers.append((player.kinds.get(talk, player.kind), event))
        else:
            self._feed(player, event)

    def _forged(self, event: events.Event) -> None:
        for player in self.players.values():
            if player.alive and player.wide and not player.dark:
                player.stream.append(event)

    def time(self) -> Time:
        """The time, as text that no other write has."""
        return Time(self.now, f"{self.now:g} s, version {self.server.version}")


def kind_of(action: Action) -> str:
    """How a scenario calls a request: `renew`, `get B`."""
    if isinstance(action, GetLease):
        return f"get {letter(Pod(*names.parse_pod_name(action.name)))}"
    return _KIND_NAMES[type(action)]


_KIND_NAMES: dict[type, str] = {
    ReadRound: "read",
    ReopenStream: "open",
    CreateLease: "create",
    WriteState: "renew",
    CasRound: "round",
    Pulse: "pulse",
}


# ---- the operator --------------------------------------------------------------------------------


def mark(meeting: Meeting, letter_: str, excused: bool = False, alone: bool = False) -> None:
    """Rule 9: its Lease is marked `ended`; then its role becomes vacant if it was the holder.

    excused: the pod was deleted or taken away. alone: the role stays as it is.
    """
    ended = leases.EndedMark("gone", excused)
    found = meeting.server.lease(name(letter_))
    present = meeting.server.round()
    if found is None:
        made = leases.ended_manifest(JOB, present.uid, pod(letter_), ended, present.round.n)
        meeting.server.create(made)
    else:
        meeting.server.patch(found.name, leases.ended_patch(JOB, present.uid, ended, found.version))
    if present.holder == name(letter_) and not alone:
        clear(meeting)


def clear(meeting: Meeting) -> None:
    """The operator makes the holder role vacant."""
    meeting.server.patch(ROUND, leases.holder_patch("", "", meeting.server.round().version))


def want(meeting: Meeting, desired: Desired, clears: bool = False) -> None:
    """The operator changes `desired`. clears: the same write makes the holder role vacant."""
    version = meeting.server.round().version
    patch = leases.desired_patch(desired, version)
    if clears:
        patch = {**leases.holder_patch("", "", version), **patch}
    meeting.server.patch(ROUND, patch)
