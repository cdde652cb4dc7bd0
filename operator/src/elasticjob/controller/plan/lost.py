"""Living pods that are lost: silent, late or stuck. And pods that are blamed for many failures.

The holder judges the agents that have a Lease, members and others, and the operator acts on the
Round Lease and the holder's report. The operator itself judges only agents that no holder can
judge: those without a Lease, and all of a job whose holder sends no pulse. docs/protocol.md has the
table, "Who judges whom".
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator

from elasticjob.controller.observe import lasting
from elasticjob.controller.observe.containers import ContainerState
from elasticjob.controller.observe.memory import Lasting, Renewal, Since
from elasticjob.controller.observe.parse import ObservedPod
from elasticjob.controller.observe.rounds import PastRound
from elasticjob.controller.observe.snapshot import Snapshot
from elasticjob.controller.plan import ended
from elasticjob.controller.plan.actions import Actions, DeletePod, Deletion, ListLeases, Mark
from elasticjob.controller.plan.restarts import blame
from elasticjob.rendezvous import timing
from elasticjob.rendezvous.now import Now
from elasticjob.wire.cause import CauseKind
from elasticjob.wire.member import Pod
from elasticjob.wire.round import Phase, Round

BLAMED_TOO_OFTEN = 3
STUCK_AFTER_S = 30.0  # beyond its grace; then a pod that is being deleted is on a dead node
UNACCEPTED_AFTER_S = 30.0  # a working kubelet accepts a pod within a second
JOINS_WITHIN_S = 120.0  # an agent that the API server refuses exits before, after 60 s
LIST_LEASES_AFTER_S = 15.0  # most agents without a Lease create one, or end, within this time
SILENT_AFTER_S = 30.0  # or 6T, if that is shorter
SILENT_READS = 4  # of the Leases, with the same renewal in each

_SILENCE = (CauseKind.POD_SILENT, CauseKind.POD_LATE)


def mark_lost_pods(snapshot: Snapshot, now: Now) -> Actions:
    """Mark the Leases of lost pods, so that the operator can replace them at once.

    The round without a pod that agents have found silent has counted its loss already. Its agent
    may return into a newer round that the operator has not received, so the mark excuses it.
    """
    found_by_agents = {
        *_dropped(snapshot),  # clause 9-dropped-is-lost
        *_reported(snapshot),  # clause 9-reported-is-lost
    }
    found_by_operator = {
        *_without_renewal(snapshot, now),  # clause 9-silent-is-lost
        *_stuck(snapshot, now),  # clause 9-stuck-is-lost
        *_unaccepted_too_long(snapshot, now),  # clause 9-unaccepted-is-lost
    }
    for pod in sorted((found_by_agents | found_by_operator) - snapshot.memory.marked):
        if ended.is_referenced(snapshot, pod):
            is_excused = (
                snapshot.living[pod].deleting  # clause 9-deleted-is-excused
                or pod in found_by_agents  # clause 9-counted-is-excused
            )
            yield Mark(pod, "given up", excused=is_excused)


def await_pulse(snapshot: Snapshot, now: Now) -> Actions:
    """Plan again when the holder may have sent no pulse for too long: if all agents of a job are
    silent, no agent is left to notice it. A pulse alone starts no pass."""
    if any(pod.container.state is ContainerState.RUNNING for pod in snapshot.living.values()):
        now.has_come(lasting.no_pulse_at(snapshot))
    return ()


def list_leases(snapshot: Snapshot, now: Now) -> Actions:
    """List the Leases of agents that only the operator can judge, again and again."""
    judged_at = [snapshot.since[Since(Lasting.JUDGED, p.uid)] for p in lasting.judged(snapshot)]
    if not judged_at:
        return
    due_at, listed_at = min(judged_at) + LIST_LEASES_AFTER_S, snapshot.memory.leases_listed_at
    if lasting.has_no_pulse(snapshot):
        due_at = -math.inf
    if listed_at is not None:
        due_at = max(due_at, listed_at + _list_interval_s(snapshot))
    if now.has_come(due_at):
        yield ListLeases()


def delete_lost_pods(snapshot: Snapshot, now: Now) -> Actions:
    """Delete the pods that are lost."""
    for pod in snapshot.living.values():
        if pod.pod in snapshot.memory.marked and not pod.deleting:
            yield DeletePod(pod.name, pod.uid, Deletion.LOST)


def delete_blamed_pods(snapshot: Snapshot, now: Now) -> Actions:
    """Delete the pods that are blamed too often, unless they are lost.

    A blamed pod is deleted once its last failure is known, within the delay of the restart, so that
    no later round has it as a member. Its agent leaves as planned, which charges nothing.
    """
    blamed = blame.counts(snapshot)
    for pod in snapshot.living.values():
        is_blamed = blamed.get(pod.pod.index, 0) >= BLAMED_TOO_OFTEN
        is_lost = pod.deleting or pod.pod in snapshot.memory.marked
        if is_blamed and not is_lost and snapshot.is_member(pod.pod):
            yield DeletePod(pod.name, pod.uid, Deletion.BLAMED)


def _dropped(snapshot: Snapshot) -> Iterator[Pod]:
    """Living pods that a round dropped as silent or late, and that have not returned.

    The round names one of them as its cause. The others are the wanted members that the next round
    lacks, if it has members: a Forming round has none, and the members before it are not all lost.
    A member that is no longer wanted may work.
    """
    assert snapshot.lease is not None
    rounds = snapshot.rounds
    for k, (before, after) in enumerate(itertools.pairwise(rounds)):
        if _is_about_silence(after) and after.n > before.n:
            dropped = before.members_without(after) if after.phase is Phase.ACTIVE else ()
            dropped = (pod for pod in dropped if snapshot.is_listed(pod))
            stay = (p for p in dropped if p in snapshot.living and not snapshot.living[p].deleting)
            for pod in (*_pod_of_cause(snapshot, after), *stay):
                if pod in snapshot.living and not _has_returned(pod, rounds[k + 1 :]):
                    yield pod
    yield from _of_current_cause(snapshot, snapshot.lease.round)


def _has_returned(pod: Pod, later: Iterable[PastRound]) -> bool:
    return any(round_.has(pod) for round_ in later)


def _of_current_cause(snapshot: Snapshot, round_: Round) -> Iterator[Pod]:
    """The pod of the current round's cause, which a restarted operator knows, too."""
    if _is_about_silence(round_):
        yield from (
            p for p in _pod_of_cause(snapshot, round_) - round_.pods if p in snapshot.living
        )


