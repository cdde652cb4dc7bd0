"""What a job leaves behind while it runs: replaced pods, and the Leases of pods that are gone."""

from __future__ import annotations

from collections.abc import Iterator

from elasticjob.controller.observe.parse import ObservedPod
from elasticjob.controller.observe.snapshot import Snapshot
from elasticjob.controller.plan import ended, job_over, refused, replace
from elasticjob.controller.plan.actions import Actions, DeleteLease, DeletePod, Deletion, Later
from elasticjob.rendezvous import timing
from elasticjob.wire.lease import AgentLease
from elasticjob.wire.member import Pod


def delete_replaced_pods(snapshot: Snapshot) -> Actions:
    """Delete pods that have ended and were replaced; the one that failed last as policy says.

    Not even `Running` keeps all of them: a job that goes on for weeks would gather any number.
    And none is kept while pods of the job are refused: a quota of `count/pods` counts it, too.
    """
    policy = snapshot.spec.clean_pod_policy
    if policy == "None":
        return
    is_refused = any(
        refused.last_refusal(snapshot, make) for make in replace.missing_pods(snapshot)
    )
    keep = None if policy == "All" or is_refused else job_over.failed_last(snapshot)
    for pod in _replaced(snapshot):
        if pod != keep and not pod.deleting:
            yield DeletePod(pod.name, pod.uid, Deletion.REPLACED)


def delete_orphan_leases(snapshot: Snapshot) -> Actions:
    """Delete Leases of which the round can take no notice any more (rule 9, V2).

    That is: of no living pod, not of a member or the holder, and either not wanted, or with a word
    that is older than the round. The holder may not have seen the last word; that it computes its
    next round from this Round, in which that word counts for nothing, is certain.

    It stays for some beats: an agent whose pod is gone and which lives on, as its kubelet is away,
    finds there that it has ended. That of an index's newest pod stays until the next is reserved:
    it says that the name was used.
    """
    for orphan in snapshot.recalled.orphans:
        if orphan.pod in snapshot.living:
            continue
        if snapshot.lease is None or job_over.is_over(snapshot):
            yield DeleteLease(orphan.name, orphan.uid)
        elif _is_forgotten(snapshot, orphan.pod, orphan.state.n):
            left_s = _kept_s(snapshot) - snapshot.lasted_s(_fact(orphan))
            yield Later(left_s) if left_s > 0 else DeleteLease(orphan.name, orphan.uid)


def facts(snapshot: Snapshot) -> Iterator[str]:
    """Since when each Lease is that of no living pod."""
    return (
        _fact(orphan) for orphan in snapshot.recalled.orphans if orphan.pod not in snapshot.living
    )


def _is_forgotten(snapshot: Snapshot, pod: Pod, n: int) -> bool:
    assert snapshot.lease is not None
    is_newest = pod == snapshot.newest_pod(pod.index) and pod.index in snapshot.indexes
    if snapshot.is_member(pod) or snapshot.is_holder(pod) or is_newest:
        return False
    return n < snapshot.lease.round.n or not snapshot.lease.desired.is_wanted(pod)


def _kept_s(snapshot: Snapshot) -> float:
    return timing.silence_s(snapshot.heartbeat_s, timing.SILENT_PULSES)


def _fact(orphan: AgentLease) -> str:
    return f"orphan {orphan.uid}"


def _replaced(snapshot: Snapshot) -> Iterator[ObservedPod]:
    newest = {snapshot.newest_pod(index) for index in snapshot.indexes}
    for pod in snapshot.pods:
        if not pod.living and pod.pod not in newest and ended.is_fenced(snapshot, pod.pod):
            yield pod
