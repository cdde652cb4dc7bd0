"""What the operator wants of a job, kept current in the Round Lease (`desired`)."""

from __future__ import annotations

import dataclasses

from elasticjob.controller.observe.snapshot import Snapshot
from elasticjob.controller.plan import charges, lost
from elasticjob.controller.plan.actions import Actions, WriteRound
from elasticjob.wire.desired import Desired
from elasticjob.wire.member import Pod


def write(s: Snapshot) -> Actions:
    """One write where something has changed; the holder is cleared where its pod is gone."""
    assert s.round is not None
    wanted = desired(s)
    changed = wanted != s.round.desired
    cleared = bool(s.round.holder) and not _may_hold(s, s.round.holder)
    if changed or cleared:
        yield WriteRound(s.round.version, wanted if changed else None, cleared)


def desired(s: Snapshot) -> Desired:
    """All that agents are told. What no field of the spec sets stays as it is."""
    held = s.round.desired if s.round else Desired(())
    return dataclasses.replace(
        held,
        wanted=wanted_pods(s),
        min_members=s.spec.min_replicas or s.spec.replicas,
        max_restarts=s.spec.max_restarts,
        heartbeat_s=s.heartbeat_s,
        stop_grace_s=float(s.spec.stop_grace_seconds),
        crash_grace_s=float(s.spec.crash_grace_seconds),
        charged=charges.charged(s),
    )


def wanted_pods(s: Snapshot) -> tuple[Pod, ...]:
    """Each wanted index with the lowest generation that is wanted of it.

    A lost pod's index keeps its number: its Lease is marked, which says more. It is raised when the
    index was not wanted before, which replaces everything by plan, without a charge.
    """
    if nobody(s):
        return ()
    held = {p.index: p for p in s.round.desired.wanted} if s.round else {}
    return tuple(held.get(index) or _lowest(s, index) for index in s.indexes)


def nobody(s: Snapshot) -> bool:
    """Whether no pod is wanted: the job is suspended, or pods of another template still live.

    The second is how all pods are replaced by plan: one round without members, in which everybody
    saves, then new pods; as a Deployment's Recreate does it. A pod on a node that is gone, whose
    deletion is never done, does not hold that up.
    """
    if s.spec.suspend:
        return True
    newest = (pod for pod in s.living.values() if pod.pod == s.current(pod.pod.index))
    return any(is_outdated(s, pod.pod) and not lost.is_stuck(s, pod) for pod in newest)


def is_outdated(s: Snapshot, pod: Pod) -> bool:
    """Whether this pod was made from another template."""
    return s.by_pod[pod].template_hash != s.job.template_hash


def _lowest(s: Snapshot, index: int) -> Pod:
    current = s.current(index)
    living = s.living.get(current) if current else None
    lives = living is not None and not lost.is_stuck(s, living)
    return current if current and (lives or current in s.recalled.unborn) else s.fresh(index)


def _may_hold(s: Snapshot, holder: str) -> bool:
    pod = s.names.get(holder)
    return pod is not None and pod.living and pod.pod not in s.recalled.marked
