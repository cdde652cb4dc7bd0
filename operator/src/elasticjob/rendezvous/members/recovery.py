"""How long a recovery took, up to the write of a round. The parts follow one another.

Each agent measures with its clock only, from what it receives: no clocks of two machines are
compared. No decision depends on these times.
"""

from __future__ import annotations

from elasticjob.rendezvous import timing
from elasticjob.rendezvous.members.judge import HAS_RUN, Case, Judgement, has_reported
from elasticjob.wire.agent_state import AgentPhase
from elasticjob.wire.cause import CauseKind
from elasticjob.wire.codec import LARGEST
from elasticjob.wire.member import Pod
from elasticjob.wire.report import Recovery
from elasticjob.wire.round import Phase, Round


def recovery_until(
    next_: Round, before: Round, has_run: bool, age_ms: int, detect_ms: int | None, stop_ms: int = 0
) -> Recovery | None:
    """The recovery up to the write of the next round, which follows `before`; None: there is none.

    has_run: all members of `before` ran, so that the recovery begins with what ended it. Otherwise
    it began earlier, and continues. age_ms: since `before` was delivered to the writer. detect_ms:
    since the last sign of life of what failed; None: nothing failed. stop_ms: the time since the
    delivery of `before` in which workers were stopped.

    A first start and a suspension are no recoveries.
    """
    if next_.cause is not None and next_.cause.kind is CauseKind.SUSPENDED:
        return None
    earlier = None if has_run else before.recovery
    if earlier is None:
        is_recovery = has_run or detect_ms is not None
        return Recovery(next_.n, min(detect_ms or 0, LARGEST)) if is_recovery else None
    known_ms = earlier.total_ms + age_ms
    detected_ms = min(detect_ms or 0, age_ms)
    longer_ms = max(0, (detect_ms or 0) - known_ms)
    stopped_ms = min(stop_ms, age_ms - detected_ms)
    waited_ms = age_ms - detected_ms - stopped_ms
    return Recovery(
        next_.n,
        detect_ms=min(earlier.detect_ms + detected_ms + longer_ms, LARGEST),
        stop_ms=min(earlier.stop_ms + stopped_ms, LARGEST),
        rendezvous_ms=min(earlier.rendezvous_ms + waited_ms, LARGEST),
    )


def have_all_run(case: Case) -> bool:
    """Whether every member has reported that it ran the current round."""
    members = case.round.pods
    return bool(members) and all(has_reported(case, pod, *HAS_RUN) for pod in members)


def detect_ms(case: Case, judged: Judgement) -> int | None:
    """The time since the first of the last signs of life of lost and leaving members; None: there
    are none."""
    if not judged.removed:
        return None
    return timing.millis(
        case.now.at - min(_last_sign_at(case, judged, pod) for pod in judged.removed)
    )


def _last_sign_at(case: Case, judged: Judgement, pod: Pod) -> float:
    """When the holder received the last sign of life of a member. A late member has given none
    since the round began: it renews its Lease, but its workers do not start."""
    seen = case.view.seen.get(pod)
    alive_at = seen.alive_at if seen else case.round_at
    is_late = judged.lost.get(pod) is CauseKind.POD_LATE
    return min(alive_at, case.round_at) if is_late else alive_at


def stop_ms_outside(case: Case, left_at: float, began_at: float) -> int:
    """The time for which agents outside stopped their workers in a round without members.

    left_at: when the operator marked the last pod that left; its replacement waited for this.
    """
    if case.round.phase is not Phase.FORMING:
        return 0
    leases = [seen.lease for seen in case.view.seen.values() if seen.lease]
    states = [x.state for x in leases if x.state.n == case.round.n]
    ready = [s.stop_ms or 0 for s in states if s.phase is AgentPhase.READY]
    return max([timing.millis(left_at - began_at), *ready])
