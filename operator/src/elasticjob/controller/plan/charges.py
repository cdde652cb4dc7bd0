"""Which leavings count against the budget.

SIGTERM is no proof of preemption: a failing liveness probe, `kill 1` and memory pressure that the
job made itself look the same to the agent. So agents charge no leaving, and the operator, who sees
why the pod ended, charges those that nothing excuses. What it cannot know it does not charge.
"""

from __future__ import annotations

import itertools

from elasticjob.controller.observe.snapshot import Snapshot
from elasticjob.wire.cause import CauseKind
from elasticjob.wire.round import Round


def charged(snapshot: Snapshot) -> frozenset[int]:
    """Rounds that the operator charges: those before, and what is now known of recent leavings."""
    held = snapshot.lease.desired.charged if snapshot.lease else frozenset()
    since = _last_reset(snapshot)
    found = {charge_number(r) for r in _recent(snapshot) if _is_guilty(snapshot, r)}
    return frozenset(n for n in held | found if n >= since)


def _is_guilty(snapshot: Snapshot, round_: Round) -> bool:
    if round_.cause is None or round_.cause.kind is not CauseKind.LEAVING:
        return False
    pod = snapshot.by_name.get(round_.cause.pod)
    return pod is not None and not pod.living and not pod.excused


def charge_number(round_: Round) -> int:
    """The number that a leaving is charged under, the same for all rounds that name it as cause.

    A round keeps the cause of the one before it that was Forming. What follows the round that was
    left is its successor, or a number that was skipped and means nothing else.
    """
    cause = round_.cause
    return round_.n if cause is None or cause.n is None else cause.n + 1


def _last_reset(snapshot: Snapshot) -> int:
    """From which round on charges count: a healthy time made the agents forget older ones."""
    recent = _recent(snapshot)
    resets = [r.n for before, r in itertools.pairwise(recent) if r.resets > before.resets]
    return max(resets, default=0)


def _recent(snapshot: Snapshot) -> list[Round]:
    rounds = {r.n: r for r in snapshot.recalled.rounds}
    if snapshot.lease:
        rounds[snapshot.lease.round.n] = snapshot.lease.round
    return [rounds[n] for n in sorted(rounds)]
