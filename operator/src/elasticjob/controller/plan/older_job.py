"""What an older job of the same name left: the operator deletes it before it begins.

Garbage collection deletes the pods and the Round Lease of a deleted job, unless the user deleted
the job with `--cascade=orphan`. Two groups must not work under one name, and what no object owns
would stay after the last deletion (ADR 22).
"""

from __future__ import annotations

from elasticjob.controller.observe.parse import ObservedPod
from elasticjob.controller.observe.snapshot import Snapshot
from elasticjob.controller.plan.actions import (
    Actions,
    DeletePod,
    DeleteRound,
    Deletion,
    EnsurePrerequisites,
)
from elasticjob.rendezvous.now import Now


def delete_group(snapshot: Snapshot, now: Now) -> Actions:
    """Delete the Round Lease, then the pods. Without the Round Lease their agents start no workers,
    and after SIGTERM the workers have the whole grace.

    Garbage collection deletes the agent Leases with the Round Lease. The account and the
    RoleBinding become those of this job at once, so that its deletion deletes them, too.
    """
    older = snapshot.older_round
    if older is not None and not older.deleting:
        yield DeleteRound(older.uid)
        yield EnsurePrerequisites()
    for pod in snapshot.older_pods:
        if not pod.deleting:
            yield DeletePod(pod.name, pod.uid, Deletion.OLDER_JOB)


def delays_round(snapshot: Snapshot) -> bool:
    """Whether the job must not have its Round Lease yet, and so no pods."""
    return bool(snapshot.older_round or awaited_pods(snapshot))


def awaited_pods(snapshot: Snapshot) -> list[ObservedPod]:
    """The pods of the older job whose agents may still run, by name, while this job waits."""
    if snapshot.lease is not None:
        return []
    return sorted((p for p in snapshot.older_pods if p.living), key=lambda p: p.pod)
