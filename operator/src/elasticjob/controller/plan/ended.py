"""Pods that have ended: the operator marks their Leases before it replaces them (rule 9, W1)."""

from __future__ import annotations

from collections.abc import Iterator

from elasticjob.controller.observe.parse import ObservedPod
from elasticjob.controller.observe.snapshot import Snapshot
from elasticjob.controller.plan.actions import Actions, Mark
from elasticjob.rendezvous.now import Now
from elasticjob.wire.member import Pod


def mark_ended_pods(snapshot: Snapshot, now: Now) -> Actions:
    """Mark the Lease of each ended pod that the Round Lease may still refer to."""
    gone = {
        *_ended(snapshot),  # clause 9-mark-ended-pod
        *_vanished(snapshot),  # clause 9-mark-vanished-pod
    }
    again = {
        *_unmarked_again(snapshot),  # clause 9-mark-again
    }
    for pod in sorted((gone - snapshot.memory.marked - snapshot.never_created) | again):
        seen = snapshot.by_pod.get(pod)
        create = seen is not None or _has_existed(snapshot, pod)
        yield Mark(pod, _reason(seen), create=create, excused=_is_excused(seen))


def is_mark_missing(snapshot: Snapshot, pod: Pod) -> bool:
    """Whether agents refer to this pod, and its Lease has no mark: it is not replaced yet."""
    return pod not in snapshot.memory.marked and is_referenced(snapshot, pod)


def is_referenced(snapshot: Snapshot, pod: Pod) -> bool:
    """Whether the Round Lease refers to this pod: as a member, as the holder, or as wanted.

    Only the newest pod of an index can be wanted: older ones were marked before it was reserved.
    """
    assert snapshot.lease is not None
    newest = pod == snapshot.newest_pod(pod.index)
    return (
        snapshot.is_member(pod)  # clause 9-refers-to-members
        or snapshot.is_holder(pod)  # clause 9-refers-to-holder
        or (newest and snapshot.is_listed(pod))  # clause 9-refers-to-wanted
    )


def _has_existed(snapshot: Snapshot, pod: Pod) -> bool:
    """Whether this pod has existed: the operator has seen it, or the Round Lease names it."""
    assert snapshot.lease is not None
    cause, name = snapshot.lease.round.cause, snapshot.job.pod_name(pod)
    culprit = cause.pod if cause else ""
    return (
        snapshot.is_member(pod)  # clause 9-member-has-existed
        or snapshot.is_holder(pod)  # clause 9-holder-has-existed
        or culprit == name  # clause 9-culprit-has-existed
        or pod in snapshot.memory.created  # clause 9-seen-has-existed
    )


def _ended(snapshot: Snapshot) -> Iterator[Pod]:
    return (p.pod for p in snapshot.pods if not p.living and is_referenced(snapshot, p.pod))


def _vanished(snapshot: Snapshot) -> Iterator[Pod]:
    """Pods that do not exist, though they are members or the newest of their index."""
    assert snapshot.lease is not None
    newest = (pod for index in snapshot.indexes if (pod := snapshot.newest_pod(index)))
    named = {*newest, *snapshot.lease.round.pods}
    return (pod for pod in named if pod not in snapshot.by_pod and is_referenced(snapshot, pod))


def _unmarked_again(snapshot: Snapshot) -> Iterator[Pod]:
    """Members whose pods and marked Leases are gone: agents that still run and have joined again,
    as their pods were deleted by force while their kubelets are away."""
    assert snapshot.lease is not None
    gone = snapshot.lease.round.pods & snapshot.memory.marked - snapshot.memory.orphans.keys()
    return (pod for pod in gone if pod not in snapshot.by_pod)


def _is_excused(seen: ObservedPod | None) -> bool:
    """Whether the loss of this pod is not counted.

    The pod of a container that has ended stays. So a pod that no longer exists was deleted while
    its agent ran: by force, by the garbage collection of a deleted node, or while no operator ran.
    The operator does not charge what it knows nothing of.
    """
    return seen is None or seen.excused


def _reason(seen: ObservedPod | None) -> str:
    if seen is None:
        return "the pod is gone"
    code = f" {seen.container.exit_code}" if seen.container.exit_code is not None else ""
    return f"{seen.container.reason or 'ended'}{code}"
