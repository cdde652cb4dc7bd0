"""Rule 4: a worker of mine failed. One compare-and-swap restarts the group, and nothing polls."""

from __future__ import annotations

from elasticjob.rendezvous import timing
from elasticjob.rendezvous.actions import CasRound
from elasticjob.rendezvous.charges import after_healthy, counted, over_budget
from elasticjob.rendezvous.rule import Step, nothing, steppable
from elasticjob.rendezvous.state import Me, Run
from elasticjob.wire.agent_state import AgentPhase
from elasticjob.wire.cause import Cause
from elasticjob.wire.dataclasses import replace
from elasticjob.wire.lease import RoundLease
from elasticjob.wire.round import Phase, Round


def crash(me: Me, now: float) -> Step:
    """Rule 4: the same members, n+1, charged; over budget: say `failed n` and wait (F9).

    Only while n is the newest: a newer round covers this crash, and nothing is charged (V1). A
    leaving agent does neither.
    """
    lease, run = steppable(me), me.run
    if lease is None or run is None or run.failure is None or me.fatal or me.leaving:
        return nothing(me)
    if is_answered(me, lease, run) or lease.round.phase is not Phase.ACTIVE:
        return nothing(me)
    if over_budget(after_run(lease, run), lease.desired) and "4-over-budget" not in me.without:
        return replace(me, phase=AgentPhase.FAILED, n=run.n), ()
    if now < crash_at(me, lease, run):
        return nothing(me)
    next_ = crashed(lease, run, run.failure, max(me.top, run.n), me.who.jitter)
    detect_ms = round((now - run.failed_at) * 1000)
    me = replace(
        me, casing=lease.version, written_n=next_.n, detect_ms=detect_ms, rendezvous_ms=None
    )
    return me, (CasRound(lease.version, round=next_),)


def is_answered(me: Me, lease: RoundLease, run: Run) -> bool:
    """Rule 4: a newer round covers this crash, and nothing is charged (V1)."""
    return lease.round.n != run.n and "4-answered" not in me.without


def crash_at(me: Me, lease: RoundLease, run: Run) -> float:
    """When the step is made: all members may fail at once, and one write is enough."""
    spread_s = timing.crash_delay_s(len(lease.round.members), me.who.jitter)
    return max(run.failed_at + spread_s, me.cas_at)


def after_run(lease: RoundLease, run: Run) -> Round:
    """The round without the charges that a healthy time has paid off."""
    return after_healthy(lease.round, run.failed_at - run.at, lease.desired)


def crashed(lease: RoundLease, run: Run, cause: Cause, top: int, jitter: float) -> Round:
    """The round after a crash: it differs in n, cause, charge and delay only."""
    base = after_run(lease, run)
    n = top + 1
    charged = base.charged.with_charge(n)
    delay_ms = timing.restart_delay_ms(counted(charged, lease.desired), jitter)
    return replace(
        base, n=n, cause=cause, charged=charged, delay_ms=delay_ms, starts=base.starts + 1
    )


def fatal(me: Me, now: float) -> Step:
    """Rule 4: a fatal code is Failed, tried on every new version until the end (F11)."""
    lease = steppable(me)
    if lease is None or me.fatal is None or now < me.cas_at:
        return nothing(me)
    moved = me.fatal.n is not None and lease.round.n != me.fatal.n
    if moved and "4-fatal-until-terminal" in me.without:
        return nothing(me)
    n = 1 + max(me.top, lease.round.n)
    failed = replace(lease.round, n=n, phase=Phase.FAILED, cause=me.fatal, delay_ms=0)
    return replace(me, casing=lease.version), (CasRound(lease.version, round=failed),)
