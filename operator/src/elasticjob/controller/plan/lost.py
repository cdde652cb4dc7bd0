"""Pods that live and are of no use: silent, stuck, or blamed again and again.

The holder judges the agents that have a Lease, members and others, and the operator acts on what
the Round and the holder's report say. The operator itself judges only agents that no holder can
judge: those without a Lease, and all of a job whose holder gives no pulse. docs/protocol.md has the
table, "Who judges whom".
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from elasticjob.controller.observe.parse import PodSeen, Stage
from elasticjob.controller.observe.snapshot import Heard, Snapshot
from elasticjob.controller.plan import blame, ended
from elasticjob.controller.plan.actions import Actions, DeletePod, Later, Listen, Mark
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


def mark(s: Snapshot) -> Actions:
    """Mark those that are lost, so that their next generation can be made at once."""
    lost = {*_dropped(s), *_reported(s), *_unheard(s), *_stuck(s), *_unseen(s)}
    for pod in sorted(lost - s.recalled.marked):
        if ended.matters(s, pod):
            yield Mark(pod, "given up", excused=s.living[pod].deleting)
    if _shall_listen(s):
        yield Listen()
    waits = [LISTENS_AFTER_S - s.lasted_s(_unjudged(p)) for p in judged_here(s)]
    waits += [p.grace_s + STUCK_AFTER_S - s.lasted_s(_deleting(p)) for p in _terminating(s)]
    waits += [UNSEEN_AFTER_S - s.lasted_s(_waiting(p)) for p in _unaccepted(s)]
    waits += [_mute_after_s(s) - s.lasted_s(_pulse(s))] if _waits_for_pods(s) else []
    if waits:
        yield Later(max(min(waits), _every_s(s)))


def delete(s: Snapshot) -> Actions:
    """Delete the pods that are lost, and those that are blamed too often.

    A blamed pod is deleted as soon as its last failure is known, within the delay of the restart:
    so no round begins with it again. Its agent leaves by plan, which charges nothing.
    """
    blamed = blame.counts(s)
    for pod in s.living.values():
        if pod.deleting:
            continue
        if pod.pod in s.recalled.marked:
            yield DeletePod(pod.name, pod.uid, "its agent is not heard any more")
        elif blamed.get(pod.pod.index, 0) >= BLAMED_TOO_OFTEN and s.is_member(pod.pod):
            yield DeletePod(pod.name, pod.uid, f"blamed for {BLAMED_TOO_OFTEN} failures")


def facts(s: Snapshot) -> Iterator[str]:
    """The last pulse; the pods that no holder judges, that are being deleted, that no kubelet has
    accepted."""
    yield _pulse(s)
    yield from map(_unjudged, judged_here(s))
    yield from map(_waiting, _unaccepted(s))
    yield from map(_deleting, _terminating(s))


def _dropped(s: Snapshot) -> Iterator[Pod]:
    """Those that left the round when somebody was silent or late, still live, and are not back.

    A round names one of them as its cause. The others are told by who is missing, but only where
    the next round has members: those of a round that is Forming are not all lost.
    """
    assert s.round is not None
    rounds = [*s.recalled.rounds, s.round.round]
    for k, (before, after) in enumerate(itertools.pairwise(rounds)):
        if _is_about_silence(after) and after.n > before.n:
            missing = before.pods - after.pods if after.phase is Phase.ACTIVE else frozenset()
            back = frozenset().union(*(later.pods for later in rounds[k + 1 :]))
            yield from (p for p in _named(s, after) - back if p in s.living)
            yield from (p for p in missing - back if p in s.living and not s.living[p].deleting)
    yield from _named_now(s, s.round.round)


def _named_now(s: Snapshot, round_: Round) -> Iterator[Pod]:
    """The one that the present round names; it is known even after a restart of the operator."""
    if _is_about_silence(round_):
        yield from (p for p in _named(s, round_) - round_.pods if p in s.living)


def _is_about_silence(round_: Round) -> bool:
    return round_.cause is not None and round_.cause.kind in _UNHEARD


def _named(s: Snapshot, round_: Round) -> frozenset[Pod]:
    """The pod of the cause, if it still exists."""
    pod = s.names.get(round_.cause.pod) if round_.cause else None
    return frozenset({pod.pod}) if pod else frozenset()


def _reported(s: Snapshot) -> Iterator[Pod]:
    """Pods outside of the present round that its holder reports as silent."""
    report = s.round.report if s.round else None
    if s.round is None or report is None or report.n != s.round.round.n:
        return
    for pod in report.silent:
        if pod in s.living and not s.is_member(pod) and not s.holds(pod):
            yield pod


def _stuck(s: Snapshot) -> Iterator[Pod]:
    return (pod.pod for pod in _terminating(s) if is_stuck(s, pod))


def is_stuck(s: Snapshot, pod: PodSeen) -> bool:
    """Whether a pod has been deleted for longer than a kubelet that works takes to end it."""
    is_over = s.lasted_s(_deleting(pod)) >= pod.grace_s + STUCK_AFTER_S
    return pod.deleting and (is_over or pod.pod in s.recalled.marked)


def _unseen(s: Snapshot) -> Iterator[Pod]:
    """Pods that were bound to a node that is gone: the heir of a lost pod is made long before
    Kubernetes knows of its node's death, and the scheduler may well choose it again."""
    for pod in _unaccepted(s):
        if s.lasted_s(_waiting(pod)) >= UNSEEN_AFTER_S:
            yield pod.pod


