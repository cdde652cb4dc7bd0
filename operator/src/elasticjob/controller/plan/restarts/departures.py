"""Departures that count against maxRestarts.

SIGTERM is no proof of preemption: to the agent, a failing liveness probe, `kill 1` and memory
pressure caused by the job look the same. So agents charge no departure. The operator sees why the
pod ended and charges departures without an excuse. It does not charge those that it knows nothing
of.
"""

from __future__ import annotations

import itertools

from elasticjob.controller.observe.rounds import PastRound
from elasticjob.controller.observe.snapshot import Snapshot
from elasticjob.wire.cause import CauseKind
from elasticjob.wire.round import Round


def charged(snapshot: Snapshot) -> frozenset[int]:
    """The rounds that the operator charges: earlier ones, and those of recent departures."""
    held = snapshot.lease.desired.charged if snapshot.lease else frozenset()
    since = _last_reset(snapshot)
    found = {charge_number(r) for r in _recent(snapshot) if _is_charged(snapshot, r)}
    return frozenset(n for n in held | found if n >= since)


def _is_charged(snapshot: Snapshot, round_: PastRound) -> bool:
    if round_.cause is None or round_.cause.kind is not CauseKind.LEAVING:
        return False
    pod = snapshot.by_name.get(round_.cause.pod)
    return (
        pod is not None
        and not pod.living  # clause 9-charge-after-the-end
        and not pod.excused  # clause 9-excused-is-not-charged
    )


def charge_number(round_: Round | PastRound) -> int:
    """The number under which a departure is charged: the same for all rounds with this cause.

    Rounds with one cause share one number: that of the failed round + 1. A round takes over the
    cause of a Forming round before it.
    """
    cause = round_.cause
    return round_.n if cause is None or cause.n is None else cause.n + 1


def _last_reset(snapshot: Snapshot) -> int:
    """The first round whose charges count: after a healthy time agents drop older charges."""
    recent = _recent(snapshot)
    resets = [r.n for before, r in itertools.pairwise(recent) if r.resets > before.resets]
    return max(resets, default=0)


def _recent(snapshot: Snapshot) -> list[PastRound]:
    rounds = {r.n: r for r in snapshot.rounds}
    return [rounds[n] for n in sorted(rounds)]
