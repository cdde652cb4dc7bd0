"""Pods that are blamed for failures: their workers' failures ended rounds, and were charged."""

from __future__ import annotations

from elasticjob.controller.observe.parse import ObservedPod
from elasticjob.controller.observe.rounds import PastRound
from elasticjob.controller.observe.snapshot import Snapshot
from elasticjob.wire.cause import CauseKind

OF_WORKERS = (CauseKind.WORKER_FAILED, CauseKind.WORKER_SIGNALED, CauseKind.WORKER_HUNG)


def counts(snapshot: Snapshot) -> dict[int, int]:
    """The number of charged failures of workers in the newest pod of each index, by index.

    The status has the count up to status.round; this adds the rounds after it. If the cause of
    status.round was replaced since by an earlier failure, it blames that pod instead.
    """
    found = dict(snapshot.blamed)
    counted_to = snapshot.job.status.round if snapshot.job.status.round is not None else -1
    for round_ in {r.n: r for r in snapshot.rounds}.values():
        blamed_before = _blamed_before(snapshot, round_) if round_.n == counted_to else None
        if blamed_before is not None:
            found[blamed_before] -= 1
        pod = _to_blame(snapshot, round_)
        if pod is not None and (round_.n > counted_to or blamed_before is not None):
            found[pod.pod.index] = found.get(pod.pod.index, 0) + 1
    return {index: number for index, number in found.items() if number}


def _blamed_before(snapshot: Snapshot, round_: PastRound) -> int | None:
    """The index of the pod that the status blames for this round, if its cause names another."""
    last, cause = snapshot.job.status.last_failure, round_.cause
    if last is None or cause is None or last.round != cause.n or last.pod in (None, cause.pod):
        return None
    pod = snapshot.by_name.get(last.pod or "")
    return pod.pod.index if pod is not None and snapshot.blamed.get(pod.pod.index) else None


def _to_blame(snapshot: Snapshot, round_: PastRound) -> ObservedPod | None:
    if round_.cause is None or round_.cause.kind not in OF_WORKERS:
        return None
    pod = snapshot.by_name.get(round_.cause.pod)
    is_present = pod is not None and pod.pod == snapshot.newest_pod(pod.pod.index)
    return pod if is_present and round_.n in round_.charged.numbers else None
