"""The code under test: one step of an agent, and the effect of one request on the API server.

This module is the only one that knows how agent_step and the conversation with the API server are
called.
"""

from __future__ import annotations

from typing import NamedTuple

from elasticjob.rendezvous import agent_step, events
from elasticjob.rendezvous.actions import (
    Action,
    CasRound,
    CreateLease,
    GetLease,
    Pulse,
    ReadRound,
    ReopenStream,
    WriteState,
)
from elasticjob.rendezvous.state import Me
from elasticjob.wire.agent_state import AgentState
from elasticjob.wire.dataclasses import replace
from elasticjob.wire.lease import AgentLease, RoundLease
from elasticjob.wire.member import Pod

Leases = tuple[AgentLease, ...]  # by pod


def run_step(me: Me, event: events.Event) -> tuple[Me, tuple[Action, ...], float | None]:
    """One step at time 0: the next state, the actions, and the time until the next step is due."""
    me, actions, at = agent_step(me, event, 0.0)
    return me, actions, None if at is None else round(at, 6)


class Effect(NamedTuple):
    """What a request changes, and what its sender and all watches receive."""

    round: RoundLease
    leases: Leases
    answers: tuple[events.Event, ...]
    changes: tuple[events.Event, ...] = ()


def find(leases: Leases, pod: Pod) -> AgentLease | None:
    """The Lease of a pod."""
    return next((lease for lease in leases if lease.pod == pod), None)


def put(leases: Leases, lease: AgentLease) -> Leases:
    """The Leases with a new version of one."""
    rest = [each for each in leases if each.pod != lease.pod]
    return tuple(sorted([*rest, lease], key=lambda each: each.pod))


class Created(NamedTuple):
    """The numbers of a Lease that is created, each above those of all earlier ones."""

    version: int
    uid: int
    renewal: int


def serve(
    round_: RoundLease, leases: Leases, me: Me, nonce: str, action: Action, new: Created
) -> Effect:
    """Perform one request. new: of a Lease that is created."""
    who = me.who
    own = find(leases, who.pod)
    if isinstance(action, CreateLease):
        if own is not None:
            return Effect(round_, leases, (seen(own, by_get=True),))
        state = AgentState.from_json(action.state)
        made = AgentLease(
            who.name, who.pod, str(new.version), f"{who.name}-{new.uid}", who.job_uid, nonce,
            str(new.renewal), state,
        )  # fmt: skip
        return Effect(round_, put(leases, made), (seen(made),), (seen(made),))
    if isinstance(action, WriteState):
        if own is None:
            return Effect(
                round_, leases, (events.LeaseGone(who.name), events.RenewalReturned(None))
            )
        if own.version != action.version:
            answers = (seen(own, by_get=True), events.RenewalReturned(None))
            return Effect(round_, leases, answers)
        made = replace(
            own, state=AgentState.from_json(action.state), version=after(own.version),
            renew_time=after(own.renew_time or "0"),
        )  # fmt: skip
        answer = events.RenewalReturned(as_agents_read(made))
        return Effect(round_, put(leases, made), (answer,), (seen(made),))
    if isinstance(action, GetLease):
        found = next((each for each in leases if each.name == action.name), None)
        if found is None:
            return Effect(round_, leases, (events.LeaseGone(action.name, by_get=True),))
        return Effect(round_, leases, (seen(found, by_get=True),))
    if isinstance(action, (ReadRound, ReopenStream)):
        seen_round = events.RoundSeen(round_, events.Source.READ)
        wide = isinstance(action, ReopenStream) and action.wide
        view = events.ViewComplete(tuple(map(as_agents_read, leases)))
        return Effect(round_, leases, (seen_round, *([view] * wide)))
    if isinstance(action, CasRound):
        if action.version != round_.version:
            return Effect(round_, leases, (events.CasFailed(conflict=True),))
        return _written(cas(round_, action), leases, events.Source.ANSWER)
    assert isinstance(action, Pulse)
    if action.version != round_.version:
        return Effect(round_, leases, (events.PulseFailed(conflict=True),))
    return _written(
        replace(round_, report=action.report, renew_time=_pulse_time(round_)),
        leases,
        events.Source.PULSE,
    )


def cas(round_: RoundLease, action: CasRound) -> RoundLease:
    """The Round Lease after a compare-and-swap that succeeded."""
    made = round_
    if action.holder is not None:
        renewed = _pulse_time(round_) if action.holder else ""
        made = replace(made, holder=action.holder, renew_time=renewed)
    if action.round is not None:
        report = action.report if action.report is not None else made.report
        made = replace(made, round=action.round, report=report)
    return made


def seen(lease: AgentLease, by_get: bool = False) -> events.LeaseSeen:
    """What an agent receives of a version of a Lease."""
    return events.LeaseSeen(as_agents_read(lease), by_get)


def as_agents_read(lease: AgentLease) -> AgentLease:
    """The Lease without the fields that only the operator reads."""
    return replace(lease, uid="", renew_time="")


def _written(made: RoundLease, leases: Leases, source: events.Source) -> Effect:
    made = replace(made, version=after(made.version))
    change = events.RoundSeen(made, events.Source.WATCH)
    return Effect(made, leases, (events.RoundSeen(made, source),), (change,))


def after(version: str) -> str:
    """The next version of an object, or the next renewal."""
    return str(int(version) + 1)


def _pulse_time(round_: RoundLease) -> str:
    """A renewTime that no earlier version has: the version that it belongs to, in a large unit.

    The normal form replaces it by its rank among all renewTimes.
    """
    return str(LATER + int(round_.version))


LATER = 1 << 20


def failed(action: Action) -> events.Event | None:
    """The event of a request without an answer; None: it is repeated until there is one."""
    if isinstance(action, WriteState):
        return events.RenewalReturned(None)
    if isinstance(action, CasRound):
        return events.CasFailed(conflict=False)
    if isinstance(action, Pulse):
        return events.PulseFailed(conflict=False)
    return events.GetFailed(action.name) if isinstance(action, GetLease) else None
