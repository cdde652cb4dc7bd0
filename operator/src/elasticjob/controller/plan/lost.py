"""Pods that live and are of no use: silent, stuck, or blamed again and again.

The holder judges the agents that have a Lease, members and others, and the operator acts on what
the Round and the holder's report say. The operator itself judges only agents that no holder can
judge: those without a Lease, and all of a job whose holder gives no pulse. docs/protocol.md has the
table, "Who judges whom".
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from elasticjob.controller.observe.parse import ContainerState, ObservedPod
from elasticjob.controller.observe.snapshot import Renewal, Snapshot
from elasticjob.controller.plan import blame, ended
from elasticjob.controller.plan.actions import Actions, DeletePod, Deletion, Later, ListLeases, Mark
from elasticjob.rendezvous import timing
from elasticjob.wire.cause import CauseKind
from elasticjob.wire.member import Pod
from elasticjob.wire.round import Phase, Round

BLAMED_TOO_OFTEN = 3
STUCK_AFTER_S = 30.0  # beyond its grace a pod that is being deleted is on a node that is gone
UNSEEN_AFTER_S = 30.0  # a kubelet that lives accepts a pod within a second
JOINS_WITHIN_S = 120.0  # an agent that cannot reach the API exits after 60 s
LISTENS_AFTER_S = 15.0  # most who are outside will be in before long, or end
SILENT_AFTER_S = 30.0
SILENT_LOOKS = 4  # three gaps of three T: as many T as the holder waits for members on many nodes

_UNHEARD = (CauseKind.POD_SILENT, CauseKind.POD_LATE)


def mark_lost_pods(snapshot: Snapshot) -> Actions:
    """Mark those that are lost, so that their next generation can be made at once."""
    lost = {
        *_dropped(snapshot),
        *_reported(snapshot),
        *_unheard(snapshot),
        *_stuck(snapshot),
        *_unseen(snapshot),
    }
    for pod in sorted(lost - snapshot.recalled.marked):
        if ended.is_referenced(snapshot, pod):
            yield Mark(pod, "given up", excused=snapshot.living[pod].deleting)
    if _shall_listen(snapshot):
        yield ListLeases()
    waits = [
        LISTENS_AFTER_S - snapshot.lasted_s(_unjudged(p)) for p in judged_by_operator(snapshot)
    ]
    waits += [
        p.grace_s + STUCK_AFTER_S - snapshot.lasted_s(_deleting(p)) for p in _terminating(snapshot)
    ]
    waits += [UNSEEN_AFTER_S - snapshot.lasted_s(_waiting(p)) for p in _unaccepted(snapshot)]
    waits += (
        [_mute_after_s(snapshot) - snapshot.lasted_s(_pulse(snapshot))]
        if _waits_for_pods(snapshot)
        else []
    )
    if waits:
        yield Later(max(min(waits), _every_s(snapshot)))


def delete_lost_pods(snapshot: Snapshot) -> Actions:
    """Delete the pods that are lost, and those that are blamed too often.

    A blamed pod is deleted as soon as its last failure is known, within the delay of the restart:
    so no round begins with it again. Its agent leaves by plan, which charges nothing.
    """
    blamed = blame.counts(snapshot)
    for pod in snapshot.living.values():
        if pod.deleting:
            continue
        if pod.pod in snapshot.recalled.marked:
            yield DeletePod(pod.name, pod.uid, Deletion.LOST)
        elif blamed.get(pod.pod.index, 0) >= BLAMED_TOO_OFTEN and snapshot.is_member(pod.pod):
            yield DeletePod(pod.name, pod.uid, Deletion.BLAMED)


def facts(snapshot: Snapshot) -> Iterator[str]:
    """The last pulse; the pods that no holder judges, that are being deleted, that no kubelet has
    accepted."""
    yield _pulse(snapshot)
    yield from map(_unjudged, judged_by_operator(snapshot))
    yield from map(_waiting, _unaccepted(snapshot))
    yield from map(_deleting, _terminating(snapshot))


def _dropped(snapshot: Snapshot) -> Iterator[Pod]:
    """Those that left the round when somebody was silent or late, still live, and are not back.

    A round names one of them as its cause. The others are told by who is missing, but only where
    the next round has members: those of a round that is Forming are not all lost.
    """
    assert snapshot.lease is not None
    rounds = [*snapshot.recalled.rounds, snapshot.lease.round]
    for k, (before, after) in enumerate(itertools.pairwise(rounds)):
        if _is_about_silence(after) and after.n > before.n:
            missing = before.pods - after.pods if after.phase is Phase.ACTIVE else frozenset()
            back = frozenset().union(*(later.pods for later in rounds[k + 1 :]))
            yield from (p for p in _named(snapshot, after) - back if p in snapshot.living)
            yield from (
                p
                for p in missing - back
                if p in snapshot.living and not snapshot.living[p].deleting
            )
    yield from _named_now(snapshot, snapshot.lease.round)


def _named_now(snapshot: Snapshot, round_: Round) -> Iterator[Pod]:
    """The one that the present round names; it is known even after a restart of the operator."""
    if _is_about_silence(round_):
        yield from (p for p in _named(snapshot, round_) - round_.pods if p in snapshot.living)


def _is_about_silence(round_: Round) -> bool:
    return round_.cause is not None and round_.cause.kind in _UNHEARD


def _named(snapshot: Snapshot, round_: Round) -> frozenset[Pod]:
    """The pod of the cause, if it still exists."""
    pod = snapshot.by_name.get(round_.cause.pod) if round_.cause else None
    return frozenset({pod.pod}) if pod else frozenset()


def _reported(snapshot: Snapshot) -> Iterator[Pod]:
    """Pods outside of the present round that its holder reports as silent."""
    report = snapshot.lease.report if snapshot.lease else None
    if snapshot.lease is None or report is None or report.n != snapshot.lease.round.n:
        return
    for pod in report.silent:
        if pod in snapshot.living and not snapshot.is_member(pod) and not snapshot.is_holder(pod):
            yield pod


def _stuck(snapshot: Snapshot) -> Iterator[Pod]:
    return (pod.pod for pod in _terminating(snapshot) if is_stuck(snapshot, pod))


def is_stuck(snapshot: Snapshot, pod: ObservedPod) -> bool:
    """Whether a pod has been deleted for longer than a kubelet that works takes to end it."""
    is_over = snapshot.lasted_s(_deleting(pod)) >= pod.grace_s + STUCK_AFTER_S
    return pod.deleting and (is_over or pod.pod in snapshot.recalled.marked)


def _unseen(snapshot: Snapshot) -> Iterator[Pod]:
    """Pods that were bound to a node that is gone: the heir of a lost pod is made long before
    Kubernetes knows of its node's death, and the scheduler may well choose it again."""
    for pod in _unaccepted(snapshot):
        if snapshot.lasted_s(_waiting(pod)) >= UNSEEN_AFTER_S:
            yield pod.pod


