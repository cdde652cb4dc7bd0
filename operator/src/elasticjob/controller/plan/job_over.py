"""The end of a job: which pods are deleted (cleanPodPolicy), on every way to the end."""

from __future__ import annotations

from elasticjob.controller.observe.parse import ObservedPod
from elasticjob.controller.observe.snapshot import Snapshot
from elasticjob.controller.plan.actions import Actions, DeletePod, Later
from elasticjob.wire.round import Phase

# Agents end by themselves when the round does, and write their verdict and the last of their log
# meanwhile. Those that do not are ended after the longer of both graces and this.
GOODBYE_S = 15.0


def is_over(snapshot: Snapshot) -> bool:
    """Whether the job has ended: the Round first, for pods may have ended before it was read."""
    if snapshot.lease and snapshot.lease.round.phase.is_terminal:
        return True
    return is_final(snapshot)


def is_final(snapshot: Snapshot) -> bool:
    """Whether its status says so, which is for ever."""
    final = (c for c in snapshot.job.status.conditions or [] if c.type in ("Complete", "Failed"))
    return any(c.status == "True" for c in final)


def delete_pods(snapshot: Snapshot) -> Actions:
    """Delete what the policy says, each when it has ended, or has had its time."""
    policy = snapshot.spec.clean_pod_policy
    if policy == "None":
        return
    keep = failed_last(snapshot) if policy == "KeepFailed" else None
    left_s = _left_s(snapshot)
    for pod in snapshot.pods:
        if pod == keep or pod.deleting or (policy == "Running" and pod.all_terminated):
            continue
        if pod.living and left_s > 0:
            yield Later(left_s)
        else:
            yield DeletePod(pod.name, pod.uid, "the job has ended")


def failed_last(snapshot: Snapshot) -> ObservedPod | None:
    """The pod to look at: the one that the round blames, else the last that ended badly."""
    round_ = snapshot.lease.round if snapshot.lease else None
    if (
        round_
        and round_.phase is Phase.FAILED
        and round_.cause
        and round_.cause.pod in snapshot.by_name
    ):
        return snapshot.by_name[round_.cause.pod]
    failed = [p for p in snapshot.pods if not p.living and p.container.exit_code != 0]
    return max(failed, key=lambda p: (p.container.finished_at, p.pod), default=None)


def _left_s(snapshot: Snapshot) -> float:
    ended_at = snapshot.job.status.completion_time or snapshot.utc_now
    grace_s = max(snapshot.spec.stop_grace_seconds, snapshot.spec.crash_grace_seconds)
    return grace_s + GOODBYE_S - (snapshot.utc_now - ended_at).total_seconds()
