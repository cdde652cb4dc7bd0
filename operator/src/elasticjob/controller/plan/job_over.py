"""The end of a job: the pods that cleanPodPolicy deletes, however the job has ended."""

from __future__ import annotations

from elasticjob.api.v1alpha1 import Condition
from elasticjob.controller.observe.parse import ObservedPod
from elasticjob.controller.observe.snapshot import Snapshot
from elasticjob.controller.plan.actions import Actions, DeletePod, Deletion
from elasticjob.rendezvous.now import Now
from elasticjob.wire.round import Phase

# After the last round agents write their termination message and the end of their log, and exit.
# The operator deletes a pod whose agent has not exited after the longer grace + 15 s.
EXITS_WITHIN_S = 15.0


def is_over(snapshot: Snapshot) -> bool:
    """Whether the job has ended, by the phase of its round or by a final condition."""
    if snapshot.lease and snapshot.lease.round.phase.is_terminal:
        return True
    return is_final(snapshot)


def is_final(snapshot: Snapshot) -> bool:
    """Whether the status of the job has a final condition."""
    return final_condition(snapshot) is not None


def final_condition(snapshot: Snapshot) -> Condition | None:
    """The condition Complete or Failed of a job that has ended; it never changes."""
    final = (c for c in snapshot.job.status.conditions or [] if c.type in ("Complete", "Failed"))
    return next((c for c in final if c.status == "True"), None)


def delete_pods(snapshot: Snapshot, now: Now) -> Actions:
    """Delete the pods that the policy names, each when its agent has exited or is out of time."""
    policy = snapshot.spec.clean_pod_policy
    if policy == "None":
        return
    keep = last_failed_pod(snapshot) if policy == "KeepFailed" else None
    ends_at = _ends_at(snapshot)
    for pod in snapshot.pods:
        if pod == keep or pod.deleting or (policy == "Running" and pod.all_terminated):
            continue
        if not pod.living or now.has_come(ends_at):
            yield DeletePod(pod.name, pod.uid, Deletion.JOB_ENDED)


def last_failed_pod(snapshot: Snapshot) -> ObservedPod | None:
    """The pod of the round's cause, else the last pod that ended with an error."""
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


def _ends_at(snapshot: Snapshot) -> float:
    """When the agents are out of time."""
    ended_at = snapshot.job.status.completion_time or snapshot.utc_now
    over_s = (snapshot.utc_now - ended_at).total_seconds()
    grace_s = max(snapshot.spec.stop_grace_seconds, snapshot.spec.crash_grace_seconds)
    return snapshot.now - over_s + grace_s + EXITS_WITHIN_S
