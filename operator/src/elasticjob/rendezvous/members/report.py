"""The holder's report: which members run, how long the recovery took, and the progress."""

from __future__ import annotations

from collections.abc import Iterable

from elasticjob.rendezvous import timing
from elasticjob.rendezvous.members.decide import JoinTime
from elasticjob.rendezvous.view import View
from elasticjob.wire.agent_state import AgentPhase, AgentState
from elasticjob.wire.codec import LARGEST
from elasticjob.wire.dataclasses import replace
from elasticjob.wire.lease import RoundLease
from elasticjob.wire.member import Pod
from elasticjob.wire.report import JoinWait, Recovery, Report
from elasticjob.wire.round import Round


def states_in_round(view: View, round_: Round) -> dict[Pod, AgentState]:
    """The states that the members report for this round, in the order of their indexes."""
    found = ((m.pod, view.seen.get(m.pod)) for m in round_.members)
    leases = {pod: seen.lease for pod, seen in found if seen and seen.lease}
    return {pod: lease.state for pod, lease in leases.items() if lease.state.n == round_.n}


def pods_in(states: dict[Pod, AgentState], *phases: AgentPhase) -> tuple[Pod, ...]:
    """The pods that report one of these phases."""
    return tuple(pod for pod, state in states.items() if state.phase in phases)


def is_running(view: View, round_: Round) -> bool:
    """Whether every member reports that it runs the current round."""
    phases = [state.phase for state in states_in_round(view, round_).values()]
    return 0 < phases.count(AgentPhase.RUNNING) == len(round_.members)


def is_running_reported(lease: RoundLease) -> bool:
    """Whether the last report lists all members as running."""
    last = lease.report
    if last is None or last.n != lease.round.n:
        return False
    return 0 < len(last.running) == len(lease.round.members)


def ran_n(lease: RoundLease, before: int) -> int:
    """The last round of which a report listed all members as running; `before`: without this one.
    A later report of the round lacks a member that has failed, or whose Lease is gone."""
    return lease.round.n if is_running_reported(lease) else before


def report(
    view: View, round_: Round, silent: frozenset[Pod] = frozenset(), delay_ms: int | None = None,
    age_ms: int | None = None,
) -> Report:  # fmt: skip
    """The report of the current round.

    silent: silent pods outside of the round. delay_ms: what is left of its start delay, if any.
    age_ms: the age of a round without members.
    """
    states = states_in_round(view, round_)
    running = pods_in(states, AgentPhase.RUNNING, AgentPhase.DONE)
    first = states.get(round_.members[0].pod) if round_.members else None
    complete = bool(running) and len(running) == len(round_.members)
    return Report(
        n=round_.n,
        running=running,
        failed=pods_in(states, AgentPhase.FAILED),
        outside=True,
        delay_ms=delay_ms,
        age_ms=age_ms,
        silent=tuple(sorted(silent)),
        recovery=recovery(round_, states.values()) if complete else None,
        progress=first.progress if first else None,
    )


def recovery(round_: Round, states: Iterable[AgentState]) -> Recovery | None:
    """The whole recovery, once all members run this round, by the slowest of them; or None."""
    if round_.recovery is None:
        return None
    found = list(states)
    stop_ms = max(state.stop_ms or 0 for state in found)
    until_run_ms = max(state.start_ms or 0 for state in found)
    return replace(
        round_.recovery,
        stop_ms=min(round_.recovery.stop_ms + stop_ms, LARGEST),
        start_ms=max(0, until_run_ms - stop_ms),
    )


def reported_wait(found: JoinTime | None, now: float) -> JoinWait | None:
    """The wait of newcomers as the report contains it."""
    return JoinWait(found.kind, timing.millis(found.at - now)) if found else None


def is_wait_reported(lease: RoundLease, found: JoinTime) -> bool:
    """Whether the last report contains that newcomers wait for this."""
    last = lease.report
    if last is None or last.n != lease.round.n or last.join_wait is None:
        return False
    return last.join_wait.kind is found.kind


def delay_since(lease: RoundLease, now: float) -> float:
    """When the start delay of a new round began. The last report contains how much of it was left,
    for an agent that starts within it."""
    last, delay_ms = lease.report, lease.round.delay_ms
    if last is None or last.n != lease.round.n or last.delay_ms is None:
        return now
    return now - max(0, delay_ms - last.delay_ms) / 1000


def began_at(lease: RoundLease, now: float) -> float:
    """When a new round began. The last report contains the age of a round without members, for an
    agent that starts within it."""
    last = lease.report
    return now - (last.age_ms or 0) / 1000 if last and last.n == lease.round.n else now
