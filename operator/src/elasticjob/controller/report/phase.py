"""STATUS: the state of a job in a few words for people. Programs read the conditions."""

from __future__ import annotations

from elasticjob.controller.observe.snapshot import Snapshot
from elasticjob.controller.plan import desired, job_over
from elasticjob.controller.report import trouble
from elasticjob.wire.round import Phase, Round

LONGEST = 256


def of(s: Snapshot) -> str:
    """The first that applies: the end, what the operator is about, where the round stands."""
    if job_over.is_over(s):
        return _end(s)[:LONGEST]
    if s.spec.suspend:
        return "Suspending" if s.living else "Suspended"
    if desired.nobody(s):
        return "Updating"
    if s.round is None:
        found = trouble.trouble(s)
        return f"Pending: {found.text}"[:LONGEST] if found else "Pending"
    text = _active(s) if s.round.round.phase is Phase.ACTIVE else _forming(s, s.round.round)
    return text[:LONGEST]


def end_reason(s: Snapshot) -> str:
    """Why the job failed, in one word; empty if it did not."""
    round_ = s.round.round if s.round else None
    if round_ is None or round_.phase is not Phase.FAILED:
        return ""
    return round_.cause.kind.value if round_.cause else "Failed"


def is_running(s: Snapshot) -> bool:
    """Whether all members of the present round run their workers, as the holder says."""
    if s.round is None or s.round.report is None or s.round.round.phase is not Phase.ACTIVE:
        return False
    report, round_ = s.round.report, s.round.round
    return report.n == round_.n and frozenset(report.running) >= round_.pods


def _end(s: Snapshot) -> str:
    known = s.job.status.phase or ""
    if job_over.is_final(s) and known.startswith(("Complete", "Failed")):
        return known
    reason = end_reason(s)
    return f"Failed: {reason}" if reason else "Complete"


def _active(s: Snapshot) -> str:
    assert s.round is not None
    word = "Starting" if s.round.round.starts <= 1 else "Restarting"
    if is_running(s):
        word = "Running"
    found = trouble.refusal(s)
    return f"{word}: {found.text}" if found else word


def _forming(s: Snapshot, round_: Round) -> str:
    """Nobody runs: what is missing, if it is known."""
    word = "Pending" if round_.starts == 0 else "Restarting"
    if found := trouble.trouble(s):
        return f"{word}: {found.text}"
    there = trouble.running(s)
    if there >= (s.spec.min_replicas or s.spec.replicas):
        return "Starting" if round_.starts == 0 else "Restarting"
    return f"{word}: {there}/{s.spec.replicas} pods run"
