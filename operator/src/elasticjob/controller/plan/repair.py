"""What pods need, if the state of the job shows that it may be missing.

The kubelet waits for a deleted ConfigMap or account without an error, and agents keep their workers
when the API server refuses their writes. The operator ensures what pods need otherwise only when it
creates pods. A slow image pull or a cut network looks the same, so this is done rarely.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from elasticjob.controller.observe import lasting
from elasticjob.controller.observe.memory import Lasting, Since
from elasticjob.controller.observe.snapshot import Snapshot
from elasticjob.controller.plan.actions import Actions, EnsurePrerequisites
from elasticjob.rendezvous.now import Now

AGAIN_AFTER_S = 60.0


def ensure_prerequisites_again(snapshot: Snapshot, now: Now) -> Actions:
    """Ensure the prerequisites: while pods do not start, and when the holder has sent no pulse for
    9T, before the operator judges the agents by their Leases. Again once a minute."""
    due_at = min((*_pods_wait_at(snapshot), *_agents_are_silent_at(snapshot)), default=math.inf)
    if due_at < math.inf and now.has_come(due_at):
        yield EnsurePrerequisites()


def exist(snapshot: Snapshot, now: Now) -> bool:
    """Whether the prerequisites existed less than a minute ago, and nothing shows since then that
    one is missing."""
    existed_at = snapshot.memory.prerequisites_at
    if existed_at is None or now.has_come(existed_at + AGAIN_AFTER_S):
        return False
    return not any(now.has_come(at) for at in _agents_are_silent_at(snapshot))


def _pods_wait_at(snapshot: Snapshot) -> Iterator[float]:
    existed_at = snapshot.memory.prerequisites_at
    for pod in lasting.not_starting(snapshot):
        since_at = snapshot.since[Since(Lasting.NOT_STARTING, pod.uid)]
        yield max(since_at, -math.inf if existed_at is None else existed_at) + AGAIN_AFTER_S


def _agents_are_silent_at(snapshot: Snapshot) -> Iterator[float]:
    """When to look while the holder sends no pulse, as the agents may lack their rights: at once,
    if the operator has not looked since. `lost.await_pulse` waits for this silence."""
    existed_at = snapshot.memory.prerequisites_at
    is_silent = lasting.does_holder_run(snapshot) and lasting.has_no_pulse(snapshot)
    if is_silent:  # clause 9-ensure-for-silent-agents
        has_looked = existed_at is not None and existed_at >= lasting.no_pulse_at(snapshot)
        yield existed_at + AGAIN_AFTER_S if has_looked and existed_at is not None else -math.inf
