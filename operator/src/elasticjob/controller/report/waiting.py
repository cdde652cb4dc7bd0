"""Which pod's Events the operator reads next, and when: those of a pod that waits on its node.

A job costs one list of one pod's Events after some seconds, and then ever more rarely. The first
pod is read again while it has Warnings, as pods of one template mostly wait for the same; else the
next one is read.
"""

from __future__ import annotations

from elasticjob.controller.observe import lasting
from elasticjob.controller.observe.memory import Lasting, Since
from elasticjob.controller.observe.parse import ObservedPod
from elasticjob.controller.observe.pod_events import PodEvents, PodWarning
from elasticjob.controller.observe.snapshot import Snapshot
from elasticjob.rendezvous.now import Now

FIRST_AFTER_S = 5.0
SECOND_AFTER_S = 10.0  # doubled with each read
LONGEST_WAIT_S = 300.0


def next_to_read(snapshot: Snapshot, now: Now) -> ObservedPod | None:
    """The pod whose Events are to be read now; `now` notes when the next read is due."""
    pods = _waiting(snapshot)
    if not pods:
        return None
    known = snapshot.pod_events if _continues(snapshot, pods) else None
    pod = _next(pods, known)
    due_at = _since(snapshot, pod) + FIRST_AFTER_S
    if known:
        due_at = max(due_at, known.at + _wait_s(known.reads))
    return pod if now.has_come(due_at) else None


def after_read(snapshot: Snapshot, pod: ObservedPod, warnings: tuple[PodWarning, ...]) -> PodEvents:
    """The record of this read."""
    known = snapshot.pod_events
    reads = known.reads + 1 if known and _continues(snapshot, _waiting(snapshot)) else 1
    return PodEvents(pod.uid, snapshot.now, reads, warnings)


def last_warnings(snapshot: Snapshot) -> tuple[str, tuple[PodWarning, ...]]:
    """The pod that was read last and its Warnings, the newest first, if it still waits."""
    known = snapshot.pod_events
    pods = lasting.not_starting(snapshot) if known and known.warnings else ()
    name = next((pod.name for pod in pods if known and pod.uid == known.pod_uid), "")
    return (name, known.warnings) if known and name else ("", ())


def _waiting(snapshot: Snapshot) -> list[ObservedPod]:
    pods = lasting.not_starting(snapshot)
    return sorted(pods, key=lambda pod: (_since(snapshot, pod), pod.pod))


def _since(snapshot: Snapshot, pod: ObservedPod) -> float:
    return snapshot.since[Since(Lasting.NOT_STARTING, pod.uid)]


def _continues(snapshot: Snapshot, pods: list[ObservedPod]) -> bool:
    """Whether a pod has waited since before the last read: so that the waits grow further."""
    known = snapshot.pod_events
    return known is not None and _since(snapshot, pods[0]) <= known.at


def _next(pods: list[ObservedPod], known: PodEvents | None) -> ObservedPod:
    uids = [pod.uid for pod in pods]
    if known is None or known.pod_uid not in uids:
        return pods[0]
    place = uids.index(known.pod_uid)
    return pods[place if known.warnings else (place + 1) % len(pods)]


def _wait_s(reads: int) -> float:
    return min(SECOND_AFTER_S * 2.0 ** min(reads - 1, 16), LONGEST_WAIT_S)