def _is_about_silence(round_: Round | PastRound) -> bool:
    return round_.cause is not None and round_.cause.kind in _SILENCE


def _pod_of_cause(snapshot: Snapshot, round_: Round | PastRound) -> frozenset[Pod]:
    """The pod of the round's cause, if it still exists."""
    pod = snapshot.by_name.get(round_.cause.pod) if round_.cause else None
    return frozenset({pod.pod}) if pod else frozenset()


def _reported(snapshot: Snapshot) -> Iterator[Pod]:
    """Pods outside of the current round that its holder reports as silent."""
    report = snapshot.lease.report if snapshot.lease else None
    if snapshot.lease is None or report is None or report.n != snapshot.lease.round.n:
        return
    for pod in report.silent:
        if (
            pod in snapshot.living
            and not snapshot.is_member(pod)  # clause 9-reported-member
            and not snapshot.is_holder(pod)  # clause 9-reported-holder
        ):
            yield pod


def _stuck(snapshot: Snapshot, now: Now) -> Iterator[Pod]:
    return (pod.pod for pod in _terminating(snapshot) if is_stuck(snapshot, pod, now))


def is_stuck(snapshot: Snapshot, pod: ObservedPod, now: Now) -> bool:
    """Whether a pod is being deleted for longer than a working kubelet takes to end it."""
    if not pod.deleting:
        return False
    if pod.pod in snapshot.memory.marked:  # clause 9-marked-is-stuck
        return True
    since_at = snapshot.since[Since(Lasting.DELETING, pod.uid)]
    return now.has_come(since_at + pod.grace_s + STUCK_AFTER_S)


def _unaccepted_too_long(snapshot: Snapshot, now: Now) -> Iterator[Pod]:
    """Pods on a dead node, which no kubelet accepts: a lost pod is replaced long before Kubernetes
    notices that its node is dead, and the scheduler may choose the same node again."""
    for pod in _unaccepted(snapshot):
        since_at = snapshot.since[Since(Lasting.UNACCEPTED, pod.uid)]
        if now.has_come(since_at + UNACCEPTED_AFTER_S):
            yield pod.pod


def _without_renewal(snapshot: Snapshot, now: Now) -> Iterator[Pod]:
    """Pods that the operator judges, and whose Lease is not renewed or not created."""
    for pod in lasting.judged(snapshot):
        renewal = snapshot.memory.renewals.get(pod.pod)
        if renewal and renewal.reads >= SILENT_READS:
            since_at = max(renewal.at, snapshot.since[Since(Lasting.JUDGED, pod.uid)])
            if now.has_come(since_at + _patience_s(snapshot, renewal)):
                yield pod.pod


def _patience_s(snapshot: Snapshot, renewal: Renewal) -> float:
    return _silent_after_s(snapshot) if renewal.renew_time else JOINS_WITHIN_S


def _silent_after_s(snapshot: Snapshot) -> float:
    return min(SILENT_AFTER_S, timing.silence_s(snapshot.heartbeat_s, 2 * timing.SILENT_PULSES))


def _list_interval_s(snapshot: Snapshot) -> float:
    """The time between two lists of the Leases: 3T, so that silence takes 9T, as for the holder if
    silent members are on several nodes. Without a pulse 9T are over already."""
    if lasting.has_no_pulse(snapshot):
        return _silent_after_s(snapshot) / (SILENT_READS - 1)
    return timing.silence_s(snapshot.heartbeat_s, timing.SILENT_PULSES)


def _terminating(snapshot: Snapshot) -> Iterator[ObservedPod]:
    return (
        p for p in snapshot.living.values() if p.deleting and p.pod not in snapshot.memory.marked
    )


def _unaccepted(snapshot: Snapshot) -> Iterator[ObservedPod]:
    marked = snapshot.memory.marked
    return (pod for pod in lasting.unaccepted(snapshot) if pod.pod not in marked)
