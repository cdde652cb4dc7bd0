"""The holder's report, beside its pulse: who runs, how long the recovery took, how far it is."""

from __future__ import annotations

from collections.abc import Iterable

from elasticjob.rendezvous.view import View
from elasticjob.wire.agent_state import AgentPhase, AgentState
from elasticjob.wire.lease import RoundLease
from elasticjob.wire.member import Pod
from elasticjob.wire.report import Recovery, Report
from elasticjob.wire.round import Round


def words(view: View, round_: Round) -> dict[Pod, AgentState]:
    """What the members say of this round, in the order of their indexes."""
    found = ((m.pod, view.seen.get(m.pod)) for m in round_.members)
    leases = {pod: seen.lease for pod, seen in found if seen and seen.lease}
    return {pod: lease.state for pod, lease in leases.items() if lease.state.n == round_.n}


def is_complete(view: View, round_: Round) -> bool:
    """Whether every member says that it runs the present round: people wait to read that."""
    said = [state.phase for state in words(view, round_).values()]
    return 0 < said.count(AgentPhase.RUNNING) == len(round_.members)


def is_reported(lease: RoundLease) -> bool:
    """Whether the last report says so already."""
    told = lease.report
    if told is None or told.n != lease.round.n:
        return False
    return len(told.running) == len(lease.round.members)


def report(
    view: View, round_: Round, silent: frozenset[Pod] = frozenset(), delay_ms: int | None = None
) -> Report:
    """The report of the present round. The first start is no recovery.

    silent: the pods outside of the round whose agents are silent. delay_ms: what is left of its
    start delay, if it has one.
    """
    said = words(view, round_)
    running = tuple(pod for pod, state in said.items() if state.phase is not AgentPhase.READY)
    first = said.get(round_.members[0].pod) if round_.members else None
    complete = bool(running) and len(running) == len(round_.members)
    return Report(
        n=round_.n,
        running=running,
        outside=True,
        delay_ms=delay_ms,
        silent=tuple(sorted(silent)),
        recovery=recovery(round_.n, said.values()) if complete and round_.starts > 1 else None,
        progress=first.progress if first else None,
    )


def recovery(n: int, states: Iterable[AgentState]) -> Recovery:
    """The slowest of each part of the way into round n."""
    told = list(states)
    return Recovery(
        n=n,
        detect_ms=max(state.detect_ms or 0 for state in told),
        rendezvous_ms=max(state.rendezvous_ms or 0 for state in told),
        stop_ms=max(state.stop_ms or 0 for state in told),
        start_ms=max(state.start_ms or 0 for state in told),
    )
