"""Missing pods: the first pod of an index, and the replacement of one that has ended or is lost.

The first replacement of an index is created at once, the second a minute after it, and each further
one after twice the wait before, so that a pod that always fails costs little.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from elasticjob.controller.observe.memory import Replacement
from elasticjob.controller.observe.snapshot import Snapshot
from elasticjob.controller.plan import desired, ended, lost, refused
from elasticjob.controller.plan.actions import Actions, CreatePod, EnsurePrerequisites
from elasticjob.rendezvous.now import Now
from elasticjob.wire.member import Pod

FIRST_WAIT_S = 60.0
LONGEST_WAIT_S = 600.0
FORGIVEN_AFTER_S = 1800.0


def create_missing_pods(snapshot: Snapshot, now: Now) -> Actions:
    """Create missing pods that need not wait. Of refused or postponed pods, those come first whose
    last request is the longest ago, so that a pod which is always refused does not block others.
    """
    missing = missing_pods(snapshot, now)
    creations = [pod for pod in missing if now.has_come(_due_at(snapshot, pod))]
    if not creations:
        return
    if _may_lack_prerequisites(snapshot, creations):  # clause 9-prerequisites-before-pods
        yield EnsurePrerequisites()
    if refused.may_try(snapshot, EnsurePrerequisites(), now):
        yield from sorted(creations, key=lambda pod: _requested_at(snapshot, pod))


def missing_pods(snapshot: Snapshot, now: Now) -> Iterator[CreatePod]:
    """The missing pods of the indexes that `desired` in the Round Lease lists."""
    listed, present = _listed(snapshot), {pod.index for pod in pods_in_place(snapshot, now)}
    for pod in desired.wanted_pods(snapshot, now):
        if (
            pod in listed  # clause 9-create-listed
            and pod.index not in present  # clause 9-one-pod-for-an-index
            and (found := _missing(snapshot, pod))
        ):
            yield found


def pods_in_place(snapshot: Snapshot, now: Now) -> list[Pod]:
    """Living pods that need no replacement: the newest of each index, unless it is lost or stuck.
    An older pod, which stays on a dead node, does not fill its index."""
    return [
        pod.pod
        for pod in snapshot.living.values()
        if pod.pod not in snapshot.memory.marked  # clause 9-replace-marked
        and pod.pod == snapshot.newest_pod(pod.pod.index)  # clause 9-older-pod-fills-no-index
        and not lost.is_stuck(snapshot, pod, now)  # clause 9-replace-stuck
    ]


def after_replacement(before: Replacement | None, now: float) -> Replacement:
    """The record of an index with one more replacement."""
    if before is None or now - before.at >= FORGIVEN_AFTER_S:
        return Replacement(1, now)
    return Replacement(before.count + 1, now)


def next_replacement_at(before: Replacement | None) -> float:
    """When an index may be replaced again; minus infinity for its first replacement."""
    if before is None:
        return -math.inf
    return before.at + min(FIRST_WAIT_S * 2.0 ** min(before.count - 1, 16), LONGEST_WAIT_S)


def _due_at(snapshot: Snapshot, creation: CreatePod) -> float:
    """When this pod may be created: a wait ends with another template, which may be the cure."""
    before = snapshot.memory.replacements.get(creation.pod.index) if creation.replaces else None
    if _is_of_another_template(snapshot, creation.pod.index):  # clause 9-new-template-ends-waits
        before = None
    return max(next_replacement_at(before), refused.next_try_at(snapshot, creation))


def _is_of_another_template(snapshot: Snapshot, index: int) -> bool:
    """Whether the newest pod of an index exists and was created from another template."""
    newest = snapshot.newest_pod(index)
    return newest in snapshot.by_pod and desired.is_outdated(snapshot, newest)


def _may_lack_prerequisites(snapshot: Snapshot, creations: list[CreatePod]) -> bool:
    """Whether a prerequisite of these pods may be missing. If all are tried again it is not,
    because a refusal that names a missing one clears `prerequisites_at`."""
    return snapshot.memory.prerequisites_at is None or not all(
        refused.last_refusal(snapshot, creation) for creation in creations
    )


def _requested_at(snapshot: Snapshot, creation: CreatePod) -> float:
    found = refused.last_refusal(snapshot, creation)
    return (found and found.requested_at) or 0.0


def _missing(snapshot: Snapshot, lowest: Pod) -> CreatePod | None:
    """The pod to create for this index; None if it must not be created yet."""
    current = snapshot.newest_pod(lowest.index)
    if current is None:
        return CreatePod(snapshot.next_pod(lowest.index))
    if current in snapshot.never_created:
        return CreatePod(current, replaces=current.generation > lowest.generation)
    if current.generation < lowest.generation:
        return CreatePod(snapshot.next_pod(lowest.index))
    if ended.is_mark_missing(snapshot, current):  # clause 9-mark-before-replacement
        return None
    return CreatePod(snapshot.next_pod(lowest.index), replaces=True)


def _listed(snapshot: Snapshot) -> frozenset[Pod]:
    assert snapshot.lease is not None
    return frozenset(snapshot.lease.desired.wanted)
