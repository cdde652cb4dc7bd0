"""The conditions of a job. Each states only what is known.

Accepted   the spec is valid, and the operator works on the job
PodsReady  each wanted pod runs its agent; else the reason
Running    every member of the current round runs its workers
Degraded   the job runs with fewer pods than replicas
Restarting the workers have run, and start again
Stalled    no worker is known to run, and a user or the cluster has to change something
Unstable   many restarts within the last hour did not count against maxRestarts
Obstructed objects of the job can neither be read nor deleted; each with its cure
Suspended  spec.suspend is true, and all pods have ended
Complete   every member of the last round ended with exit code 0; final
Failed     a command that cannot be executed, or more failures than maxRestarts; final
"""

from __future__ import annotations

import signal
from datetime import datetime

from elasticjob.api.v1alpha1 import Condition, LastFailure
from elasticjob.controller.observe.parse import Job
from elasticjob.controller.observe.snapshot import Snapshot
from elasticjob.controller.plan import desired, job_over
from elasticjob.controller.plan.restarts import blame, uncounted
from elasticjob.controller.report import (
    failure,
    obstructions,
    recent_failures,
    state,
    waits,
)
from elasticjob.controller.report.pods import agents, problems
from elasticjob.controller.report.pods.names import listed
from elasticjob.controller.report.state import State, Why
from elasticjob.controller.report.texts import (
    ANY,
    BLAMED,
    CONDITIONS,
    COUNT,
    EXCEEDED,
    NEVER_TRAINED,
    NEW_JOB,
    NO_PULSE,
    TEMPLATE,
    Truth,
    Word,
    few,
    ready,
)
from elasticjob.rendezvous import budget
from elasticjob.rendezvous.now import Now
from elasticjob.wire.round import Phase
from elasticjob.wire.untrusted import plain

Row = tuple[str, Truth, str, str]  # type, status, reason, message

LONGEST_MESSAGE = 1024
_NOT_AFTER_THE_END = ("PodsReady", "Running", "Degraded", "Restarting", "Stalled", "Unstable")
# Problems that end by themselves: with the grace of the older job's pods, with their work, or with
# the next pod.
_PASSES = ("OlderJob", "InitContainerRunning", "PodsEnded")
_WITHOUT_WORKERS = (Word.PENDING, Word.STARTING, Word.RESTARTING)


def of(snapshot: Snapshot, found: State) -> list[Condition]:
    """All conditions; each keeps its time while its status stays the same."""
    rows = [_row("Accepted", "Valid"), *_obstructed(snapshot)]
    if job_over.is_over(snapshot):
        rows += [_row(type_, "Ended") for type_ in _NOT_AFTER_THE_END]
        rows += _end(snapshot)
    else:
        running = _running(snapshot)
        rows += [
            _pods_ready(snapshot),
            running,
            *_progress(snapshot, found, runs=running[1] == "True"),
            *_unstable(snapshot),
            _suspended(snapshot),
        ]
    return _merged(snapshot.job, rows, snapshot.utc_now)


def of_invalid(job: Job, at: datetime) -> list[Condition]:
    """The conditions of a job that breaks rules: each of them, with its field and the cure."""
    faults = "; ".join(f"{path}: {text}" for path, text in job.faults)
    return _merged(job, [_row("Accepted", "Invalid", faults=faults)], at)


def of_unreadable_round(job: Job, problem: str, at: datetime) -> list[Condition]:
    """The conditions of a job whose Round Lease cannot be read: the others stay as they are."""
    rows = [
        _row("Running", "RoundUnreadable", problem=problem),
        _row("Stalled", "LeaseUnreadable", why=problem),
    ]
    return _merged(job, rows, at)


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
    running, replicas = agents.running(snapshot), snapshot.spec.replicas
    counts = {"running": running, "replicas": replicas}
    if running >= replicas:
        return _row("PodsReady", "AllRun", blamed=_blamed(snapshot), **counts)
    if found := problems.most_frequent(snapshot):
        problem = state.with_replacement(snapshot, found).message
        has_all = running + found.count == replicas  # the problem has the count of all others
        count = "" if has_all else COUNT.format(**counts) + "; "
        return _row("PodsReady", found.reason, problem=problem, counts=count)
    pods = listed(snapshot.job, agents.absent_pods(snapshot))
    return _row("PodsReady", "PodsStart", pods=pods, **counts)


def _blamed(snapshot: Snapshot) -> str:
    """The pods in which failures of workers began, each with their number."""
    found = sorted(blame.counts(snapshot).items())
    pods = [(snapshot.newest_pod(index), number) for index, number in found]
    named = [f"{snapshot.job.pod_name(pod)} ({number})" for pod, number in pods if pod]
    return BLAMED.format(pods=few(named)) if named else ""


def _running(snapshot: Snapshot) -> Row:
    round_ = snapshot.lease.round if snapshot.lease else None
    is_active = round_ is not None and round_.phase is Phase.ACTIVE
    if snapshot.spec.suspend and not (is_active and snapshot.living):
        return _row("Running", "JobSuspended")
    if round_ is None or not is_active:
        return _row("Running", "WaitingForPods", ready=_minimum(snapshot))
    if since := waits.silent_since(snapshot):
        return _row("Running", "NoSignOfLife", since=waits.timestamp(since))
    if failed := state.failed_pods(snapshot):
        pod, (limit, _) = snapshot.job.pod_name(min(failed)), state.spent_limit(snapshot)
        return _row("Running", "MemberFailed", pod=pod, round=round_.n, limit=limit)
    if state.is_running(snapshot):
        number = len(round_.members)
        members = f"all {number} members are" if number > 1 else "the only member is"
        return _row("Running", "AllMembersRun", members=members, round=round_.n)
    return _row("Running", "MembersStart", round=round_.n)