def _unheard(snapshot: Snapshot) -> Iterator[Pod]:
    """Agents that the operator judges and whose Lease does not change, or does not appear."""
    for pod in judged_by_operator(snapshot):
        renewal = snapshot.recalled.renewals.get(pod.pod)
        if renewal and renewal.reads >= SILENT_LOOKS:
            unchanged_s = min(snapshot.now - renewal.at, snapshot.lasted_s(_unjudged(pod)))
            if unchanged_s >= _patience_s(renewal):
                yield pod.pod


def _patience_s(renewal: Renewal) -> float:
    return SILENT_AFTER_S if renewal.renew_time else JOINS_WITHIN_S


def _shall_listen(snapshot: Snapshot) -> bool:
    waited = [snapshot.lasted_s(_unjudged(pod)) for pod in judged_by_operator(snapshot)]
    is_due = (
        snapshot.recalled.leases_listed_at is None
        or snapshot.now - snapshot.recalled.leases_listed_at >= _every_s(snapshot)
    )
    return is_due and any(waited_s >= LISTENS_AFTER_S for waited_s in waited)


def _every_s(snapshot: Snapshot) -> float:
    return timing.silence_s(snapshot.heartbeat_s, timing.SILENT_PULSES)


def judged_by_operator(snapshot: Snapshot) -> Iterator[ObservedPod]:
    """Agents that no holder can judge, so that the operator judges them.

    While the holder gives pulses: those that have no Lease, as far as the operator knows. Without
    pulses: all, for where all agents are silent at once, or the only one is, no agent is left to
    judge. The holder's own Lease never counts while it gives pulses: it renews the Round instead.
    """
    for pod in snapshot.living.values():
        runs = pod.container.state is ContainerState.RUNNING and not pod.deleting
        wanted = snapshot.lease is not None and snapshot.lease.desired.is_wanted(pod.pod)
        if (
            runs
            and wanted
            and pod.pod not in snapshot.recalled.marked
            and not _is_judged(snapshot, pod.pod)
        ):
            yield pod


def _is_judged(snapshot: Snapshot, pod: Pod) -> bool:
    """Whether an agent judges this one: the holder, or for the holder those that miss its pulse."""
    if _is_mute(snapshot):
        return False
    if snapshot.is_member(pod) or snapshot.is_holder(pod):
        return True
    renewal, report = (
        snapshot.recalled.renewals.get(pod),
        snapshot.lease.report if snapshot.lease else None,
    )
    reports = report is None or report.outside  # an agent of an older release judges members only
    return reports and bool(renewal and renewal.renew_time)


def _is_mute(snapshot: Snapshot) -> bool:
    """Whether the holder has given no pulse for longer than another agent takes to claim.

    A pulse alone starts no pass of the operator. While a round is Forming a pass is planned for the
    time when this could be so; while one is Active, it is found when all jobs are looked at again
    (resync).
    """
    return snapshot.lasted_s(_pulse(snapshot)) >= _mute_after_s(snapshot)


def _mute_after_s(snapshot: Snapshot) -> float:
    return timing.silence_s(snapshot.heartbeat_s, timing.SILENT_PULSES_NODES)


def _waits_for_pods(snapshot: Snapshot) -> bool:
    """Whether agents wait in a Forming round: if those that are there end silently, no agent is
    left to notice."""
    if (
        snapshot.lease is None
        or snapshot.lease.round.phase is not Phase.FORMING
        or not snapshot.lease.desired.wanted
    ):
        return False
    return any(pod.container.state is ContainerState.RUNNING for pod in snapshot.living.values())


def _terminating(snapshot: Snapshot) -> Iterator[ObservedPod]:
    return (
        p for p in snapshot.living.values() if p.deleting and p.pod not in snapshot.recalled.marked
    )


def _unaccepted(snapshot: Snapshot) -> Iterator[ObservedPod]:
    for pod in snapshot.living.values():
        bound = bool(pod.node) and not pod.accepted and not pod.deleting
        if bound and pod.pod not in snapshot.recalled.marked:
            yield pod


def _pulse(snapshot: Snapshot) -> str:
    return f"pulse {snapshot.lease.renew_time}" if snapshot.lease else "no round"


def _unjudged(pod: ObservedPod) -> str:
    return f"unjudged {pod.uid}"


def _waiting(pod: ObservedPod) -> str:
    return f"unaccepted {pod.uid}"


def _deleting(pod: ObservedPod) -> str:
    return f"deleting {pod.uid}"
