"""What a job leaves behind while it runs: replaced pods, and the Leases of pods that are gone."""

from __future__ import annotations

from collections.abc import Iterator

from elasticjob.controller.observe.parse import PodSeen
from elasticjob.controller.observe.snapshot import Snapshot
from elasticjob.controller.plan import ended, job_over, refused, replace
from elasticjob.controller.plan.actions import Actions, DeleteLease, DeletePod, Later
from elasticjob.rendezvous import timing
from elasticjob.wire.lease import AgentLease
from elasticjob.wire.member import Pod


def replaced_pods(s: Snapshot) -> Actions:
    """Delete pods that have ended and were replaced; the one that failed last as policy says.

    Not even `Running` keeps all of them: a job that goes on for weeks would gather any number.
    And none is kept while pods of the job are refused: a quota of `count/pods` counts it, too.
    """
    policy = s.spec.clean_pod_policy
    if policy == "None":
        return
    is_refused = any(refused.of(s, make) for make in replace.missing(s))
    keep = None if policy == "All" or is_refused else job_over.failed_last(s)
    for pod in _replaced(s):
        if pod != keep and not pod.deleting:
            yield DeletePod(pod.name, pod.uid, "it has ended and was replaced")


def leases_of_the_gone(s: Snapshot) -> Actions:
    """Delete Leases of which the round can take no notice any more (rule 9, V2).

    That is: of no living pod, not of a member or the holder, and either not wanted, or with a word
    that is older than the round. The holder may not have seen the last word; that it computes its
    next round from this Round, in which that word counts for nothing, is certain.

    It stays for some beats: an agent whose pod is gone and which lives on, as its kubelet is away,
    finds there that it has ended. That of an index's newest pod stays until the next is reserved:
    it says that the name was used.
    """
    for orphan in s.recalled.orphans:
        if orphan.pod in s.living:
            continue
        if s.round is None or job_over.is_over(s):
            yield DeleteLease(orphan.name, orphan.uid)
        elif _is_forgotten(s, orphan.pod, orphan.state.n):
            left_s = _kept_s(s) - s.lasted_s(_fact(orphan))
            yield Later(left_s) if left_s > 0 else DeleteLease(orphan.name, orphan.uid)


def facts(s: Snapshot) -> Iterator[str]:
    """Since when each Lease is that of no living pod."""
    return (_fact(orphan) for orphan in s.recalled.orphans if orphan.pod not in s.living)


def _is_forgotten(s: Snapshot, pod: Pod, n: int) -> bool:
    assert s.round is not None
    is_newest = pod == s.current(pod.index) and pod.index in s.indexes
    if s.is_member(pod) or s.holds(pod) or is_newest:
        return False
    return n < s.round.round.n or not s.round.desired.wants(pod)


def _kept_s(s: Snapshot) -> float:
    return timing.silence_s(s.heartbeat_s, timing.SILENT_PULSES)


def _fact(orphan: AgentLease) -> str:
    return f"orphan {orphan.uid}"


def _replaced(s: Snapshot) -> Iterator[PodSeen]:
    newest = {s.current(index) for index in s.indexes}
    for pod in s.pods:
        if not pod.living and pod.pod not in newest and ended.is_buried(s, pod.pod):
            yield pod
