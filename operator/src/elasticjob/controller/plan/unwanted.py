"""Pods that are no longer wanted: scaled down, suspended, or of another template.

The operator removes them from `desired` first, and deletes them when the next round is without
them. So all workers of the group stop at once and can save together.
"""

from __future__ import annotations

from collections.abc import Iterator

from elasticjob.controller.observe import lasting
from elasticjob.controller.observe.memory import Lasting, Since
from elasticjob.controller.observe.parse import ObservedPod
from elasticjob.controller.observe.snapshot import Snapshot
from elasticjob.controller.plan import desired
from elasticjob.controller.plan.actions import Actions, DeletePod, Deletion
from elasticjob.rendezvous import timing
from elasticjob.rendezvous.now import Now
from elasticjob.wire.round import Phase


def delete_unwanted_pods(snapshot: Snapshot, now: Now) -> Actions:
    """Delete those that are no members, and the members if the next round does not come in time.

    In that case no agent is the holder, and SIGTERM makes the members leave.
    """
    for pod in _unwanted(snapshot, now):
        since_at = snapshot.since[Since(Lasting.UNLISTED, pod.uid)]
        waits = (
            snapshot.is_member(pod.pod)  # clause 9-unwanted-members-stop-together
            or _ends_delay(snapshot)  # clause 9-holder-ends-the-delay
        )
        if not waits or now.has_come(since_at + _patience_s(snapshot)):
            why = _why(snapshot, pod)
            is_new = why is Deletion.TEMPLATE_CHANGED
            changed = desired.fields_changed_since(snapshot, pod.pod) if is_new else ()
            yield DeletePod(pod.name, pod.uid, why, changed)


def _unwanted(snapshot: Snapshot, now: Now) -> Iterator[ObservedPod]:
    """Pods that neither the Round Lease nor the spec wants."""
    wanted = {p.index: p for p in desired.wanted_pods(snapshot, now)}
    for pod in lasting.unlisted(snapshot):
        lowest = wanted.get(pod.pod.index)
        if lowest is None or lowest.generation > pod.pod.generation:
            yield pod


def _ends_delay(snapshot: Snapshot) -> bool:
    """Whether the holder will end the start delay of a Forming round because no pod is wanted. It
    must still run for this, else later pods wait for the rest of the delay."""
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
