"""Write rounds, events and actions as a scenario's transcript shows them; empty text is omitted."""

from __future__ import annotations

from typing import Any, Callable

from tests.support.protocol import letter

from elasticjob.rendezvous import actions, events
from elasticjob.rendezvous.state import Me
from elasticjob.wire.agent_state import AgentState
from elasticjob.wire.lease import AgentLease
from elasticjob.wire.member import Pod
from elasticjob.wire.names import parse_pod_name
from elasticjob.wire.round import Phase, Round


def show(round_: Round) -> str:
    """`2 Active A B charged 2 for WorkerFailed in 1 s`."""
    words = [str(round_.n), round_.phase.value, *(letter(m.pod) for m in round_.members)]
    if round_.charged.numbers:
        words += ["charged", ",".join(map(str, sorted(round_.charged.numbers)))]
    if round_.cause and round_.phase is not Phase.SUCCEEDED:
        words += ["for", round_.cause.kind.value]
        if round_.cause.after_ms is not None:
            words += ["of", of_name(round_.cause.pod), "at", str(round_.cause.after_ms)]
    if round_.delay_ms:
        words += ["in", f"{round_.delay_ms / 1000:g} s"]
    return " ".join(words)


def of_name(name_: str) -> str:
    """The letter of a pod's name."""
    return letter(Pod(*parse_pod_name(name_))) if name_ else "none"


def _state(state: AgentState) -> str:
    return f"{state.phase.value} {state.n}{' leaving' if state.leaving else ''}"


def lease_state(lease: AgentLease) -> str:
    """The state in a Lease, and the operator's mark."""
    return f"{_state(lease.state)}{' ended' if lease.ended else ''}"


def learned(event: events.Event) -> str:
    """What an agent learned."""
    return _EVENTS[type(event)](event)


def _renewed(event: events.RenewalReturned) -> str:
    return f"renewed {_state(event.lease.state)}" if event.lease else "not renewed"


def _seen(event: events.LeaseSeen) -> str:
    verb = "gets" if event.by_get else "sees"
    return f"{verb} {letter(event.lease.pod)} {lease_state(event.lease)}"


def _round_seen(event: events.RoundSeen) -> str:
    return f"{'reads' if event.source is events.Source.READ else 'sees'} {event.lease.round.n}"


def _exited(event: events.WorkerExited) -> str:
    if event.failure is None:
        return f"workers of {event.n} done"
    return f"worker of {event.n} failed{', fatal' if event.fatal else ''}"


_EVENTS: dict[type, Callable[[Any], str]] = {
    events.RoundSeen: _round_seen,
    events.RoundGone: lambda event: "sees the Round Lease gone",
    events.LeaseSeen: _seen,
    events.LeaseGone: lambda event: f"sees {of_name(event.name)} without a Lease",
    events.GetFailed: lambda event: f"no answer to get {of_name(event.name)}",
    events.ViewComplete: lambda event: "has the complete view",
    events.RenewalReturned: _renewed,
    events.CasFailed: lambda event: "conflict" if event.conflict else "no answer",
    events.PulseFailed: lambda event: "pulse conflict" if event.conflict else "no answer",
    events.WorkersStarted: lambda event: f"workers of {event.n} started",
    events.WorkerExited: _exited,
    events.FailureNoticed: lambda event: f"worker of {event.n} failed and runs",
    events.WorkersReaped: lambda event: f"workers of {event.n} reaped",
    events.LeaveRequested: lambda event: "receives SIGTERM",
    events.Progressed: lambda event: "progress",
    events.Tick: lambda event: "waited",
}
ALWAYS_SHOWN = (
    events.WorkerExited,
    events.LeaveRequested,
    events.CasFailed,
)  # shown without actions, too


def done(me: Me, action: actions.Action) -> str:
    """What an agent does."""
    return _ACTIONS[type(action)](me, action) if type(action) in _ACTIONS else ""


def _write_state(me: Me, action: actions.WriteState) -> str:
    new = AgentState.from_json(action.state)
    old = AgentState.from_json(me.written_state) if me.written_state else None
    return "" if old and _state(old) == _state(new) else f"report {_state(new)}"


def _cas(me: Me, action: actions.CasRound) -> str:
    if action.round is not None:
        return f"write {show(action.round)}"
    return "claim" if action.holder else "give up the role"


def _pulse(me: Me, action: actions.Pulse) -> str:
    """A pulse is shown where it reports other silent pods than the last one did."""
    last = me.lease.report if me.lease else None
    silent = action.report.silent
    if silent == (last.silent if last else ()):
        return ""
    return f"pulse: {' '.join(map(letter, silent)) or 'none'} silent"


_ACTIONS: dict[type, Callable[[Me, Any], str]] = {
    actions.Pulse: _pulse,
    actions.CreateLease: lambda me, a: f"create {_state(AgentState.from_json(a.state))}",
    actions.WriteState: _write_state,
    actions.CasRound: _cas,
    actions.GetLease: lambda me, a: f"get {of_name(a.name)}",
    actions.ReopenStream: lambda me, a: f"open the {'wide' if a.wide else 'narrow'} stream",
    actions.Start: lambda me, a: f"start {a.round.n}",
    actions.Stop: lambda me, a: f"stop {a.n} for {a.grace_s:g} s",
    actions.Exit: lambda me, a: f"exit {a.code}: {a.reason}",
}
