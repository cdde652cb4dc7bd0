"""STATUS (`status.phase`): the state of a job in a few words for people, not for programs."""

from __future__ import annotations

from elasticjob.controller.observe.parse import Job
from elasticjob.controller.observe.snapshot import Snapshot
from elasticjob.controller.plan import desired, job_over
from elasticjob.controller.report import obstructions, pod_problems
from elasticjob.controller.report.texts import COUNT, OVER_BUDGET, UNREADABLE_ROUND, State, Word
from elasticjob.rendezvous.now import Now
from elasticjob.wire import names
from elasticjob.wire.member import Pod
from elasticjob.wire.round import Phase, Round


def of(snapshot: Snapshot) -> State:
    """The state of a job: its end, else what the operator does with it, else that of its round."""
    if job_over.is_over(snapshot):
        return _end(snapshot)
    if blocked := obstructions.blocked_round(snapshot):
        return State(Word.PENDING, blocked)
    if snapshot.spec.suspend:
        return State(Word.SUSPENDING if snapshot.living else Word.SUSPENDED)
    if desired.wants_no_pods(snapshot, Now(snapshot.now)):
        return State(Word.UPDATING)
    if snapshot.lease is None:
        problem = pod_problems.most_frequent(snapshot)
        return State(Word.PENDING, problem.text if problem else "")
    if snapshot.lease.round.phase is Phase.ACTIVE:
        return _active(snapshot, snapshot.lease.round)
    return _forming(snapshot, snapshot.lease.round)


def of_invalid(job: Job) -> State:
    """The state of a job that breaks a rule: the first that it breaks."""
    path, fault = job.faults[0]
    return State(Word.INVALID, f"{path}: {fault}")


def of_unreadable_round(job: Job, why: str) -> State:
    """The state of a job whose Round Lease cannot be read."""
    lease = names.round_lease_name(job.name)
    return State(Word.UNKNOWN, UNREADABLE_ROUND.format(lease=lease, why=why))


def end_reason(snapshot: Snapshot) -> str:
    """Why the job has failed, in one word; empty if it has not."""
    round_ = snapshot.lease.round if snapshot.lease else None
    if round_ is None or round_.phase is not Phase.FAILED:
        return ""
    return round_.cause.kind.value if round_.cause else "Failed"


def running_pods(snapshot: Snapshot) -> frozenset[Pod]:
    """Members whose workers run in the current round, as the holder reports."""
    if (
        snapshot.lease is None
        or snapshot.lease.report is None
        or snapshot.lease.round.phase is not Phase.ACTIVE
    ):
        return frozenset()
    report = snapshot.lease.report
    current = report.n == snapshot.lease.round.n
    return frozenset(report.running) & snapshot.lease.round.pods if current else frozenset()


def failed_pods(snapshot: Snapshot) -> frozenset[Pod]:
    """Members of the current round of which a worker has failed over the budget, as the holder
    reports: the job fails, unless the holder finds that the loss of a pod was the cause."""
    lease = snapshot.lease
    if lease is None or lease.report is None or lease.report.n != lease.round.n:
        return frozenset()
    return frozenset(lease.report.failed) & lease.round.pods


def restarts(snapshot: Snapshot) -> int:
    """How often workers were started again after they had run. The current round counts once the
    holder reports that one of its members runs."""
    round_ = snapshot.lease.round if snapshot.lease else Round()
    is_starting = round_.phase is Phase.ACTIVE and not (
        running_pods(snapshot) or failed_pods(snapshot)
    )
    return max(0, round_.starts - (2 if is_starting else 1))


def is_running(snapshot: Snapshot) -> bool:
    """Whether the holder reports that all members of the current round run their workers."""
    members = snapshot.lease.round.pods if snapshot.lease else frozenset()
    return bool(members) and running_pods(snapshot) == members


def _end(snapshot: Snapshot) -> State:
    """The final condition if there is one, else the phase of the round."""
    if final := job_over.final_condition(snapshot):
        return State(Word(final.type), final.reason if final.type == "Failed" else "")
    reason = end_reason(snapshot)
    return State(Word.FAILED, reason) if reason else State(Word.COMPLETE)


def _active(snapshot: Snapshot, round_: Round) -> State:
    if failed := failed_pods(snapshot):
        pod, most = snapshot.job.pod_name(min(failed)), snapshot.spec.max_restarts
        return State(Word.RUNNING, OVER_BUDGET.format(pod=pod, max_restarts=most))
    word = Word.STARTING if round_.starts <= 1 else Word.RESTARTING
    if is_running(snapshot):
        word = Word.RUNNING
    problem = pod_problems.refused_pods(snapshot)
    return State(word, problem.text if problem else "")


def _forming(snapshot: Snapshot, round_: Round) -> State:
    """The state of a round without members: why pods do not run, if it is known."""
    is_first = round_.starts == 0
    word = Word.PENDING if is_first else Word.RESTARTING
    if problem := pod_problems.most_frequent(snapshot):
        return State(word, problem.text)
    running, replicas = pod_problems.running(snapshot), snapshot.spec.replicas
    if running >= (snapshot.spec.min_replicas or replicas):
        return State(Word.STARTING if is_first else Word.RESTARTING)
    return State(word, COUNT.format(running=running, replicas=replicas))
