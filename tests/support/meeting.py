"""A simulated API server with Leases, and agents that exchange them, for scenarios of the protocol.

The scenario decides when a request is performed, when a watch event is delivered and when time
passes, so it can write down any race step by step. Standard library only, Python 3.9.
"""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Callable, Union

from tests.support.merge_patch import merge
from tests.support.protocol import JOB, identity, is_round_lease, letter, name, pod

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
from elasticjob.wire.agent_state import AgentState
from elasticjob.wire.codec import Json, WireError
from elasticjob.wire.desired import Desired
from elasticjob.wire.member import Pod
from elasticjob.wire.round import Round

ROUND = names.round_lease_name(JOB.name)
OTHER_JOB = "other"  # another job of the namespace
NEVER_ENDS = 200  # turns of all agents

Change = Union[events.RoundSeen, events.LeaseSeen, events.LeaseGone]


class RestlessError(AssertionError):
    """The agents never come to rest."""


class ConflictError(Exception):
    """The object has another version, or there is one of this name."""


class GoneError(Exception):
    """There is no object of this name."""


class Server:
    """Leases with versions and compare-and-swap, and all changes in order."""

    def __init__(self, desired: Desired) -> None:
        self.version = 0
        self.objects: dict[str, Json] = {}
        self.forged: dict[Pod, leases.AgentLease] = {}
        self.listeners: list[Callable[[Change], None]] = []
        self.create(leases.round_manifest(JOB, desired, Round()))

    def create(self, manifest: Json) -> Json:
        """A new Lease; raises ConflictError."""
        name_ = manifest["metadata"]["name"]
        if name_ in self.objects:
            raise ConflictError(name_)
        made = copy.deepcopy(manifest)
        made["metadata"]["uid"] = f"uid-of-{name_}-{self.version}"
        return self._store(made)

    def patch(self, name_: str, change: Json) -> Json:
        """A merge patch, as compare-and-swap; raises ConflictError and GoneError."""
        if name_ not in self.objects:
            raise GoneError(name_)
        present = self.objects[name_]
        if change["metadata"]["resourceVersion"] != present["metadata"]["resourceVersion"]:
            raise ConflictError(name_)
        return self._store(merge(present, change))

    def delete(self, name_: str) -> None:
        """Nothing happens if it is not there."""
        if self.objects.pop(name_, None) is not None:
            self.version += 1
            self._notify(events.LeaseGone(name_))

    def forge(self, lease: leases.AgentLease) -> None:
        """A Lease of another job gets the labels of a pod of this job, so its agents receive it."""
        self.version += 1
        name_ = names.pod_name(OTHER_JOB, lease.pod.index, lease.pod.generation)
        self.forged[lease.pod] = replace(lease, name=name_, version=str(self.version))
        self._notify(events.LeaseSeen(self.forged[lease.pod]))

    def delete_forged(self, pod_: Pod) -> None:
        """It is deleted, or loses the labels."""
        self.version += 1
        self._notify(events.LeaseGone(self.forged.pop(pod_).name))

    def round(self) -> leases.RoundLease:
        """The Round Lease as it is."""
        return leases.parse_round(self.objects[ROUND])

    def lease(self, name_: str) -> leases.AgentLease | None:
        """An agent's Lease as it is."""
        found = self.objects.get(name_)
        return leases.parse_agent(found, JOB) if found else None

    def leases(self) -> tuple[leases.AgentLease, ...]:
        """All agents' Leases."""
        found = (self.lease(name_) for name_ in sorted(self.objects) if name_ != ROUND)
        return tuple(lease for lease in found if lease)

    def _store(self, made: Json) -> Json:
        made["metadata"]["resourceVersion"] = str(self.version + 1)
        if is_round_lease(made):
            change: Change = events.RoundSeen(leases.parse_round(made), events.Source.WATCH)
        else:
            change = events.LeaseSeen(leases.parse_agent(made, JOB))
        self.version += 1
        self.objects[made["metadata"]["name"]] = made
        self._notify(change)
        return made

    def _notify(self, change: Change) -> None:
        for listener in self.listeners:
            listener(change)


