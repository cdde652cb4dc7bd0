"""Pods that do not start although a node has accepted them: what they need may be missing.

The kubelet waits for a deleted ConfigMap or account without an error, and the operator ensures
these otherwise only when it creates pods. A slow image pull looks the same, so this is done rarely.
"""

from __future__ import annotations

from elasticjob.controller.observe import lasting
from elasticjob.controller.observe.memory import Lasting
from elasticjob.controller.observe.snapshot import Snapshot
from elasticjob.controller.plan.actions import Actions, EnsurePrerequisites, Later

AGAIN_AFTER_S = 60.0


def ensure_prerequisites_again(snapshot: Snapshot) -> Actions:
    """Ensure the prerequisites once a minute while pods do not start."""
    waits = [
        AGAIN_AFTER_S - snapshot.lasted_s(Lasting.NOT_STARTING, pod.uid)
        for pod in lasting.not_starting(snapshot)
    ]
    if not waits:
        return
    wait_s = max(min(waits), _left_s(snapshot))
    if wait_s <= 0:
        yield EnsurePrerequisites()
    else:
        yield Later(wait_s)


def _left_s(snapshot: Snapshot) -> float:
    prerequisites_at = snapshot.memory.prerequisites_at
    return 0.0 if prerequisites_at is None else prerequisites_at + AGAIN_AFTER_S - snapshot.now
