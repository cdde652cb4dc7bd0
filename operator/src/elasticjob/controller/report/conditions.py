"""The conditions of a job. Each states only what is known.

Accepted   the spec is valid, and the operator works on the job
PodsReady  each wanted pod runs its agent; else the reason
Running    every member of the current round runs its workers
Unstable   many restarts within the last hour did not count against maxRestarts
Obstructed objects of the job can neither be read nor deleted; each with its cure
Suspended  spec.suspend is true, and all pods have ended
Complete   every member of the last round ended with exit code 0; final
Failed     a command that cannot be executed, or more failures than maxRestarts; final
"""

from __future__ import annotations

from datetime import datetime

from elasticjob.api.v1alpha1 import Condition, LastFailure
from elasticjob.controller.observe.parse import Job
from elasticjob.controller.observe.snapshot import Snapshot
from elasticjob.controller.plan import desired, job_over
from elasticjob.controller.plan.restarts import uncounted
from elasticjob.controller.report import failure, obstructions, pod_problems, recent_failures, state
from elasticjob.controller.report.texts import (
    ANY,
    CONDITIONS,
    EXCEEDED,
    NEVER_TRAINED,
    TEMPLATE,
    Truth,
    few,
)
from elasticjob.rendezvous import budget
from elasticjob.rendezvous.now import Now
from elasticjob.wire.cause import CauseKind
from elasticjob.wire.round import Phase
from elasticjob.wire.untrusted import plain

Row = tuple[str, Truth, str, str]  # type, status, reason, message

LONGEST_MESSAGE = 1024


def of(snapshot: Snapshot) -> list[Condition]:
    """All conditions; each keeps its time while its status stays the same."""
    rows = [_row("Accepted", "Valid"), *_obstructed(snapshot)]
    if job_over.is_over(snapshot):
        rows += [_row(type_, "Ended") for type_ in ("PodsReady", "Running", "Unstable")]
        rows += _end(snapshot)
    else:
        rows += [
            _pods_ready(snapshot),
            _running(snapshot),
            *_unstable(snapshot),
            _suspended(snapshot),
        ]
    return _merged(snapshot.job, rows, snapshot.utc_now)


def of_invalid(job: Job, at: datetime) -> list[Condition]:
    """The conditions of a job that breaks rules: each of them, with its field and the cure."""
    faults = "; ".join(f"{path}: {text}" for path, text in job.faults)
    return _merged(job, [_row("Accepted", "Invalid", faults=faults)], at)


def of_unreadable_round(job: Job, problem: str, at: datetime) -> list[Condition]:
    """The conditions of a job whose Round Lease cannot be read: only Running changes."""
    return _merged(job, [_row("Running", "RoundUnreadable", problem=problem)], at)


def _row(type_: str, reason: str, **fields: object) -> Row:
    texts = CONDITIONS[type_]
    truth, template = texts.get(reason) or texts[ANY]
    return type_, truth, reason, template.format(**fields)


def _pods_ready(snapshot: Snapshot) -> Row:
    if snapshot.spec.suspend:
        return _row("PodsReady", "NotWanted")
    if desired.wants_no_pods(snapshot, Now(snapshot.now)):
        fields = few(desired.changed_fields(snapshot)) or TEMPLATE
        return _row("PodsReady", "TemplateChanged", fields=fields)
    running, replicas = pod_problems.running(snapshot), snapshot.spec.replicas
    counts = {"running": running, "replicas": replicas}
    if running >= replicas:
        return _row("PodsReady", "AllRun", **counts)
    if found := pod_problems.most_frequent(snapshot):
        return _row("PodsReady", found.reason, problem=found.full or found.text, **counts)
    return _row("PodsReady", "PodsStart", **counts)


def _running(snapshot: Snapshot) -> Row:
    round_ = snapshot.lease.round if snapshot.lease else None
    if round_ is None or round_.phase is not Phase.ACTIVE:
        return _row("Running", "RoundForms")
    if failed := state.failed_pods(snapshot):
        pod = snapshot.job.pod_name(min(failed))
        return _row("Running", "MemberFailed", pod=pod, round=round_.n)
    if state.is_running(snapshot):
        return _row("Running", "AllMembersRun", members=len(round_.members), round=round_.n)
    return _row("Running", "MembersStart", round=round_.n)


