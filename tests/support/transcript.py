"""Rounds, events and actions in the words of a scenario's transcript. Empty: not worth reading."""

from __future__ import annotations

from typing import Any, Callable

from tests.support.protocol import letter

from elasticjob.rendezvous import states as s
from elasticjob.wire.agent_state import AgentState
from elasticjob.wire.lease import AgentLease
from elasticjob.wire.member import Pod
from elasticjob.wire.names import pod_of
from elasticjob.wire.round import Phase, Round


def show(round_: Round) -> str:
    """`2 Active A B charged 2 for WorkerFailed in 1 s`."""
    words = [str(round_.n), round_.phase.value, *(letter(m.pod) for m in round_.members)]
    if round_.charged.numbers:
        words += ["charged", ",".join(map(str, sorted(round_.charged.numbers)))]
    if round_.cause and round_.phase is not Phase.SUCCEEDED:
        words += ["for", round_.cause.kind.value]
    if round_.delay_ms:
        words += ["in", f"{round_.delay_ms / 1000:g} s"]
    return " ".join(words)


def of_name(name_: str) -> str:
    """The letter of a pod's name."""
    return letter(Pod(*pod_of(name_))) if name_ else "nobody"


def _state(state: AgentState) -> str:
    return f"{state.word.value} {state.n}{' leaving' if state.leaving else ''}"


def said(lease: AgentLease) -> str:
    """What a Lease says, and what was written on it."""
    return f"{_state(lease.state)}{' ended' if lease.ended else ''}"


def learned(event: s.Event) -> str:
    """What an agent learned."""
    return _EVENTS[type(event)](event)


def _renewed(event: s.RenewalReturned) -> str:
    return f"renewed {_state(event.lease.state)}" if event.lease else "not renewed"


def _seen(event: s.LeaseSeen) -> str:
    verb = "gets" if event.by_get else "sees"
    return f"{verb} {letter(event.lease.pod)} {said(event.lease)}"


def _round_seen(event: s.RoundSeen) -> str:
    return f"{'reads' if event.source is s.Source.READ else 'sees'} {event.lease.round.n}"


def _exited(event: s.WorkerExited) -> str:
    if event.failure is None:
        return f"workers of {event.n} done"
    return f"worker of {event.n} failed{' for good' if event.fatal else ''}"


_EVENTS: dict[type, Callable[[Any], str]] = {
    s.RoundSeen: _round_seen,
    s.RoundGone: lambda event: "sees the Round gone",
    s.LeaseSeen: _seen,
    s.LeaseGone: lambda event: f"sees {of_name(event.name)} without a Lease",
    s.GetFailed: lambda event: f"no answer about {of_name(event.name)}",
    s.ViewComplete: lambda event: "has the whole view",
    s.RenewalReturned: _renewed,
    s.CasFailed: lambda event: "conflict" if event.conflict else "no answer",
    s.PulseFailed: lambda event: "conflict of the pulse" if event.conflict else "no answer",
    s.WorkersStarted: lambda event: f"workers of {event.n} started",
    s.WorkerExited: _exited,
    s.WorkersReaped: lambda event: f"workers of {event.n} reaped",
    s.ToldToLeave: lambda event: "told to leave",
    s.Progressed: lambda event: "progress",
    s.Tick: lambda event: "waited",
}
ALWAYS_TOLD = (s.WorkerExited, s.ToldToLeave, s.CasFailed)  # shown also if nothing comes of it


def done(me: s.Me, action: s.Action) -> str:
    """What an agent does."""
    return _ACTIONS[type(action)](me, action) if type(action) in _ACTIONS else ""


def _said(me: s.Me, action: s.WriteState) -> str:
    new = AgentState.from_json(action.state)
    old = AgentState.from_json(me.written) if me.written else None
    return "" if old and _state(old) == _state(new) else f"say {_state(new)}"


def _cas(me: s.Me, action: s.CasRound) -> str:
    if action.round is not None:
        return f"write {show(action.round)}"
    return "claim" if action.holder else "clear the holder"


def _pulse(me: s.Me, action: s.Pulse) -> str:
    """A pulse is shown where it reports other silent pods than the last one did."""
    last = me.round.report if me.round else None
    silent = action.report.silent
    if silent == (last.silent if last else ()):
        return ""
    return f"report {' '.join(map(letter, silent)) or 'none'} silent"


_ACTIONS: dict[type, Callable[[s.Me, Any], str]] = {
    s.Pulse: _pulse,
    s.CreateLease: lambda me, a: f"create {_state(AgentState.from_json(a.state))}",
    s.WriteState: _said,
    s.CasRound: _cas,
    s.GetLease: lambda me, a: f"get {of_name(a.name)}",
    s.ReopenStream: lambda me, a: f"open the {'wide' if a.wide else 'narrow'} stream",
    s.Start: lambda me, a: f"start {a.round.n}",
    s.Stop: lambda me, a: f"stop {a.n} for {a.grace_s:g} s",
    s.Exit: lambda me, a: f"exit {a.code}: {a.reason}",
}
