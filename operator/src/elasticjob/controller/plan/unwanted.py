"""Pods that are no longer wanted: scaled away, suspended, or of another template.

`desired` said so first. They are deleted when the round goes on without them, so that the workers
of all stop at once and can save together.
"""

from __future__ import annotations

from collections.abc import Iterator

from elasticjob.controller.observe.parse import ObservedPod
from elasticjob.controller.observe.snapshot import Snapshot
from elasticjob.controller.plan import desired
from elasticjob.controller.plan.actions import Actions, DeletePod, Deletion, Later
from elasticjob.rendezvous import timing
from elasticjob.wire.round import Phase


def delete_unwanted_pods(snapshot: Snapshot) -> Actions:
    """Delete those that the round does not name; the others too if no round comes in time.

    A round that does not come is one that nobody holds any more. Told to leave, its members end by
    themselves.
    """
    for pod in _unwanted(snapshot):
        left_s = _patience_s(snapshot) - snapshot.lasted_s(_fact(pod))
        waits = snapshot.is_member(pod.pod) or _ends_delay(snapshot)
        if not waits or left_s <= 0:
            yield DeletePod(pod.name, pod.uid, _why(snapshot, pod))
        else:
            yield Later(left_s)


def facts(snapshot: Snapshot) -> Iterator[str]:
    """Since when each of them is not wanted."""
    return map(_fact, _unwanted(snapshot))


def _unwanted(snapshot: Snapshot) -> Iterator[ObservedPod]:
    if snapshot.lease is None:
        return
    wanted = {p.index: p for p in desired.wanted_pods(snapshot)}
    for pod in snapshot.living.values():
        lowest = wanted.get(pod.pod.index)
        comes_back = lowest is not None and lowest.generation <= pod.pod.generation
        if not snapshot.lease.desired.is_wanted(pod.pod) and not comes_back and not pod.deleting:
            yield pod


def _ends_delay(snapshot: Snapshot) -> bool:
    """Whether the holder is about to end the start delay of a Forming round, as no pod is wanted
    any more. Without it the pods that come later would wait for the rest of the delay."""
    if snapshot.lease is None or snapshot.lease.desired.wanted or not snapshot.lease.holder:
        return False
    return snapshot.lease.round.phase is Phase.FORMING and snapshot.lease.round.delay_ms > 0


def _patience_s(snapshot: Snapshot) -> float:
    silence_s = timing.silence_s(snapshot.heartbeat_s, timing.SILENT_PULSES_NODES)
    return snapshot.spec.stop_grace_seconds + silence_s


def _why(snapshot: Snapshot, pod: ObservedPod) -> Deletion:
    if snapshot.spec.suspend:
        return Deletion.SUSPENDED
    if desired.is_outdated(snapshot, pod.pod):
        return Deletion.TEMPLATE_CHANGED
    return Deletion.SCALED_DOWN


def _fact(pod: ObservedPod) -> str:
    return f"unwanted {pod.uid}"