def _progress(snapshot: Snapshot, found: State, *, runs: bool) -> list[Row]:
    """Degraded while the workers run, Restarting and Stalled while they do not."""
    word, why = found.word, found.why
    degraded = _degraded(snapshot, word, why) if runs else _row("Degraded", "NotRunning")
    return [degraded, _restarting(snapshot, word, why), _stalled(snapshot, word, why)]


def _minimum(snapshot: Snapshot) -> str:
    return ready(snapshot.spec.min_replicas or snapshot.spec.replicas)


def _degraded(snapshot: Snapshot, word: Word, found: Why) -> Row:
    """Of a job whose workers run, but may have to stop."""
    if word is not Word.RUNNING or snapshot.lease is None:
        return _row("Degraded", "WorkersStop")
    counts = {"members": len(snapshot.lease.round.members), "replicas": snapshot.spec.replicas}
    if counts["members"] >= counts["replicas"]:
        return _row("Degraded", "AllPodsWork", **counts)
    return _row("Degraded", found.reason or "PodsMissing", why=found.message, **counts)


def _restarting(snapshot: Snapshot, word: Word, found: Why) -> Row:
    if word is Word.UPDATING:
        return _row("Restarting", "Updating")
    if word is not Word.RESTARTING:
        return _row("Restarting", "NotRestarting")
    reason = found.reason or "PodsAwaited"
    return _row("Restarting", reason, why=found.message, ready=_minimum(snapshot))


def _stalled(snapshot: Snapshot, word: Word, found: Why) -> Row:
    """Whether a user or the cluster has to change something. No wait alone is such a case, as the
    job continues when it ends."""
    if word is Word.UNKNOWN:
        since = waits.silent_since(snapshot)
        return _row("Stalled", waits.AGENTS_SILENT, why=_no_pulse(since))
    if word in _WITHOUT_WORKERS and found.problem and found.problem_reason not in _PASSES:
        return _row("Stalled", found.problem_reason, why=found.message)
    return _row("Stalled", "NotStalled")


def _no_pulse(since: datetime | None) -> str:
    assert since is not None
    return NO_PULSE.format(since=waits.timestamp(since))


def _unstable(snapshot: Snapshot) -> list[Row]:
    """True stays until the operator has seen a whole hour in which it does not apply, and the
    number of restarts until it has seen one."""
    found, most = uncounted.uncounted(snapshot), snapshot.uncounted_restarts_per_hour
    if len(found) > most:
        causes = uncounted.causes(found)
        return [_row("Unstable", "UncountedRestarts", restarts=len(found), causes=causes)]
    was = {c.status for c in snapshot.job.status.conditions or [] if c.type == "Unstable"}
    is_known = "True" in was or (was and not found)
    if is_known and not uncounted.has_seen_an_hour(snapshot):
        return []
    return [_row("Unstable", "FewUncountedRestarts", restarts=len(found), most=most)]


def _obstructed(snapshot: Snapshot) -> list[Row]:
    """Left out until it applies for the first time."""
    if found := obstructions.found(snapshot):
        return [_row("Obstructed", found[0].reason, problem="; ".join(x.text for x in found))]
    was = any(c.type == "Obstructed" for c in snapshot.job.status.conditions or [])
    return [_row("Obstructed", "NotObstructed")] if was else []


def _suspended(snapshot: Snapshot) -> Row:
    if not snapshot.spec.suspend:
        return _row("Suspended", "NotSuspended")
    if snapshot.living:
        return _row("Suspended", "PodsEnd", pods=len(snapshot.living))
    return _row("Suspended", "JobSuspended")


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
    reason, lease = state.end_reason(snapshot), snapshot.lease
    if reason == state.MAX_START_RESTARTS_EXCEEDED:
        failures = budget.start_failures(lease.round.charged, lease.desired)
        most = lease.desired.max_start_restarts
        parts.append(NEVER_TRAINED.format(failures=failures, most=most))
    elif reason == state.MAX_RESTARTS_EXCEEDED:
        parts.append(EXCEEDED.format(max_restarts=lease.desired.max_restarts))
    if found and snapshot.spec.clean_pod_policy != "All":
        parts.append(found.log_command or "")
    parts.append(NEW_JOB)
    return "; ".join(part for part in parts if part)


def _first_cause(found: LastFailure) -> str:
    """The pod and its rank, the kind, the error, and the exit code or signal if the error has
    neither."""
    message = failure.headline(found)
    what = [message]
    if found.exit_code is not None and f"exit code {found.exit_code}" not in message:
        what.append(f"exit code {found.exit_code}")
    if found.signal is not None and _signal_name(found.signal) not in message:
        what.append(f"signal {found.signal}")
    parts = (failure.culprit(found), found.reason, "; ".join(part for part in what if part))
    return ": ".join(part for part in parts if part)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _merged(job: Job, rows: list[Row], at: datetime) -> list[Condition]:
    """The conditions of the status with these in their place; the others stay, and are those of
    the current generation, too."""
    observed = {"observed_generation": job.generation}
    found = {c.type: c.model_copy(update=observed) for c in job.status.conditions or []}
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