@dataclass
class Player:
    """One agent: its state, its requests on the wire, what its stream has for it, its workers.

    held: `requests`, `watch` or `workers` wait until they are moved by hand; `starts` of workers
    are never done. fails: requests get no answer. dark: its stream is dead. wide: it has all
    Leases.
    """

    me: Me
    alive: bool = True
    again_at: float | None = None  # when its next Tick is due
    held: set[str] = field(default_factory=set)
    fails: bool = False
    dark: bool = False
    wide: bool = False
    requests: deque[Action] = field(default_factory=deque)
    stream: deque[events.Event] = field(default_factory=deque)
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
        self.server.listeners.append(self._changed)
        self.players: dict[str, Player] = {}
        self.on_step: Callable[[Step], None] = lambda step: None

    # ---- agents ----------------------------------------------------------------------------------

    def start(self, letter_: str, nonce: str = "", node: str = "") -> None:
        """A pod's agent begins; another one of the same pod with another nonce."""
        who = identity(letter_, nonce=nonce or f"nonce-{letter_}")
        who = replace(who, node=node or who.node)
        self.players[letter_] = Player(new_agent(who, self.now))
        self.feed(letter_, events.Tick())

    def feed(self, letter_: str, event: events.Event) -> None:
        """One event to one agent."""
        player = self.players[letter_]
        if not player.alive:
            return
        player.me, actions, player.again_at = agent_step(player.me, event, self.now)
        self.on_step((player, event, actions))
        for action in actions:
            self._accept(player, action)

    def _accept(self, player: Player, action: Action) -> None:
        if isinstance(action, Exit):
            self.end(player.letter)
        elif isinstance(action, (Start, Stop)):
            player.work.append(action)
        else:
            player.requests.append(action)

    def end(self, letter_: str) -> None:
        """The agent is no more. What is held on the wire stays there."""
        player = self.players[letter_]
        player.alive = False
        player.stream.clear()
        player.work.clear()
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
        if not player.stream:
            return False
        self.feed(letter_, player.stream.popleft())
        return True

    def perform(self, letter_: str, answered: bool = True) -> bool:
        """The agent's next request arrives, and its answer, unless that is lost."""
        player = self.players[letter_]
        if not player.requests:
            return False
        action = player.requests[0]
        if player.fails and isinstance(action, _PATIENT):
            return False
        player.requests.popleft()
        answers = (_failed(action),) if player.fails else self._do(player, action)
        if not answered:
            answers = (_failed(action),)
            if isinstance(action, CreateLease):
                player.requests.appendleft(action)  # tried until it is there
        for event in answers:
            if event is not None:
                self.feed(letter_, event)
        return True

    def tick(self, until: float) -> bool:
        """Moves the time to the next moment at which an agent wants to wake, at most to `until`."""
        alive = [(p.again_at, x) for x, p in self.players.items() if p.alive]
        wakes = [(at, x) for at, x in alive if at is not None]
        due = min((w for w, _ in wakes), default=until)
        if due > until or self.now >= until:
            self.now = until
            return False
        self.now = due
        for letter_ in sorted((x for w, x in wakes if w == due), key=pod):
            self.feed(letter_, events.Tick())
        return True

    # ---- the API ---------------------------------------------------------------------------------

    def _do(self, player: Player, action: Action) -> tuple[events.Event | None, ...]:
        try:
            return tuple(_DO[type(action)](self, player, action))
        except ConflictError:
            return tuple(self._conflict(player, action))
        except WireError:  # two pods of one index: a round that no agent can read
            return (_failed(action),)
        except GoneError:
            return (events.LeaseGone(player.me.who.name), events.RenewalReturned(None))

    def _conflict(self, player: Player, action: Action) -> Iterator[events.Event | None]:
        own = self.server.lease(player.me.who.name)
        if isinstance(action, CreateLease) and own:
            yield events.LeaseSeen(own, by_get=True)
        elif isinstance(action, WriteState):
            yield events.LeaseSeen(own, by_get=True) if own else None
            yield events.RenewalReturned(None)
        elif isinstance(action, CasRound):
            yield events.CasFailed(conflict=True)
        elif isinstance(action, Pulse):
            yield events.PulseFailed(conflict=True)

    def now_text(self) -> str:
        """A time that no other write has."""
        return f"{self.now:g} s, version {self.server.version}"

    def _changed(self, change: Change) -> None:
        is_round = isinstance(change, events.RoundSeen)
        for player in self.players.values():
            receives = player.alive and not player.dark and player.me.lease is not None
            if receives and (is_round or player.wide):
                player.stream.append(change)


