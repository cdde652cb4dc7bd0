"""Pods that do not start although a node has accepted them: what they need may be missing.

The kubelet waits for a deleted ConfigMap or account without an error, and the operator ensures
these otherwise only when it creates pods. A slow image pull looks the same, so this is done rarely.
"""

from __future__ import annotations

from collections.abc import Iterator

from elasticjob.controller.observe.parse import ContainerState, ObservedPod
from elasticjob.controller.observe.snapshot import Snapshot
from elasticjob.controller.plan.actions import Actions, EnsurePrerequisites, Later

AGAIN_AFTER_S = 60.0

_MOUNTING = ("", "ContainerCreating")  # the kubelet's reasons for a missing volume


def ensure_prerequisites_again(snapshot: Snapshot) -> Actions:
    """Ensure the prerequisites once a minute while pods do not start."""
    waits = [AGAIN_AFTER_S - snapshot.lasted_s(fact) for fact in facts(snapshot)]
    if not waits:
        return
    wait_s = max(min(waits), _left_s(snapshot))
    if wait_s <= 0:
        yield EnsurePrerequisites()
    else:
        yield Later(wait_s)


def facts(snapshot: Snapshot) -> Iterator[str]:
    """Facts: this pod does not start."""
    return (f"not starting {pod.uid}" for pod in snapshot.living.values() if _is_not_starting(pod))


def _left_s(snapshot: Snapshot) -> float:
    prerequisites_at = snapshot.recalled.prerequisites_at
    return 0.0 if prerequisites_at is None else prerequisites_at + AGAIN_AFTER_S - snapshot.now


def _is_not_starting(pod: ObservedPod) -> bool:
    """Whether the pod is on a node that has not created its container."""
    waits = pod.container.state is ContainerState.WAITING and pod.container.reason in _MOUNTING
    return waits and bool(pod.node) and not pod.deleting
