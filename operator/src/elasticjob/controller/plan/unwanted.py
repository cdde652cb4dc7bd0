"""Pods that are no longer wanted: scaled away, suspended, or of another template.

`desired` said so first. They are deleted when the round goes on without them, so that the workers
of all stop at once and can save together.
"""

from __future__ import annotations

from collections.abc import Iterator

from elasticjob.controller.observe.parse import PodSeen
from elasticjob.controller.observe.snapshot import Snapshot
from elasticjob.controller.plan import desired
from elasticjob.controller.plan.actions import Actions, DeletePod, Later
from elasticjob.rendezvous import timing
from elasticjob.wire.round import Phase


def delete_unwanted(s: Snapshot) -> Actions:
    """Delete those that the round does not name; the others too if no round comes in time.

    A round that does not come is one that nobody holds any more. Told to leave, its members end by
    themselves.
    """
    for pod in _unwanted(s):
        left_s = _patience_s(s) - s.lasted_s(_fact(pod))
        waits = s.is_member(pod.pod) or _ends_delay(s)
        if not waits or left_s <= 0:
            yield DeletePod(pod.name, pod.uid, _why(s, pod))
        else:
            yield Later(left_s)


def facts(s: Snapshot) -> Iterator[str]:
    """Since when each of them is not wanted."""
    return map(_fact, _unwanted(s))


def _unwanted(s: Snapshot) -> Iterator[PodSeen]:
    if s.round is None:
        return
    wanted = {p.index: p for p in desired.wanted_pods(s)}
    for pod in s.living.values():
        lowest = wanted.get(pod.pod.index)
        comes_back = lowest is not None and lowest.generation <= pod.pod.generation
        if not s.round.desired.wants(pod.pod) and not comes_back and not pod.deleting:
            yield pod


def _ends_delay(s: Snapshot) -> bool:
    """Whether the holder is about to end the start delay of a Forming round, as no pod is wanted
    any more. Without it the pods that come later would wait for the rest of the delay."""
    if s.round is None or s.round.desired.wanted or not s.round.holder:
        return False
    return s.round.round.phase is Phase.FORMING and s.round.round.delay_ms > 0


def _patience_s(s: Snapshot) -> float:
    silence_s = timing.silence_s(s.heartbeat_s, timing.SILENT_PULSES_NODES)
    return s.spec.stop_grace_seconds + silence_s


def _why(s: Snapshot, pod: PodSeen) -> str:
    if s.spec.suspend:
        return "the job is suspended"
    if desired.is_outdated(s, pod.pod):
        return "the template has changed"
    return "the job was scaled down"


def _fact(pod: PodSeen) -> str:
    return f"unwanted {pod.uid}"
