"""Pods that are missing: the first of an index, and the next generation of one that is gone.

The first replacement of an index comes at once. Another within a minute of it waits for that minute
to pass, and each further one twice as long: a pod that cannot live costs little.
"""

from __future__ import annotations

from collections.abc import Iterator

from elasticjob.controller.observe.snapshot import Replacement, Snapshot
from elasticjob.controller.plan import desired, ended, lost, refused
from elasticjob.controller.plan.actions import Actions, CreatePod, EnsurePrerequisites, Later
from elasticjob.wire.member import Pod

FIRST_WAIT_S = 60.0
LONGEST_WAIT_S = 600.0
FORGIVEN_AFTER_S = 1800.0


def create_missing_pods(snapshot: Snapshot) -> Actions:
    """Make what is missing and need not wait. Of pods that were refused or put off, first those
    that were not asked for the longest: one that is always refused keeps no other from being made.
    """
    makes: list[CreatePod] = []
    for pod in missing_pods(snapshot):
        wait_s = max(_wait_s(snapshot, pod), refused.wait_s(snapshot, pod))
        if wait_s > 0:
            yield Later(wait_s)
        else:
            makes.append(pod)
    if not makes:
        return
    if _may_lack(snapshot, makes):
        yield refused.delayed(snapshot, EnsurePrerequisites())
    if refused.wait_s(snapshot, EnsurePrerequisites()) <= 0:
        yield from sorted(makes, key=lambda pod: _asked_at(snapshot, pod))


def missing_pods(snapshot: Snapshot) -> Iterator[CreatePod]:
    """What is missing of the wanted indexes, once `desired` names them."""
    told, there = _told(snapshot), {pod.index for pod in pods_in_place(snapshot)}
    for pod in desired.wanted_pods(snapshot):
        if pod in told and pod.index not in there and (found := _missing(snapshot, pod)):
            yield found


def pods_in_place(snapshot: Snapshot) -> list[Pod]:
    """Pods that fill their index: the newest of it. One that is being deleted does until it has
    ended, is lost, or is stuck; an older one, which a dead node keeps, does not."""
    living = (pod for pod in snapshot.living.values() if pod.pod not in snapshot.recalled.marked)
    newest = (pod for pod in living if pod.pod == snapshot.newest_pod(pod.pod.index))
    return [pod.pod for pod in newest if not lost.is_stuck(snapshot, pod)]


def after_replacement(before: Replacement | None, now: float) -> Replacement:
    """The record of an index with one more replacement."""
    if before is None or now - before.at >= FORGIVEN_AFTER_S:
        return Replacement(1, now)
    return Replacement(before.count + 1, now)


def wait_s(before: Replacement | None, now: float) -> float:
    """How long the next replacement of an index still has to wait."""
    if before is None or now - before.at >= FORGIVEN_AFTER_S:
        return 0.0
    asked_s = min(FIRST_WAIT_S * 2.0 ** min(before.count - 1, 16), LONGEST_WAIT_S)
    return max(0.0, before.at + asked_s - now)


def _wait_s(snapshot: Snapshot, make: CreatePod) -> float:
    before = snapshot.recalled.replacements.get(make.pod.index) if make.replaces else None
    return wait_s(before, snapshot.now)


def _may_lack(snapshot: Snapshot, makes: list[CreatePod]) -> bool:
    """Whether something that these pods need may not be there. When they are only tried again, it
    is: a refusal that says otherwise clears `prerequisites_at`."""
    return snapshot.recalled.prerequisites_at is None or not all(
        refused.last_refusal(snapshot, make) for make in makes
    )


def _asked_at(snapshot: Snapshot, make: CreatePod) -> float:
    found = refused.last_refusal(snapshot, make)
    return found.requested_at if found else 0.0


def _missing(snapshot: Snapshot, lowest: Pod) -> CreatePod | None:
    """The pod to make for this index, or None if it must not be made yet."""
    current = snapshot.newest_pod(lowest.index)
    if current is None:
        return CreatePod(snapshot.next_pod(lowest.index))
    if current in snapshot.recalled.never_created:
        return CreatePod(current, replaces=current.generation > lowest.generation)
    if current.generation < lowest.generation:
        return CreatePod(snapshot.next_pod(lowest.index))
    if ended.is_fenced(snapshot, current):
        return CreatePod(snapshot.next_pod(lowest.index), replaces=True)
    return None


def _told(snapshot: Snapshot) -> frozenset[Pod]:
    assert snapshot.lease is not None
    return frozenset(snapshot.lease.desired.wanted)