_PATIENT = (ReadRound, ReopenStream, CreateLease)  # tried again until there is an answer


def _failed(action: Action) -> events.Event | None:
    """The event of a request that gets no answer."""
    if isinstance(action, WriteState):
        return events.RenewalReturned(None)
    if isinstance(action, CasRound):
        return events.CasFailed(conflict=False)
    if isinstance(action, Pulse):
        return events.PulseFailed(conflict=False)
    return events.GetFailed(action.name) if isinstance(action, GetLease) else None


def _open(meeting: Meeting, player: Player, action: Action) -> Iterator[events.Event | None]:
    """A new stream: first everything that there is, then what changes."""
    player.wide = isinstance(action, ReopenStream) and action.wide
    player.dark = False
    player.stream.clear()
    player.stream.append(events.RoundSeen(meeting.server.round(), events.Source.READ))
    if player.wide:
        found = (*meeting.server.leases(), *meeting.server.forged.values())
        player.stream.append(events.ViewComplete(found))
    if player.me.lease is None:
        meeting.deliver(player.letter)
    yield None


def _create(meeting: Meeting, player: Player, action: CreateLease) -> Iterator[events.Event]:
    who, round_uid = player.me.who, meeting.server.round().uid
    state = AgentState.from_json(action.state)
    made = leases.agent_manifest(
        JOB, round_uid, who.pod, who.nonce, state, meeting.now_text(), 15.0
    )
    yield events.LeaseSeen(leases.parse_agent(meeting.server.create(made), JOB))


def _write(meeting: Meeting, player: Player, action: WriteState) -> Iterator[events.Event]:
    change = leases.agent_patch(
        AgentState.from_json(action.state), meeting.now_text(), action.version
    )
    made = meeting.server.patch(player.me.who.name, change)
    yield events.RenewalReturned(leases.parse_agent(made, JOB))


def _cas(meeting: Meeting, player: Player, action: CasRound) -> Iterator[events.Event]:
    change: Json = {}
    if action.holder is not None:
        change = leases.holder_patch(action.holder, meeting.now_text(), action.version)
    if action.round is not None:
        change = {**change, **leases.round_patch(action.round, action.version, action.report)}
    made = meeting.server.patch(ROUND, change)
    yield events.RoundSeen(leases.parse_round(made), events.Source.ANSWER)


def _pulse(meeting: Meeting, player: Player, action: Pulse) -> Iterator[events.Event]:
    change = leases.pulse_patch(action.report, meeting.now_text(), action.version)
    yield events.RoundSeen(
        leases.parse_round(meeting.server.patch(ROUND, change)), events.Source.PULSE
    )


def _get(meeting: Meeting, player: Player, action: GetLease) -> Iterator[events.Event]:
    found = meeting.server.lease(action.name)
    yield (
        events.LeaseSeen(found, by_get=True)
        if found
        else events.LeaseGone(action.name, by_get=True)
    )


_DO: dict[type, Callable[..., Iterator[events.Event | None]]] = {
    ReadRound: _open,
    ReopenStream: _open,
    CreateLease: _create,
    WriteState: _write,
    CasRound: _cas,
    Pulse: _pulse,
    GetLease: _get,
}


# ---- the operator --------------------------------------------------------------------------------


def mark(meeting: Meeting, letter_: str, excused: bool = False) -> None:
    """Rule 9: its Lease is marked `ended`; then its role becomes vacant if it was the holder.

    excused: the pod was deleted or taken away.
    """
    ended = leases.EndedMark("gone", excused)
    found = meeting.server.lease(name(letter_))
    present = meeting.server.round()
    if found is None:
        made = leases.ended_manifest(JOB, present.uid, pod(letter_), ended, present.round.n)
        meeting.server.create(made)
    else:
        meeting.server.patch(found.name, leases.ended_patch(ended, found.version))
    if present.holder == name(letter_):
        clear(meeting)


def clear(meeting: Meeting) -> None:
    """The operator makes the holder role vacant."""
    meeting.server.patch(ROUND, leases.holder_patch("", "", meeting.server.round().version))


def want(meeting: Meeting, desired: Desired) -> None:
    """The operator changes `desired`."""
    meeting.server.patch(ROUND, leases.desired_patch(desired, meeting.server.round().version))