def _unheard(s: Snapshot) -> Iterator[Pod]:
    """Agents that the operator judges and whose Lease does not change, or does not appear."""
    for pod in judged_here(s):
        heard = s.recalled.heard.get(pod.pod)
        if heard and heard.looks >= SILENT_LOOKS:
            unchanged_s = min(s.now - heard.at, s.lasted_s(_unjudged(pod)))
            if unchanged_s >= _patience_s(heard):
                yield pod.pod


def _patience_s(heard: Heard) -> float:
    return SILENT_AFTER_S if heard.renewed else JOINS_WITHIN_S


def _shall_listen(s: Snapshot) -> bool:
    waited = [s.lasted_s(_unjudged(pod)) for pod in judged_here(s)]
    is_due = s.recalled.listened_at is None or s.now - s.recalled.listened_at >= _every_s(s)
    return is_due and any(waited_s >= LISTENS_AFTER_S for waited_s in waited)


def _every_s(s: Snapshot) -> float:
    return timing.silence_s(s.heartbeat_s, timing.SILENT_PULSES)


def judged_here(s: Snapshot) -> Iterator[PodSeen]:
    """Agents that no holder can judge, so that the operator judges them.

    While the holder gives pulses: those that have no Lease, as far as the operator knows. Without
    pulses: all, for where all agents are silent at once, or the only one is, no agent is left to
    judge. The holder's own Lease never counts while it gives pulses: it renews the Round instead.
    """
    for pod in s.living.values():
        runs = pod.worker.stage is Stage.RUNNING and not pod.deleting
        wanted = s.round is not None and s.round.desired.wants(pod.pod)
        if runs and wanted and pod.pod not in s.recalled.marked and not _is_judged(s, pod.pod):
            yield pod


def _is_judged(s: Snapshot, pod: Pod) -> bool:
    """Whether an agent judges this one: the holder, or for the holder those that miss its pulse."""
    if _is_mute(s):
        return False
    if s.is_member(pod) or s.holds(pod):
        return True
    heard, report = s.recalled.heard.get(pod), s.round.report if s.round else None
    reports = report is None or report.outside  # an agent of an older release judges members only
    return reports and bool(heard and heard.renewed)


def _is_mute(s: Snapshot) -> bool:
    """Whether the holder has given no pulse for longer than another agent takes to claim.

    A pulse alone starts no pass of the operator. While a round is Forming a pass is planned for the
    time when this could be so; while one is Active, it is found when all jobs are looked at again
    (resync).
    """
    return s.lasted_s(_pulse(s)) >= _mute_after_s(s)


def _mute_after_s(s: Snapshot) -> float:
    return timing.silence_s(s.heartbeat_s, timing.SILENT_PULSES_NODES)


def _waits_for_pods(s: Snapshot) -> bool:
    """Whether agents wait in a Forming round: if those that are there end silently, no agent is
    left to notice."""
    if s.round is None or s.round.round.phase is not Phase.FORMING or not s.round.desired.wanted:
        return False
    return any(pod.worker.stage is Stage.RUNNING for pod in s.living.values())


def _terminating(s: Snapshot) -> Iterator[PodSeen]:
    return (p for p in s.living.values() if p.deleting and p.pod not in s.recalled.marked)


def _unaccepted(s: Snapshot) -> Iterator[PodSeen]:
    for pod in s.living.values():
        bound = bool(pod.node) and not pod.accepted and not pod.deleting
        if bound and pod.pod not in s.recalled.marked:
            yield pod


def _pulse(s: Snapshot) -> str:
    return f"pulse {s.round.renewed}" if s.round else "no round"


def _unjudged(pod: PodSeen) -> str:
    return f"unjudged {pod.uid}"


def _waiting(pod: PodSeen) -> str:
    return f"unaccepted {pod.uid}"


def _deleting(pod: PodSeen) -> str:
    return f"deleting {pod.uid}"
