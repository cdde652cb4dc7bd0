"""Pods that do not start although a node has accepted them: what they need may be missing.

The kubelet waits for a deleted ConfigMap or account without an error, and the operator ensures
these otherwise only when it creates pods. A slow image pull looks the same, so this is done rarely.
"""

from __future__ import annotations

import math

from elasticjob.controller.observe import lasting
from elasticjob.controller.observe.memory import Lasting, Since
from elasticjob.controller.observe.snapshot import Snapshot
from elasticjob.controller.plan.actions import Actions, EnsurePrerequisites
from elasticjob.rendezvous.now import Now

AGAIN_AFTER_S = 60.0


def ensure_prerequisites_again(snapshot: Snapshot, now: Now) -> Actions:
    """Ensure the prerequisites once a minute while pods do not start."""
    waiting_at = [
        snapshot.since[Since(Lasting.NOT_STARTING, pod.uid)]
        for pod in lasting.not_starting(snapshot)
    ]
    if not waiting_at:
        return
    existed_at = snapshot.memory.prerequisites_at
    last_at = max(min(waiting_at), -math.inf if existed_at is None else existed_at)
    if now.has_come(last_at + AGAIN_AFTER_S):
        yield EnsurePrerequisites()
