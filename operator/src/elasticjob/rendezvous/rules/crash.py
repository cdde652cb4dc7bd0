"""Rule 4: a worker of this agent failed, and one compare-and-swap restarts the group."""

from __future__ import annotations

from elasticjob.rendezvous import timing
from elasticjob.rendezvous.actions import CasRound
from elasticjob.rendezvous.budget import (
    counted_failures,
    forgive_if_healthy,
    is_budget_spent,
    with_training,
)
from elasticjob.rendezvous.members.first_cause import after_ms, precedes_published
from elasticjob.rendezvous.members.recovery import recovery_until
from elasticjob.rendezvous.now import Now
from elasticjob.rendezvous.rule_helpers import RuleResult, no_action, writable_round
from elasticjob.rendezvous.state import Me, Run
from elasticjob.wire.agent_state import AgentPhase
from elasticjob.wire.cause import Cause
from elasticjob.wire.dataclasses import replace
from elasticjob.wire.lease import RoundLease
from elasticjob.wire.report import Recovery
from elasticjob.wire.round import Phase, Round


def crash(me: Me, now: Now) -> RuleResult:
    """Rule 4: write n+1 with the same members and one charge; over budget: report `failed n` (F9).

    A newer round answers the crash, so that it is not charged (V1). A leaving agent does neither.
    """
    lease, run = writable_round(me), me.run
    if lease is None or run is None or run.failure is None or me.fatal_cause or me.leaving:
        return no_action(me)
    if lease.round.n != run.n or lease.round.phase is not Phase.ACTIVE:  # clause 4-answered
        return no_action(me)
    if is_budget_spent(round_before_crash(me, lease, run), lease.desired):  # clause 4-over-budget
        return report_failed(me, run)
    if not now.has_come(crash_at(me, lease, run)):
        return no_action(me)
    next_ = round_after_crash(me, lease, run, run.failure)
    next_ = replace(next_, recovery=recovery_after_crash(me, lease, run, next_, now.at))
    return replace(me, cas_version=lease.version), (CasRound(lease.version, round=next_),)


def report_failed(me: Me, run: Run) -> RuleResult:
    """Rule 4: report `failed n`. The other members restart only if a loss explains the failure."""
    if (me.phase, me.n) == (AgentPhase.FAILED, run.n):
        return no_action(me)
    return replace(me, phase=AgentPhase.FAILED, n=run.n), ()


def crash_at(me: Me, lease: RoundLease, run: Run) -> float:
    """When this agent writes: if all members fail at once, one write is enough."""
    spread_s = timing.crash_delay_s(len(lease.round.members), me.who.jitter)
    return max(run.failed_at + spread_s, me.cas_at)


def round_before_crash(me: Me, lease: RoundLease, run: Run) -> Round:
    """The current round, marked as trained if it has, and with its charges forgiven if the workers
    ran for long enough."""
    round_ = with_training(lease.round, lease.report, [run.failure])
    round_ = replace(round_, trained=True) if me.trained else round_
    return forgive_if_healthy(round_, failure_at(run) - run.delivered_at, lease.desired)


def failure_at(run: Run) -> float:
    """When the workers failed. A worker may run on after it has reported its exception."""
    after_ms = run.failure.after_ms if run.failure else None
    if after_ms is None:
        return run.failed_at
    return min(run.failed_at, run.delivered_at + after_ms / 1000)


def round_after_crash(me: Me, lease: RoundLease, run: Run, cause: Cause) -> Round:
    """The round after a crash: the same members with another n, cause, charges and delay."""
    base = round_before_crash(me, lease, run)
    n = max(me.highest_n, run.n) + 1
    charged = base.charged.with_charge(n, at_start=not base.trained)
    failures = counted_failures(charged, lease.desired)
    delay_ms = timing.restart_delay_ms(failures, me.who.jitter)
    return replace(
        base, n=n, cause=cause, charged=charged, delay_ms=delay_ms, starts=base.starts + 1
    )


def recovery_after_crash(
    me: Me, lease: RoundLease, run: Run, next_: Round, now: float
) -> Recovery | None:
    """The recovery up to the write of the round after a crash."""
    age_ms, detect_ms = timing.millis(now - me.began_at), timing.millis(now - failure_at(run))
    return recovery_until(next_, lease.round, me.ran_n == lease.round.n, age_ms, detect_ms)


def publish_first_cause(me: Me, now: Now) -> RuleResult:
    """Rule 4: after another failure was answered, replace the cause of that round by this agent's
    failure if it came first. The number stays, so nothing restarts (F25)."""
    lease, failure = writable_round(me), me.cause
    if lease is None or failure is None or me.leaving:
        return no_action(me)
    if not precedes_published(failure, lease):
        return no_action(me)
    if not now.has_come(max(first_cause_at(me, lease, failure), me.cas_at)):
        return no_action(me)
    next_ = replace(lease.round, cause=failure)
    return replace(me, cas_version=lease.version), (CasRound(lease.version, round=next_),)


def first_cause_at(me: Me, lease: RoundLease, failure: Cause) -> float:
    """When this agent replaces the published cause: the first failure first."""
    assert lease.round.cause is not None
    mine, published = after_ms(failure), after_ms(lease.round.cause)
    return me.round_at + timing.first_cause_delay_s(len(lease.round.members), mine, published)


def write_failed(me: Me, now: Now) -> RuleResult:
    """Rule 4: after a fatal failure, write Failed until the round is terminal (F11)."""
    lease = writable_round(me)
    if lease is None or me.fatal_cause is None or not now.has_come(me.cas_at):
        return no_action(me)
    n = 1 + max(me.highest_n, lease.round.n)  # clause 4-fatal-until-terminal
    charged = lease.round.charged.with_charge(n)
    failed = replace(lease.round, n=n, phase=Phase.FAILED, cause=me.fatal_cause, charged=charged)
    failed = replace(failed, delay_ms=0, recovery=None)
    return replace(me, cas_version=lease.version), (CasRound(lease.version, round=failed),)
