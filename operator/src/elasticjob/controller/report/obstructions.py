"""Objects of a job that the operator can neither read nor delete, each with its cure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from elasticjob.controller.observe.snapshot import Snapshot
from elasticjob.controller.report.texts import OBSTRUCTIONS
from elasticjob.wire import names


@dataclass(frozen=True)
class Obstruction:
    """One such object."""

    reason: str  # of the condition Obstructed
    text: str


def found(snapshot: Snapshot) -> list[Obstruction]:
    """All that are known, those first that keep the job from its work."""
    return [
        *_blocked_round(snapshot),
        *_blocked_pods(snapshot),
        *_replaced_round(snapshot),
        *_unreadable(snapshot),
    ]


def blocked_round(snapshot: Snapshot) -> str:
    """What keeps the Round Lease of an older job, for which the job waits; empty if nothing."""
    return next((each.text for each in _blocked_round(snapshot)), "")


def _blocked_round(snapshot: Snapshot) -> Iterator[Obstruction]:
    older = snapshot.older_round
    if older is not None and older.finalizers:
        lease = names.round_lease_name(snapshot.job.name)
        yield _blocked(f"the Lease {lease} of an older job", older.finalizers)


def _blocked_pods(snapshot: Snapshot) -> Iterator[Obstruction]:
    for pod in snapshot.pods:
        if pod.finalizers and pod.all_terminated:
            yield _blocked(f"the pod {pod.name}", pod.finalizers)


def _blocked(what: str, finalizers: tuple[str, ...]) -> Obstruction:
    return _obstruction("DeletionBlocked", object=what, finalizers=", ".join(finalizers))


def _replaced_round(snapshot: Snapshot) -> Iterator[Obstruction]:
    replaced = snapshot.memory.replaced
    if replaced and snapshot.lease and snapshot.lease.round.n == replaced.n:
        lease = names.round_lease_name(snapshot.job.name)
        yield _obstruction("RoundReplaced", lease=lease, fault=replaced.fault, n=replaced.n)


def _unreadable(snapshot: Snapshot) -> Iterator[Obstruction]:
    for name, why in sorted(snapshot.memory.unreadable_leases.items()):
        yield _obstruction("LeaseUnreadable", name=name, why=why)
    for name, why in sorted(snapshot.unreadable_pods.items()):
        yield _obstruction("PodUnreadable", name=name, why=why)
    if snapshot.seen_round and snapshot.seen_round.ignored:
        lease = names.round_lease_name(snapshot.job.name)
        yield _obstruction("ReportIgnored", lease=lease, why=snapshot.seen_round.ignored)


def _obstruction(reason: str, **fields: object) -> Obstruction:
    return Obstruction(reason, OBSTRUCTIONS[reason].format(**fields))
