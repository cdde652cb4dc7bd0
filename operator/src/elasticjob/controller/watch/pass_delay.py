"""How soon a changed object starts a pass over its job."""

from __future__ import annotations

from typing import Any

from elasticjob.controller.observe.rounds import ObservedRound
from elasticjob.wire import names
from elasticjob.wire.codec import Json
from elasticjob.wire.dataclasses import replace
from elasticjob.wire.lease import RoundLease
from elasticjob.wire.report import Progress

AT_ONCE = 0.0
PROGRESS_AFTER_S = 5.0


def after_job(before: Json, seen: Json) -> float | None:
    """Seconds until a pass after another version of an ElasticJob; None: nothing matters."""
    return AT_ONCE if _relevant_fields(before) != _relevant_fields(seen) else None


def after_round(before: ObservedRound | None, seen: ObservedRound) -> float | None:
    """Seconds until a pass after another version of a Round Lease; None: nothing matters."""
    if before is None or _differ(before, seen):
        return AT_ONCE
    if _progress(before.lease) == _progress(seen.lease) or seen.lease is None:
        return None
    return _after_progress(seen.lease)


def _relevant_fields(job: Json) -> tuple[Any, ...]:
    """The fields of a job that a plan or a status depends on; the status is one of them, so that
    the operator corrects a status that another client wrote."""
    meta = job["metadata"]
    restart = (meta.get("annotations") or {}).get(names.ANNOTATION_RESTART)
    seen = (meta["uid"], meta.get("generation"), meta.get("deletionTimestamp"), restart)
    return (*seen, job.get("spec"), job.get("status"))


def _differ(before: ObservedRound, seen: ObservedRound) -> bool:
    """Whether more has changed than the fields that a pulse changes, which change no plan."""
    if before.fields_without_lease != seen.fields_without_lease:
        return True
    if before.lease is None or seen.lease is None:
        return before.lease is not seen.lease
    if _left_ms(seen.lease) > _left_ms(before.lease):
        return True  # newcomers wait again: the time that is left falls from pulse to pulse
    return _without_pulse(before.lease) != _without_pulse(seen.lease)


def _progress(lease: RoundLease | None) -> Progress | None:
    return lease.report.progress if lease and lease.report else None


def _left_ms(lease: RoundLease) -> int:
    wait = lease.report.join_wait if lease.report else None
    return wait.left_ms if wait else 0


def _without_pulse(lease: RoundLease) -> RoundLease:
    """The Lease without the fields that each pulse changes: times that pass, and progress."""
    report = lease.report
    if report is not None:
        wait = report.join_wait and replace(report.join_wait, left_ms=0)
        report = replace(report, progress=None, delay_ms=None, age_ms=None, join_wait=wait)
    return replace(lease, version="", renew_time="", report=report)


def _after_progress(seen: RoundLease) -> float:
    """The delay of reported progress, so that it does not cost each job a write per pulse."""
    return max(PROGRESS_AFTER_S, 3 * seen.desired.heartbeat_s)
