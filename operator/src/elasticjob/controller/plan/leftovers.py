"""Objects that a job no longer needs: replaced pods, and the Leases of pods that are gone."""

from __future__ import annotations

from collections.abc import Iterator

from elasticjob.controller.observe import lasting
from elasticjob.controller.observe.memory import Lasting, Since
from elasticjob.controller.observe.parse import ObservedPod
from elasticjob.controller.observe.snapshot import Snapshot
from elasticjob.controller.plan import ended, job_over, missing, refused
from elasticjob.controller.plan.actions import Actions, DeleteLease, DeletePod, Deletion
from elasticjob.rendezvous import timing
from elasticjob.rendezvous.now import Now
from elasticjob.wire.lease import AgentLease
from elasticjob.wire.member import Pod


def delete_replaced_pods(snapshot: Snapshot, now: Now) -> Actions:
    """Delete pods that have ended and were replaced, except the last failed one if policy keeps it.

    Not even `Running` keeps all of them: their number would grow for weeks. None is kept while pods
    of the job are refused, because a quota of `count/pods` counts it.
    """
    policy = snapshot.spec.clean_pod_policy
    if policy == "None":
        return
    is_refused = any(
        refused.last_refusal(snapshot, creation) for creation in missing.missing_pods(snapshot, now)
    )
    keep = None if policy == "All" or is_refused else job_over.last_failed_pod(snapshot)
    for pod in _replaced(snapshot):
        if pod != keep and not pod.deleting:
            yield DeletePod(pod.name, pod.uid, Deletion.REPLACED)


def delete_orphan_leases(snapshot: Snapshot, now: Now) -> Actions:
    """Delete orphan Leases that no later round can depend on (rule 9, V2).

    These are the Leases of pods for which all of this holds:

    * The pod is not living, not a member and not the holder.
    * It is not wanted, or its phase is for an earlier round. The holder may not have received this
      phase yet, but it does not count in the current round, from which the next one is computed.

    Each stays for 3T: an agent that still runs although its pod is gone, because its
    kubelet is away, reads there that it has ended. The Lease of an index's newest pod stays until
    the next one is reserved, as it shows that the name was used.
    """
    for orphan in lasting.orphaned(snapshot):
        if (
            snapshot.lease is None
            or job_over.is_over(snapshot)
            or _is_unneeded(snapshot, orphan, now)
        ):
            yield DeleteLease(orphan.name, orphan.uid)


def _is_unneeded(snapshot: Snapshot, orphan: AgentLease, now: Now) -> bool:
    since_at = snapshot.since[Since(Lasting.ORPHANED, orphan.uid)]
    return (
        _is_unreferenced(snapshot, orphan.pod, orphan.state.n)
        and now.has_come(since_at + _kept_s(snapshot))  # clause 9-orphan-stays-for-3t
    )


def _is_unreferenced(snapshot: Snapshot, pod: Pod, n: int) -> bool:
    assert snapshot.lease is not None
    is_newest = pod == snapshot.newest_pod(pod.index) and pod.index in snapshot.indexes
    if (
        snapshot.is_member(pod)  # clause 9-lease-of-member
        or snapshot.is_holder(pod)  # clause 9-lease-of-holder
        or is_newest  # clause 9-lease-of-newest
    ):
        return False
    return (
        n < snapshot.lease.round.n  # clause 9-lease-of-earlier-round
        or not snapshot.is_listed(pod)  # clause 9-lease-of-unwanted
    )


def _kept_s(snapshot: Snapshot) -> float:
    return timing.silence_s(snapshot.heartbeat_s, timing.SILENT_PULSES)


def _replaced(snapshot: Snapshot) -> Iterator[ObservedPod]:
    newest = {snapshot.newest_pod(index) for index in snapshot.indexes}
    for pod in snapshot.pods:
        if (
            not pod.living
            and pod.pod not in newest  # clause 9-newest-pod-stays
            and not ended.is_mark_missing(snapshot, pod.pod)  # clause 9-mark-before-deletion
        ):
            yield pod
