"""The log lines of one step of the rendezvous: a pure function of the states around it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from elasticjob.rendezvous import events
from elasticjob.rendezvous.actions import Action, CasRound, Exit, Stop
from elasticjob.rendezvous.members.ranks import ranks_of
from elasticjob.rendezvous.state import Me, Stage
from elasticjob.wire.cause import Cause
from elasticjob.wire.round import Round

Line = tuple[str, dict[str, Any]]


def step_lines(
    before: Me, after: Me, event: events.Event, actions: Iterable[Action]
) -> Iterator[Line]:
    """Return message and fields for each change that this step made."""
    yield from _event(event)
    yield from _round(before, after)
    if after.stage is Stage.JOINED and before.stage is not Stage.JOINED:
        yield "agent joined", {"lease": after.who.name, "phase": after.phase.value, "n": after.n}
    if (after.hold is None) != (before.hold is None):
        yield ("agent became the holder" if after.hold else "agent is no longer the holder"), {}
    if after.frozen and not before.frozen:
        yield "agent is frozen: Round Lease deleted or access denied; workers continue", {}
    for action in actions:
        yield from _action(after, action)


def _round(before: Me, after: Me) -> Iterator[Line]:
    """Return the line for a round that is new to this agent."""
    if after.lease is None or (before.lease and before.lease.round.n == after.lease.round.n):
        return
    round_ = after.lease.round
    fields: dict[str, Any] = {"n": round_.n, "phase": round_.phase.value}
    fields["members"] = len(round_.members) or None
    fields["rank"] = _rank(after, round_)
    yield "agent received a round", {**fields, **_cause(round_.cause)}


def _rank(me: Me, round_: Round) -> int | None:
    return ranks_of(round_, me.who.pod).first_rank if round_.member(me.who.pod) else None


def _event(event: events.Event) -> Iterator[Line]:
    if isinstance(event, events.WorkersStarted):
        yield "workers started", {"n": event.n, "start_ms": event.start_ms}
    elif isinstance(event, events.WorkerExited) and event.failure:
        yield "worker failed", {"n": event.n, **_cause(event.failure)}
    elif isinstance(event, events.FailureNoticed) and event.failure:
        yield "worker reported an exception", {"n": event.n, **_cause(event.failure)}
    elif isinstance(event, events.WorkerExited):
        yield "workers succeeded", {"n": event.n}
    elif isinstance(event, events.WorkersReaped):
        yield "all worker processes have ended", {"n": event.n}
    elif isinstance(event, events.LeaveRequested):
        yield "agent is leaving: termination signal received", {}


def _action(me: Me, action: Action) -> Iterator[Line]:
    if isinstance(action, Stop):
        yield "workers are stopping", {"n": action.n, "grace_s": action.grace_s}
    elif isinstance(action, CasRound) and action.round:
        yield "agent writes a round", {"n": action.round.n, "phase": action.round.phase.value}
    elif isinstance(action, Exit):
        yield "agent exits", {"code": action.code, "reason": action.reason}


def _cause(cause: Cause | None) -> dict[str, Any]:
    if cause is None:
        return {}
    return {
        "cause": cause.kind.value,
        "cause_pod": cause.pod or None,
        "cause_rank": cause.rank if cause.rank >= 0 else None,
        "message": cause.message.partition("\n")[0] or None,
    }
