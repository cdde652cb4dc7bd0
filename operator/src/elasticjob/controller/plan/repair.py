"""Pods that hang before their start: somebody may have deleted what they need.

A pod whose ConfigMap or account is gone waits for it in silence, and nothing else would make that
again while no pod is made. An image that takes long looks the same from here, so it is rare.
"""

from __future__ import annotations

from collections.abc import Iterator

from elasticjob.controller.observe.parse import ContainerState, ObservedPod
from elasticjob.controller.observe.snapshot import Snapshot
from elasticjob.controller.plan.actions import Actions, EnsurePrerequisites, Later

AGAIN_AFTER_S = 60.0

_MOUNTING = ("", "ContainerCreating")  # how the kubelet words a volume that is not there


def ensure_prerequisites_again(snapshot: Snapshot) -> Actions:
    """See to it again that all is there, once a minute while pods hang."""
    waits = [AGAIN_AFTER_S - snapshot.lasted_s(fact) for fact in facts(snapshot)]
    if not waits:
        return
    wait_s = max(min(waits), _left_s(snapshot))
    if wait_s <= 0:
        yield EnsurePrerequisites()
    else:
        yield Later(wait_s)


def facts(snapshot: Snapshot) -> Iterator[str]:
    """Since when each of them has hung."""
    return (f"hangs {pod.uid}" for pod in snapshot.living.values() if _hangs(pod))


def _left_s(snapshot: Snapshot) -> float:
    prerequisites_at = snapshot.recalled.prerequisites_at
    return 0.0 if prerequisites_at is None else prerequisites_at + AGAIN_AFTER_S - snapshot.now


def _hangs(pod: ObservedPod) -> bool:
    """On a node, and its container is not made."""
    waits = pod.container.state is ContainerState.WAITING and pod.container.reason in _MOUNTING
    return waits and bool(pod.node) and not pod.deleting