def _unstable(snapshot: Snapshot) -> list[Row]:
    """True stays until the operator has seen a whole hour in which it does not apply."""
    found = uncounted.uncounted(snapshot)
    if len(found) > snapshot.uncounted_restarts_per_hour:
        causes = uncounted.causes(found)
        return [_row("Unstable", "UncountedRestarts", restarts=len(found), causes=causes)]
    was = any(
        c.type == "Unstable" and c.status == "True" for c in snapshot.job.status.conditions or []
    )
    if was and not uncounted.has_seen_an_hour(snapshot):
        return []
    return [_row("Unstable", "FewUncountedRestarts")]


def _obstructed(snapshot: Snapshot) -> list[Row]:
    """Left out until it applies for the first time."""
    if found := obstructions.found(snapshot):
        return [_row("Obstructed", found[0].reason, problem="; ".join(x.text for x in found))]
    was = any(c.type == "Obstructed" for c in snapshot.job.status.conditions or [])
    return [_row("Obstructed", "NotObstructed")] if was else []


def _suspended(snapshot: Snapshot) -> Row:
    if not snapshot.spec.suspend:
        return _row("Suspended", "NotAsked")
    if snapshot.living:
        return _row("Suspended", "PodsEnd", pods=len(snapshot.living))
    return _row("Suspended", "Asked")


def _end(snapshot: Snapshot) -> list[Row]:
    """Complete or Failed, once; a final condition stays as it is."""
    if job_over.is_final(snapshot) or snapshot.lease is None:
        return []
    if snapshot.lease.round.phase is Phase.SUCCEEDED:
        return [_row("Complete", "AllMembersDone")]
    return [_row("Failed", state.end_reason(snapshot), failure=_why_failed(snapshot))]


def _why_failed(snapshot: Snapshot) -> str:
    """The first cause, and the budget if the job has exceeded it."""
    assert snapshot.lease is not None
    found = recent_failures.last(snapshot, recent_failures.of(snapshot))
    parts = [_first_cause(found)] if found else []
    look_at = found.log_command if found and snapshot.spec.clean_pod_policy != "All" else None
    max_restarts = snapshot.spec.max_restarts
    counted = budget.counted_failures(snapshot.lease.round.charged, snapshot.lease.desired)
    starts = budget.start_failures(snapshot.lease.round.charged, snapshot.lease.desired)
    most = snapshot.lease.desired.max_start_restarts
    if state.end_reason(snapshot) == CauseKind.START_FAILED.value:
        pass
    elif counted <= max_restarts and most is not None and starts > most:
        parts.append(NEVER_TRAINED.format(failures=starts, most=most))
    elif counted >= max_restarts:
        parts.append(EXCEEDED.format(max_restarts=max_restarts))
    parts.append(look_at or "")
    return "; ".join(part for part in parts if part)


def _first_cause(found: LastFailure) -> str:
    """The pod and its rank, the error, and the exit code or signal if the error has neither."""
    message = failure.headline(found)
    codes = [("exit code", found.exit_code), ("signal", found.signal)]
    named = (f"{name} {value}" for name, value in codes if value is not None)
    what = [message, *(code for code in named if code not in message)]
    parts = (failure.culprit(found), "; ".join(part for part in what if part))
    return ": ".join(part for part in parts if part)


def _merged(job: Job, rows: list[Row], at: datetime) -> list[Condition]:
    """The conditions of the status with these in their place; the others stay."""
    found = {c.type: c for c in job.status.conditions or []}
    for type_, truth, reason, text in rows:
        old = found.get(type_)
        found[type_] = Condition(
            type=type_,
            status=truth,
            reason=reason,
            message=plain(text)[:LONGEST_MESSAGE],
            last_transition_time=old.last_transition_time if old and old.status == truth else at,
            observed_generation=job.generation,
        )
    return list(found.values())
