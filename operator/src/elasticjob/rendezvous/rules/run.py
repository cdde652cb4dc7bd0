"""Rule 3: stop old workers, run the newest round once, report `ready n` outside of it."""

from __future__ import annotations

from elasticjob.rendezvous import timing
from elasticjob.rendezvous.actions import Start, Stop
from elasticjob.rendezvous.now import Now
from elasticjob.rendezvous.rule_helpers import RuleResult, is_active_member, no_action, stop_ms
from elasticjob.rendezvous.state import Me, Run, Stage
from elasticjob.wire.agent_state import AgentPhase
from elasticjob.wire.cause import Cause, CauseKind
from elasticjob.wire.dataclasses import replace


def stop(me: Me, now: Now) -> RuleResult:
    """Rule 3: stop the workers if there is a reason."""
    run = me.run
    if run is None or not run.alive or run.stop_by is not None or me.lease is None:
        return no_action(me)
    grace_s = stop_reason(me, run, now)
    if grace_s is None:
        return no_action(me)
    stop_by = now.at + grace_s + timing.START_ALLOWANCE_S
    return replace(me, run=replace(run, stop_by=stop_by)), (Stop(run.n, grace_s),)


def stop_reason(me: Me, run: Run, now: Now) -> float | None:
    """Rule 3: the grace of the first reason to stop the workers of `run`, or None.

    The reasons: a failure, an exit to come, SIGTERM, a newer round. A leaving member first waits
    for the round without it, unless no agent can write one.
    """
    assert me.lease is not None
    desired, round_ = me.lease.desired, me.lease.round
    if run.failure is not None or me.exit is not None:
        return desired.crash_grace_s
    if me.leaving:
        can_wait = is_active_member(me) and not me.frozen
        if can_wait and not now.has_come(me.leave_stop_at):
            return None
        return max(0.0, me.leave_exit_at - now.at)
    return timing.stop_grace_s(desired, round_) if round_.n > run.n else None


def start(me: Me, now: Now) -> RuleResult:
    """Rule 3: start the workers of round n, once, after its start delay."""
    if not may_start(me) or me.lease is None or not now.has_come(start_at(me)):
        return no_action(me)
    round_ = me.lease.round
    run = Run(round_.n, me.round_at)
    return replace(me, run=run, last_run_n=round_.n, progress=None), (Start(round_),)


def may_start(me: Me) -> bool:
    """Rule 3: whether every condition but the delay holds: n is the newest number received (a read
    may come late, I3), the round is Active with this agent, and no older worker is alive."""
    if me.stage is not Stage.JOINED or me.frozen or me.exit or is_alive(me):
        return False
    if me.leaving:  # clause 3-not-leaving
        return False
    if me.lease is None or not is_active_member(me):
        return False
    n = me.lease.round.n
    if n < me.highest_n:  # clause 3-newest
        return False
    return me.last_run_n < n


def is_alive(me: Me) -> bool:
    """Whether a process of the workers may be alive."""
    return me.run is not None and me.run.alive


def start_at(me: Me) -> float:
    """When the start delay of the newest round ends."""
    return me.delay_since + (me.lease.round.delay_ms / 1000 if me.lease else 0.0)


def stand_outside(me: Me, now: Now) -> RuleResult:
    """Rule 3: outside, without workers, report `ready n`. A leaving agent does not (V15)."""
    if me.stage is not Stage.JOINED or is_alive(me) or me.lease is None:
        return no_action(me)
    if me.lease.round.phase.is_terminal or (is_active_member(me) and not me.leaving):
        return no_action(me)
    if me.leaving:  # clause 3-leaver-keeps-state
        return no_action(me)
    n = me.lease.round.n
    if (me.phase, me.n) == (AgentPhase.READY, n):
        return no_action(me)
    spread_s = timing.herd_delay_s(len(me.lease.desired.wanted), me.who.jitter)
    me = replace(me, phase=AgentPhase.READY, n=n, stop_ms=stop_ms(me, me.round_at))
    return replace(me, renew_at=min(me.renew_at, now.at + spread_s)), ()


def fail_if_exit_is_late(me: Me, now: Now) -> RuleResult:
    """Rule 3: record the failure of a worker that has reported an exception and runs on for
    crashGraceSeconds; `stop` then stops the workers."""
    run = me.run
    if run is None or run.noticed is None or run.stop_by is not None:
        return no_action(me)
    if not now.has_come(run.exit_by):
        return no_action(me)
    run = replace(run, noticed=None, failure=run.noticed, failed_at=now.at)
    return replace(me, run=run), ()


def fail_if_api_is_away(me: Me, now: Now) -> RuleResult:
    """Rule 3: record a failure if the API server is away for apiGraceSeconds; `stop` then stops the
    workers."""
    run = me.run
    if run is None or me.lease is None or run.done or run.failure or not run.alive or me.frozen:
        return no_action(me)
    if not now.has_come(me.contact_at + me.lease.desired.api_grace_s):
        return no_action(me)
    away = f"the API server could not be reached for {me.lease.desired.api_grace_s:g} s"
    cause = Cause(CauseKind.API_DARK, me.who.name, me.who.node, message=away, n=run.n)
    return replace(me, run=replace(run, failure=cause, failed_at=now.at), cause=cause), ()
