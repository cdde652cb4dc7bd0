"""The operator's part of the Round Lease (`desired`): the wanted pods and the job's settings."""

from __future__ import annotations

import dataclasses

from elasticjob.controller.observe import template
from elasticjob.controller.observe.snapshot import Snapshot
from elasticjob.controller.plan import lost, refused
from elasticjob.controller.plan.actions import Action, Actions, Mark, WriteRound
from elasticjob.controller.plan.restarts import departures
from elasticjob.rendezvous.now import Now
from elasticjob.wire.desired import Desired
from elasticjob.wire.member import Pod


def write_desired(snapshot: Snapshot, now: Now) -> Actions:
    """Write `desired` if it has changed; end the role of a holder whose pod has ended."""
    assert snapshot.lease is not None
    wanted = desired(snapshot, now)
    changed = wanted != snapshot.lease.desired
    cleared = bool(snapshot.lease.holder) and not _may_hold(snapshot, snapshot.lease.holder)
    if changed or cleared:
        yield WriteRound(snapshot.lease.version, wanted if changed else None, cleared)


def after_marks(snapshot: Snapshot, planned: list[Action], now: Now) -> Actions:
    """The plan in which the holder role becomes vacant only after its Lease is marked, and not
    while a mark is refused."""
    is_held_up = any(
        isinstance(mark, Mark) and not refused.may_try(snapshot, mark, now) for mark in planned
    )
    for each in planned:
        if not isinstance(each, WriteRound):
            yield each
        elif is_held_up:  # clause 9-mark-before-clear
            if each.desired is not None:
                yield dataclasses.replace(each, clear_holder=False)
        else:
            yield each


def desired(snapshot: Snapshot, now: Now) -> Desired:
    """The current `desired`. Values without a field in the spec stay as they are."""
    held = snapshot.lease.desired if snapshot.lease else Desired(())
    return dataclasses.replace(
        held,
        wanted=wanted_pods(snapshot, now),
        min_members=snapshot.spec.min_replicas or snapshot.spec.replicas,
        max_restarts=snapshot.spec.max_restarts,
        max_start_restarts=snapshot.spec.max_start_restarts,
        heartbeat_s=snapshot.heartbeat_s,
        stop_grace_s=float(snapshot.spec.stop_grace_seconds),
        crash_grace_s=float(snapshot.spec.crash_grace_seconds),
        charged=departures.charged(snapshot),
    )


def wanted_pods(snapshot: Snapshot, now: Now) -> tuple[Pod, ...]:
    """Each wanted index with its lowest wanted generation.

    The index of a lost pod keeps its generation: the mark on the pod's Lease excludes it. An index
    that was not wanted before gets a higher one, so that a planned replacement is not charged.
    """
    if wants_no_pods(snapshot, now):
        return ()
    held = {p.index: p for p in snapshot.lease.desired.wanted} if snapshot.lease else {}
    return tuple(held.get(index) or _lowest(snapshot, index, now) for index in snapshot.indexes)


def wants_no_pods(snapshot: Snapshot, now: Now) -> bool:
    """Whether no pod is wanted: the job is suspended, or pods of another template still live.

    With a new template all pods end before new ones are created, like a Deployment with the
    strategy Recreate: a round without members, in which all workers save, then new pods. A pod on a
    dead node, whose deletion does not end, does not delay this.
    """
    if snapshot.spec.suspend:  # clause 9-suspend
        return True
    newest = (
        pod for pod in snapshot.living.values() if pod.pod == snapshot.newest_pod(pod.pod.index)
    )
    return any(
        is_outdated(snapshot, pod.pod)
        and not lost.is_stuck(snapshot, pod, now)  # clause 9-stuck-delays-no-template
        for pod in newest
    )


def is_outdated(snapshot: Snapshot, pod: Pod) -> bool:
    """Whether this pod was created from a template that means something else."""
    found, job = snapshot.by_pod[pod], snapshot.job
    return (
        found.template_hash != job.template_hash
        and found.template_fields != job.template_fields  # clause 9-same-meaning
    )


def changed_fields(snapshot: Snapshot) -> tuple[str, ...]:
    """The fields of the template that differ from those of the first outdated pod that lives; empty
    if there is none, or if the pod does not have its fields."""
    outdated = (pod for pod in sorted(snapshot.living) if is_outdated(snapshot, pod))
    first = next(outdated, None)
    return fields_changed_since(snapshot, first) if first is not None else ()


def fields_changed_since(snapshot: Snapshot, pod: Pod) -> tuple[str, ...]:
    """The fields of the template that have changed since this pod was created; empty if the pod
    does not have its fields."""
    return template.changed_fields(snapshot.by_pod[pod].template_fields, snapshot.job.body)


def _lowest(snapshot: Snapshot, index: int, now: Now) -> Pod:
    current = snapshot.newest_pod(index)
    living = snapshot.living.get(current) if current else None
    lives = living is not None and not lost.is_stuck(snapshot, living, now)
    return (
        current
        if current and (lives or current in snapshot.never_created)
        else snapshot.next_pod(index)
    )


def _may_hold(snapshot: Snapshot, holder: str) -> bool:
    pod = snapshot.by_name.get(holder)
    return (
        pod is not None
        and pod.living  # clause 9-ended-holder
        and pod.pod not in snapshot.memory.marked  # clause 9-marked-holder
    )
