"""The conditions of a job: few, and each says only what is known.

Accepted   the spec keeps the rules, and is worked on
PodsReady  each wanted pod runs its agent; else why not
Running    every member of the present round runs its workers
Unstable   restarts that no budget counts are many, within the last hour
Suspended  as asked, and no pod is left
Complete   every member of the last round ended with 0; final
Failed     a fatal exit code, or more failures than maxRestarts; final
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from elasticjob.api.v1alpha1 import Condition, LastFailure
from elasticjob.controller.observe.parse import Job
from elasticjob.controller.observe.snapshot import Snapshot
from elasticjob.controller.plan import desired, job_over, uncounted
from elasticjob.controller.report import failure, phase, trouble
from elasticjob.rendezvous import charges
from elasticjob.wire.cause import CauseKind
from elasticjob.wire.round import Phase

Truth = Literal["True", "False", "Unknown"]
Said = tuple[str, Truth, str, str]  # type, status, reason, message

LONGEST_MESSAGE = 1024


def of(snapshot: Snapshot) -> list[Condition]:
    """All conditions; each keeps its time while its status stays the same."""
    said: list[Said] = [("Accepted", "True", "Valid", "")]
    if job_over.is_over(snapshot):
        over: list[Said] = [(t, "False", "Ended", "") for t in ("PodsReady", "Running", "Unstable")]
        said += [*over, *_end(snapshot)]
    else:
        said += [
            _pods_ready(snapshot),
            _running(snapshot),
            *_unstable(snapshot),
            _suspended(snapshot),
        ]
    return _merged(snapshot.job, said, snapshot.utc_now)


def of_refused(job: Job, at: datetime) -> list[Condition]:
    """Every rule that the job breaks, with its field and the cure."""
    message = "; ".join(f"{path}: {text}" for path, text in job.faults)
    return _merged(job, [("Accepted", "False", "Invalid", message)], at)


def of_broken(job: Job, message: str, at: datetime) -> list[Condition]:
    """The rest stays as it was: what is known of the group is in the Lease that cannot be read."""
    return _merged(job, [("Running", "Unknown", "RoundUnreadable", message)], at)


def _pods_ready(snapshot: Snapshot) -> Said:
    if desired.wants_no_pods(snapshot):
        return "PodsReady", "False", "NotWanted", ""
    there = trouble.running(snapshot)
    count = f"{there}/{snapshot.spec.replicas} pods run"
    if there >= snapshot.spec.replicas:
        return "PodsReady", "True", "AllRun", count
    if found := trouble.trouble(snapshot):
        return "PodsReady", "False", found.reason, f"{count}; {found.full or found.text}"
    return "PodsReady", "False", "PodsStart", count


def _running(snapshot: Snapshot) -> Said:
    if phase.is_running(snapshot) and snapshot.lease:
        members = len(snapshot.lease.round.members)
        return (
            "Running",
            "True",
            "AllMembersRun",
            f"{members} members run round {snapshot.lease.round.n}",
        )
    if snapshot.lease and snapshot.lease.round.phase is Phase.ACTIVE:
        return "Running", "False", "MembersStart", f"round {snapshot.lease.round.n} starts"
    return "Running", "False", "RoundForms", "no round is active"


def _unstable(snapshot: Snapshot) -> list[Said]:
    """True stays until a whole hour was seen in which it is not so."""
    found = uncounted.uncounted(snapshot)
    if len(found) > snapshot.uncounted_restarts_per_hour:
        return [("Unstable", "True", "UncountedRestarts", uncounted.summary(found))]
    was = any(
        c.type == "Unstable" and c.status == "True" for c in snapshot.job.status.conditions or []
    )
    if was and not uncounted.has_seen_an_hour(snapshot):
        return []
    return [("Unstable", "False", "FewUncountedRestarts", "")]


def _suspended(snapshot: Snapshot) -> Said:
    if not snapshot.spec.suspend:
        return "Suspended", "False", "NotAsked", ""
    if snapshot.living:
        return "Suspended", "False", "PodsEnd", f"{len(snapshot.living)} pods have not ended"
    return "Suspended", "True", "Asked", "no pods are left; counters are kept"


def _end(snapshot: Snapshot) -> list[Said]:
    """Complete or Failed, once; what was said before stays as it is."""
    if job_over.is_final(snapshot) or snapshot.lease is None:
        return []
    if snapshot.lease.round.phase is Phase.SUCCEEDED:
        return [("Complete", "True", "AllMembersDone", "every member ended its workers with 0")]
    return [("Failed", "True", phase.end_reason(snapshot), _why_failed(snapshot))]


def _why_failed(snapshot: Snapshot) -> str:
    """The first cause, and the budget where that was what ended the job."""
    assert snapshot.lease is not None
    found = failure.last(snapshot)
    parts = [_who(found), *_what(found)] if found else []
    spent, budget = (
        charges.spent(snapshot.lease.round, snapshot.lease.desired),
        snapshot.spec.max_restarts,
    )
    if spent >= budget and phase.end_reason(snapshot) != CauseKind.START_FAILED.value:
        parts.append(f"one more than maxRestarts, which is {budget}")
    return "; ".join(part for part in parts if part)


def _who(found: LastFailure) -> str:
    rank = f" (rank {found.rank})" if found.rank is not None else ""
    return f"{found.pod}{rank}" if found.pod else ""


def _what(found: LastFailure) -> list[str]:
    """The message, and what it does not say yet."""
    message = found.message or ""
    facts = [("exit code", found.exit_code), ("signal", found.signal)]
    said = (f"{name} {value}" for name, value in facts if value is not None)
    return [message, *(fact for fact in said if fact not in message)]


def _merged(job: Job, said: list[Said], at: datetime) -> list[Condition]:
    """What was said and is not said again stays: terminal conditions are final."""
    found = {c.type: c for c in job.status.conditions or []}
    for type_, truth, reason, message in said:
        old = found.get(type_)
        found[type_] = Condition(
            type=type_,
            status=truth,
            reason=reason,
            message=message[:LONGEST_MESSAGE],
            last_transition_time=old.last_transition_time if old and old.status == truth else at,
            observed_generation=job.generation,
        )
    return list(found.values())
