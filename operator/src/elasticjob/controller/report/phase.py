"""STATUS: the state of a job in a few words for people. Programs read the conditions."""

from __future__ import annotations

from elasticjob.controller.observe.snapshot import Snapshot
from elasticjob.controller.plan import desired, job_over
from elasticjob.controller.report import trouble
from elasticjob.wire.round import Phase, Round

LONGEST = 256


def of(snapshot: Snapshot) -> str:
    """The first that applies: the end, what the operator is about, where the round stands."""
    if job_over.is_over(snapshot):
        return _end(snapshot)[:LONGEST]
    if snapshot.spec.suspend:
        return "Suspending" if snapshot.living else "Suspended"
    if desired.wants_no_pods(snapshot):
        return "Updating"
    if snapshot.lease is None:
        found = trouble.trouble(snapshot)
        return f"Pending: {found.text}"[:LONGEST] if found else "Pending"
    text = (
        _active(snapshot)
        if snapshot.lease.round.phase is Phase.ACTIVE
        else _forming(snapshot, snapshot.lease.round)
    )
    return text[:LONGEST]


def end_reason(snapshot: Snapshot) -> str:
    """Why the job failed, in one word; empty if it did not."""
    round_ = snapshot.lease.round if snapshot.lease else None
    if round_ is None or round_.phase is not Phase.FAILED:
        return ""
    return round_.cause.kind.value if round_.cause else "Failed"


def is_running(snapshot: Snapshot) -> bool:
    """Whether all members of the present round run their workers, as the holder says."""
    if (
        snapshot.lease is None
        or snapshot.lease.report is None
        or snapshot.lease.round.phase is not Phase.ACTIVE
    ):
        return False
    report, round_ = snapshot.lease.report, snapshot.lease.round
    return report.n == round_.n and frozenset(report.running) >= round_.pods


def _end(snapshot: Snapshot) -> str:
    known = snapshot.job.status.phase or ""
    if job_over.is_final(snapshot) and known.startswith(("Complete", "Failed")):
        return known
    reason = end_reason(snapshot)
    return f"Failed: {reason}" if reason else "Complete"


def _active(snapshot: Snapshot) -> str:
    assert snapshot.lease is not None
    word = "Starting" if snapshot.lease.round.starts <= 1 else "Restarting"
    if is_running(snapshot):
        word = "Running"
    found = trouble.refusal(snapshot)
    return f"{word}: {found.text}" if found else word


def _forming(snapshot: Snapshot, round_: Round) -> str:
    """Nobody runs: what is missing, if it is known."""
    word = "Pending" if round_.starts == 0 else "Restarting"
    if found := trouble.trouble(snapshot):
        return f"{word}: {found.text}"
    there = trouble.running(snapshot)
    if there >= (snapshot.spec.min_replicas or snapshot.spec.replicas):
        return "Starting" if round_.starts == 0 else "Restarting"
    return f"{word}: {there}/{snapshot.spec.replicas} pods run"
