"""STATUS (`status.phase`): the state of a job in a few words for people, not for programs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from elasticjob.controller.observe.parse import Job
from elasticjob.controller.observe.snapshot import Snapshot
from elasticjob.controller.plan import desired, job_over
from elasticjob.controller.report import (
    obstructions,
    recent_failures,
    summary,
    waits,
)
from elasticjob.controller.report.pods import agents, problems, refusals
from elasticjob.controller.report.pods.problem import TEMPLATE_REFUSED, PodProblem
from elasticjob.controller.report.texts import (
    COUNT,
    LONGEST_STATUS,
    MEMBERS,
    NO_PULSE_SHORT,
    OVER_BUDGET,
    UNREADABLE_ROUND,
    Word,
)
from elasticjob.controller.report.waits import Wait
from elasticjob.rendezvous import budget
from elasticjob.rendezvous.now import Now
from elasticjob.wire import names
from elasticjob.wire.cause import CauseKind
from elasticjob.wire.member import Pod
from elasticjob.wire.round import Phase, Round
from elasticjob.wire.untrusted import plain

# Reasons of the condition Failed.
MAX_RESTARTS_EXCEEDED = "MaxRestartsExceeded"
MAX_START_RESTARTS_EXCEEDED = "MaxStartRestartsExceeded"
START_FAILED = "StartFailed"  # the command cannot be executed
QUOTA = "exceeded quota: "  # the words of the API server

# The waits of each state of a job; the first one that applies is shown.
_FORMING = (waits.REPLACEMENT, waits.LAST_CALL)
_STARTING = (waits.BACKING_OFF, waits.WORKERS_START)
_DEGRADED = (waits.COOLING_DOWN, waits.LAST_CALL, waits.REPLACEMENT)


@dataclass(frozen=True)
class Why:
    """What keeps a job from running with all of its pods."""

    problem: PodProblem | None = None
    wait: Wait | None = None

    @property
    def text(self) -> str:
        """The problem in STATUS; empty if there is none."""
        return self.problem.text if self.problem else ""

    @property
    def shorter(self) -> tuple[str, ...]:
        """Shorter forms of it."""
        return self.problem.shorter if self.problem else ()

    @property
    def wait_text(self) -> str:
        """The wait in STATUS; empty if there is none. Next to a problem only its end, as the
        problem needs the place, and nothing if time does not solve the problem."""
        if self.wait is None or self._needs_template:
            return ""
        return self.wait.end if self.problem else f"{self.wait.text} {self.wait.end}"

    @property
    def reason(self) -> str:
        """The reason of a condition: the problem, unless time solves it."""
        is_awaited = self.problem is None or (self.wait and self.wait.reason == waits.REPLACEMENT)
        if self.wait and is_awaited and not self._needs_template:
            return self.wait.reason
        return self.problem_reason

    @property
    def problem_reason(self) -> str:
        """The reason of a condition about the problem alone; empty if there is none."""
        if self.problem is None:
            return ""
        is_quota = self.problem.reason == "PodsRefused" and QUOTA in self.problem.text
        return "QuotaExceeded" if is_quota else self.problem.reason

    @property
    def _needs_template(self) -> bool:
        return self.problem is not None and self.problem.reason == TEMPLATE_REFUSED

    @property
    def message(self) -> str:
        """The message of a condition."""
        problem = (self.problem.full or self.problem.text) if self.problem else ""
        wait = self.wait.message if self.wait else ""
        return "; ".join(part for part in (problem, wait) if part)


@dataclass(frozen=True)
class State:
    """STATUS: the state of a job for people, and for the metrics of the operator."""

    word: Word
    detail: str = ""  # a problem, a count of pods, or the cause of a failure
    shorter: tuple[str, ...] = ()  # forms of the detail, for when it has no room
    reason: str = ""  # of the end of a job that has failed
    why: Why = Why()

    def __str__(self) -> str:
        """At most LONGEST_STATUS characters. If a problem leaves no room for the end of the wait,
        only the condition has it."""
        details = [" ".join(plain(text).split()) for text in (self.detail, *self.shorter)]
        wait = self.why.wait_text
        with_wait = ["; ".join(part for part in (text, wait) if part) for text in details]
        rest = summary.fitted((*with_wait, *details), LONGEST_STATUS - len(f"{self.word}: "))
        return f"{self.word}: {rest}" if rest else self.word.value


def of(snapshot: Snapshot) -> State:
    """The state of a job: its end, else what the operator does with it, else that of its round."""
    if job_over.is_over(snapshot):
        return _end(snapshot)
    if obstructions.blocked_round(snapshot):
        return _pending(snapshot)
    if snapshot.spec.suspend:
        return State(Word.SUSPENDING if snapshot.living else Word.SUSPENDED)
    if desired.wants_no_pods(snapshot, Now(snapshot.now)):
        return State(Word.UPDATING)
    if snapshot.lease is None:
        return _pending(snapshot)
    if since := waits.silent_since(snapshot):
        at = waits.clock_time(since, snapshot.utc_now)
        return State(Word.UNKNOWN, NO_PULSE_SHORT.format(since=at))
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
    if snapshot.lease is None or round_ is None or round_.phase is not Phase.FAILED:
        return ""
    cause = round_.cause
    if cause and cause.kind is CauseKind.START_FAILED and cause.code is not None:
        return START_FAILED
    desired_ = snapshot.lease.desired
    counted = budget.counted_failures(round_.charged, desired_)
    starts, most = budget.start_failures(round_.charged, desired_), desired_.max_start_restarts
    if counted <= desired_.max_restarts and most is not None and starts > most:
        return MAX_START_RESTARTS_EXCEEDED
    if counted >= desired_.max_restarts:
        return MAX_RESTARTS_EXCEEDED
    return cause.kind.value if cause else "Failed"


def spent_limit(snapshot: Snapshot) -> tuple[str, int]:
    """The limit that one more failure exceeds: its field of the spec, and its value."""
    assert snapshot.lease is not None
    charged, desired_ = snapshot.lease.round.charged, snapshot.lease.desired
    is_start = budget.counted_failures(charged, desired_) + 1 <= desired_.max_restarts
    if is_start and desired_.max_start_restarts is not None:
        return "maxStartRestarts", desired_.max_start_restarts
    return "maxRestarts", desired_.max_restarts


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


def why(snapshot: Snapshot) -> Why:
    """What keeps a job that has not ended from running with all of its pods."""
    lease = snapshot.lease
    if blocked := obstructions.blocked_round(snapshot):
        return Why(PodProblem("DeletionBlocked", blocked))
    if lease is None:
        return Why(problems.most_frequent(snapshot))
    found = waits.of(snapshot)
    if lease.round.phase is Phase.FORMING:
        return _why(problems.most_frequent(snapshot), found, _FORMING)
    if not is_running(snapshot):
        return _why(refusals.of(snapshot), found, _STARTING)
    if len(lease.round.members) < snapshot.spec.replicas:
        return _why(problems.most_frequent(snapshot), found, _DEGRADED)
    return Why(refusals.of(snapshot))


def with_replacement(snapshot: Snapshot, problem: PodProblem) -> Why:
    """A problem, and the time of the next replacement of an index that is lost again and again."""
    return _why(problem, waits.of(snapshot), (waits.REPLACEMENT,))


def changes_in_s(snapshot: Snapshot) -> float:
    """The seconds until STATUS changes although nothing else does: a start delay ends."""
    if job_over.is_over(snapshot) or snapshot.lease is None or is_running(snapshot):
        return math.inf
    delay = waits.of(snapshot).get(waits.BACKING_OFF)
    return (delay.until - snapshot.utc_now).total_seconds() if delay else math.inf


def _because(word: Word, found: Why) -> State:
    """The state of a job whose problem and wait explain it."""
    return State(word, found.text, found.shorter, why=found)


def _why(problem: PodProblem | None, found: Mapping[str, Wait], reasons: tuple[str, ...]) -> Why:
    """A problem, and the first of these waits."""
    return Why(problem, next((found[reason] for reason in reasons if reason in found), None))


def _end(snapshot: Snapshot) -> State:
    """The final condition if there is one, else the phase of the round."""
    final = job_over.final_condition(snapshot)
    if final and final.type == "Complete":
        return State(Word.COMPLETE)
    reason = final.reason if final else end_reason(snapshot)
    if not reason:
        return State(Word.COMPLETE)
    found = recent_failures.last(snapshot, recent_failures.of(snapshot))
    forms = summary.of_failure(found) if found else ()
    first, *shorter = forms or (reason,)
    return State(Word.FAILED, first or reason, tuple(shorter), reason)


def _pending(snapshot: Snapshot) -> State:
    """The state of a job that has no round."""
    return _because(Word.PENDING, why(snapshot))


def _active(snapshot: Snapshot, round_: Round) -> State:
    if failed := failed_pods(snapshot):
        pod, (limit, most) = snapshot.job.pod_name(min(failed)), spent_limit(snapshot)
        return State(Word.FAILING, OVER_BUDGET.format(pod=pod, limit=limit, most=most))
    found = why(snapshot)
    if not is_running(snapshot):
        word = Word.STARTING if round_.starts <= 1 else Word.RESTARTING
        return _because(word, found)
    members, replicas = len(round_.members), snapshot.spec.replicas
    count = MEMBERS.format(members=members, replicas=replicas) if members < replicas else ""
    return State(Word.RUNNING, found.text or count, found.shorter, why=found)


def _forming(snapshot: Snapshot, round_: Round) -> State:
    """The state of a round without members: why pods do not run, if it is known."""
    is_first = round_.starts == 0
    word = Word.PENDING if is_first else Word.RESTARTING
    found = why(snapshot)
    if found.problem:
        return _because(word, found)
    running, replicas = agents.running(snapshot), snapshot.spec.replicas
    count = COUNT.format(running=running, replicas=replicas) if running < replicas else ""
    if running >= (snapshot.spec.min_replicas or replicas):
        word = Word.STARTING if is_first else Word.RESTARTING
        count = count if found.wait else ""
    return State(word, count, why=found)
