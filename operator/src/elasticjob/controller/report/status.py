"""The status of a job. Each pass computes all of it, and the operator writes what has changed.

Every number comes from the Round Lease, from the holder's report, or from pods.
"""

from __future__ import annotations

from datetime import datetime

from elasticjob.api.v1alpha1 import Condition, ElasticJobStatus, LastRecovery, Progress
from elasticjob.controller.observe.parse import Job
from elasticjob.controller.observe.snapshot import Snapshot
from elasticjob.controller.plan import job_over
from elasticjob.controller.plan.restarts import blame
from elasticjob.controller.report import conditions, recent_failures
from elasticjob.controller.report import state as states
from elasticjob.controller.report.state import State, restarts, running_pods
from elasticjob.rendezvous import budget
from elasticjob.wire import names
from elasticjob.wire.codec import Json, dump_tagged
from elasticjob.wire.member import Pod, dump_pods
from elasticjob.wire.report import Report
from elasticjob.wire.round import Round


def of(snapshot: Snapshot, state: State) -> ElasticJobStatus:
    """The status of a job that the operator works on."""
    old = snapshot.job.status
    running = len(running_pods(snapshot))
    changed: Json = {
        "observed_generation": snapshot.job.generation,
        "phase": str(state),
        "ready": None if job_over.is_over(snapshot) else f"{running}/{snapshot.spec.replicas}",
        "replicas": len(snapshot.living),
        "ready_replicas": running,
        "selector": f"{names.LABEL_JOB_UID}={snapshot.job.uid}",
        "min_replicas": snapshot.spec.min_replicas or snapshot.spec.replicas,
        "max_replicas": snapshot.spec.max_replicas,
        "conditions": conditions.of(snapshot, state),
        **_failures(snapshot),
        "start_time": old.start_time or snapshot.utc_now,
        "completion_time": old.completion_time
        or (snapshot.utc_now if job_over.is_over(snapshot) else None),
        **_of_round(snapshot),
    }
    if snapshot.spec.suspend and not snapshot.living:
        changed["agent_hash"] = None  # the next pods run the agent of this operator
    return old.model_copy(update=changed)


def of_invalid(job: Job, state: State, at: datetime) -> ElasticJobStatus:
    """The status of a job that breaks a rule: the operator waits until it is corrected."""
    found = _without_work(job, state, conditions.of_invalid(job, at), at)
    return found.model_copy(update={"observed_generation": job.generation})


def of_unreadable_round(job: Job, state: State, at: datetime) -> ElasticJobStatus:
    """The status of a job whose Round Lease cannot be read: the operator waits until it can."""
    return _without_work(job, state, conditions.of_unreadable_round(job, state.detail, at), at)


def _without_work(job: Job, state: State, found: list[Condition], at: datetime) -> ElasticJobStatus:
    start_time = job.status.start_time or at
    changed = {"phase": str(state), "conditions": found, "start_time": start_time}
    return job.status.model_copy(update=changed)


def with_round(snapshot: Snapshot, round_: Round) -> ElasticJobStatus:
    """The status to write before this round is created in place of a lost or false one, so that its
    number is never used again. The first round of a job has the number 0 and needs none."""
    if not round_.n:
        return snapshot.job.status
    changed = {
        "round": round_.n,
        "phase": str(states.of(snapshot)),
        "ready": f"0/{snapshot.spec.replicas}",
        "ready_replicas": 0,
        **_failures(snapshot),  # of rounds that a later status takes for known ones
    }
    return snapshot.job.status.model_copy(update=changed)


def with_pods(snapshot: Snapshot, pods: tuple[Pod, ...], agent_hash_: str) -> ElasticJobStatus:
    """The status to write before these pods are created with this agent, so that no name is ever
    used twice."""
    following = dict(snapshot.next_generations)
    for pod in pods:
        following[pod.index] = max(following.get(pod.index, 0), pod.generation + 1)
    blamed = {i: n for i, n in snapshot.blamed.items() if i not in {pod.index for pod in pods}}
    changed = {
        "generations": dump_pods(Pod(*pair) for pair in following.items()),
        "blamed": _dump_blamed(blamed),
        "agent_hash": agent_hash_,
        "template_hash": snapshot.job.template_hash,
    }
    return snapshot.job.status.model_copy(update=changed)


def agent_hash(snapshot: Snapshot) -> str:
    """The agent that the next pods run: that of the job's living pods, so that an upgrade of the
    operator does not mix agents in a job; without living pods, that of this operator. Ten digits if
    an operator of the first releases has written it, else the whole hash."""
    return (snapshot.job.status.agent_hash if snapshot.living else None) or snapshot.agent_hash


def patch(old: ElasticJobStatus, new: ElasticJobStatus) -> Json:
    """The merge patch from one status to the other; empty if there is nothing to write."""
    return merge_patch(fields(old), fields(new))


def fields(status: ElasticJobStatus) -> Json:
    """The status as the API server stores it."""
    return status.model_dump(mode="json", by_alias=True, exclude_none=True)


def merge_patch(old: Json, new: Json) -> Json:
    """The merge patch of RFC 7386: null for what is removed, lists as a whole."""
    found: Json = {key: None for key in old if key not in new}
    for key, value in new.items():
        before = old.get(key)
        if isinstance(value, dict) and isinstance(before, dict):
            if inner := merge_patch(before, value):
                found[key] = inner
        elif value != before:
            found[key] = value
    return found


def _failures(snapshot: Snapshot) -> Json:
    found = recent_failures.of(snapshot)
    return {
        "last_failure": recent_failures.last(snapshot, found),
        # Absent in a job of an older release or without a failure.
        "recent_failures": found or snapshot.job.status.recent_failures,
    }


def _of_round(snapshot: Snapshot) -> Json:
    if snapshot.lease is None:
        return {}
    round_, report = snapshot.lease.round, snapshot.lease.report
    is_over = round_.phase.is_terminal
    return {
        # The result of a job has a number of a round as well, in which no worker ran. Only code in
        # a worker writes a lower number: reports and blame count up to the one in the status.
        "round": max(round_.n - is_over, snapshot.job.status.round or 0),
        "restarts": restarts(snapshot),
        "counted": budget.counted_failures(round_.charged, snapshot.lease.desired),
        "blamed": None if is_over else _dump_blamed(blame.counts(snapshot)),
        "last_recovery": _recovery(report) or snapshot.job.status.last_recovery,
        "progress": _progress(report) or snapshot.job.status.progress,
    }


def _recovery(report: Report | None) -> LastRecovery | None:
    if report is None or report.recovery is None:
        return None
    found = report.recovery
    return LastRecovery(
        round=found.n,
        detect_millis=found.detect_ms,
        stop_millis=found.stop_ms,
        rendezvous_millis=found.rendezvous_ms,
        start_millis=found.start_ms,
        total_millis=found.total_ms,
    )


def _progress(report: Report | None) -> Progress | None:
    if report is None or report.progress is None:
        return None
    return Progress(step=report.progress.step, total=report.progress.total or None)


def _dump_blamed(blamed: dict[int, int]) -> str | None:
    pairs = ((index, str(count)) for index, count in sorted(blamed.items()) if count)
    return dump_tagged(pairs, "x") or None
