"""The holder's report: which members run, how long the recovery took, and the progress."""

from __future__ import annotations

from collections.abc import Iterable

from elasticjob.rendezvous.view import View
from elasticjob.wire.agent_state import AgentPhase, AgentState
from elasticjob.wire.lease import RoundLease
from elasticjob.wire.member import Pod
from elasticjob.wire.report import Recovery, Report
from elasticjob.wire.round import Round


def states_in_round(view: View, round_: Round) -> dict[Pod, AgentState]:
    """The states that the members report for this round, in the order of their indexes."""
    found = ((m.pod, view.seen.get(m.pod)) for m in round_.members)
    leases = {pod: seen.lease for pod, seen in found if seen and seen.lease}
    return {pod: lease.state for pod, lease in leases.items() if lease.state.n == round_.n}


def is_running(view: View, round_: Round) -> bool:
    """Whether every member reports that it runs the current round."""
    phases = [state.phase for state in states_in_round(view, round_).values()]
    return 0 < phases.count(AgentPhase.RUNNING) == len(round_.members)


def is_running_reported(lease: RoundLease) -> bool:
    """Whether the last report lists all members as running."""
    last = lease.report
    if last is None or last.n != lease.round.n:
        return False
    return len(last.running) == len(lease.round.members)


def report(
    view: View, round_: Round, silent: frozenset[Pod] = frozenset(), delay_ms: int | None = None
) -> Report:
    """The report of the current round. The first start is no recovery.

    silent: silent pods outside of the round. delay_ms: what is left of its start delay, if any.
    """
    states = states_in_round(view, round_)
    running = tuple(pod for pod, state in states.items() if state.phase is not AgentPhase.READY)
    first = states.get(round_.members[0].pod) if round_.members else None
    complete = bool(running) and len(running) == len(round_.members)
    return Report(
        n=round_.n,
        running=running,
        outside=True,
        delay_ms=delay_ms,
        silent=tuple(sorted(silent)),
        recovery=recovery(round_.n, states.values()) if complete and round_.starts > 1 else None,
        progress=first.progress if first else None,
    )


def recovery(n: int, states: Iterable[AgentState]) -> Recovery:
    """The slowest member of each part of the way into round n."""
    found = list(states)
    return Recovery(
        n=n,
        detect_ms=max(state.detect_ms or 0 for state in found),
        rendezvous_ms=max(state.rendezvous_ms or 0 for state in found),
        stop_ms=max(state.stop_ms or 0 for state in found),
        start_ms=max(state.start_ms or 0 for state in found),
    )
