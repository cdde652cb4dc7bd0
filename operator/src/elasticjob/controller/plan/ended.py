"""Pods that have ended: their Leases are marked before anything takes their place (rule 9, W1)."""

from __future__ import annotations

from collections.abc import Iterator

from elasticjob.controller.observe.parse import ObservedPod
from elasticjob.controller.observe.snapshot import Snapshot
from elasticjob.controller.plan.actions import Actions, Mark
from elasticjob.wire.member import Pod


def mark_ended_pods(snapshot: Snapshot) -> Actions:
    """Mark the Lease of every pod that has ended and may still be taken for a live one."""
    gone = (
        {*_ended(snapshot), *_vanished(snapshot)}
        - snapshot.recalled.marked
        - snapshot.recalled.never_created
    )
    for pod in sorted({*gone, *_unmarked_again(snapshot)}):
        seen = snapshot.by_pod.get(pod)
        new_agent = seen is not None or snapshot.is_member(pod)
        yield Mark(pod, _reason(seen), create=new_agent, excused=_is_excused(seen))


def is_fenced(snapshot: Snapshot, pod: Pod) -> bool:
    """Whether nobody takes this pod for a live one any more, so that another may come."""
    return pod in snapshot.recalled.marked or (
        pod not in snapshot.living and not is_referenced(snapshot, pod)
    )


def is_referenced(snapshot: Snapshot, pod: Pod) -> bool:
    """Whether the round or its holder may count on this pod.

    One that is not the newest of its index was marked before the newer one was reserved.
    """
    assert snapshot.lease is not None
    newest = pod == snapshot.newest_pod(pod.index)
    return (
        snapshot.is_member(pod)
        or snapshot.is_holder(pod)
        or (newest and snapshot.lease.desired.is_wanted(pod))
    )


def _ended(snapshot: Snapshot) -> Iterator[Pod]:
    return (p.pod for p in snapshot.pods if not p.living and is_referenced(snapshot, p.pod))


def _vanished(snapshot: Snapshot) -> Iterator[Pod]:
    """Pods that were members, or are the newest of their index, and do not exist."""
    assert snapshot.lease is not None
    newest = (pod for index in snapshot.indexes if (pod := snapshot.newest_pod(index)))
    named = {*newest, *snapshot.lease.round.pods}
    return (pod for pod in named if pod not in snapshot.by_pod and is_referenced(snapshot, pod))


def _unmarked_again(snapshot: Snapshot) -> Iterator[Pod]:
    """Members whose pods are gone, and whose marked Leases as well: agents that live on and joined
    again. Their pods were deleted by force, and their kubelets are away."""
    assert snapshot.lease is not None
    leases = {orphan.pod for orphan in snapshot.recalled.orphans}
    gone = snapshot.lease.round.pods & snapshot.recalled.marked - leases
    return (pod for pod in gone if pod not in snapshot.by_pod)


def _is_excused(seen: ObservedPod | None) -> bool:
    """Whether the loss of this pod is not counted.

    A container that ends leaves its pod behind. So a pod that is gone altogether was deleted while
    its agent ran: by force, by the garbage collector of a node that is gone, or while no operator
    watched. What the operator cannot know it does not charge.
    """
    return seen is None or seen.excused


def _reason(seen: ObservedPod | None) -> str:
    if seen is None:
        return "the pod is gone"
    code = f" {seen.container.exit_code}" if seen.container.exit_code is not None else ""
    return f"{seen.container.reason or 'ended'}{code}"
