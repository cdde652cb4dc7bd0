"""Rule 3: stop what is old, run the newest round once, say `ready n` when I stand outside."""

from __future__ import annotations

from elasticjob.rendezvous import timing
from elasticjob.rendezvous.actions import Start, Stop
from elasticjob.rendezvous.rule import Step, named, nothing
from elasticjob.rendezvous.state import Me, Run, Stage
from elasticjob.wire.agent_state import AgentPhase
from elasticjob.wire.cause import Cause, CauseKind
from elasticjob.wire.dataclasses import replace


def stop(me: Me, now: float) -> Step:
    """Rule 3: end my workers when there is a reason to."""
    run = me.run
    if run is None or not run.alive or run.stop_by is not None or me.lease is None:
        return nothing(me)
    grace_s = stop_reason(me, run, now)
    if grace_s is None:
        return nothing(me)
    stop_by = now + grace_s + timing.START_ALLOWANCE_S
    return replace(me, run=replace(run, stop_by=stop_by)), (Stop(run.n, grace_s),)


def stop_reason(me: Me, run: Run, now: float) -> float | None:
    """Rule 3: the grace of the first reason to end the workers of `run`, or None.

    A failure of one of them, or the dark; an exit that waits; my time to leave; a newer round. A
    leaver waits for the round without it, for as long as somebody can make one.
    """
    assert me.lease is not None
    desired, round_ = me.lease.desired, me.lease.round
    if run.failure is not None or me.exit is not None:
        return desired.crash_grace_s
    if me.leaving:
        waits = named(me) and now < me.leave_by and not me.frozen
        return None if waits else max(0.0, me.leave_until - now)
    return timing.stop_grace_s(desired, round_) if round_.n > run.n else None


def start(me: Me, now: float) -> Step:
    """Rule 3: run round n once: the newest, Active, with me, not leaving, the older reaped."""
    if not may_start(me) or me.lease is None or now < start_at(me):
        return nothing(me)
    round_ = me.lease.round
    run = Run(round_.n, me.round_at)
    return replace(me, run=run, last_run=round_.n, progress=None), (Start(round_),)


def may_start(me: Me) -> bool:
    """Rule 3: every condition but the delay. The newest ever seen: a read may come late (I3)."""
    if me.stage is not Stage.JOINED or me.frozen or me.exit or is_alive(me):
        return False
    if me.leaving and "3-not-leaving" not in me.without:
        return False
    if me.lease is None or not named(me):
        return False
    n = me.lease.round.n
    return me.last_run < n and (n >= me.top or "3-newest" in me.without)


def is_alive(me: Me) -> bool:
    """Whether something of my workers may be left."""
    return me.run is not None and me.run.alive


def start_at(me: Me) -> float:
    """When the newest round may start: after its delay."""
    return me.delay_since + (me.lease.round.delay_ms / 1000 if me.lease else 0.0)


def stand_outside(me: Me, now: float) -> Step:
    """Rule 3: outside and reaped I say `ready n`; a leaver keeps its last word (V15)."""
    if me.stage is not Stage.JOINED or is_alive(me) or me.lease is None:
        return nothing(me)
    if me.lease.round.phase.is_terminal or (named(me) and not me.leaving):
        return nothing(me)
    if me.leaving and "3-leaver-keeps-word" not in me.without:
        return nothing(me)
    n = me.lease.round.n
    if (me.phase, me.n) == (AgentPhase.READY, n):
        return nothing(me)
    spread_s = timing.herd_delay_s(len(me.lease.desired.wanted), me.who.jitter)
    return replace(me, phase=AgentPhase.READY, n=n, beat_at=min(me.beat_at, now + spread_s)), ()


def dark(me: Me, now: float) -> Step:
    """Rule 3: the API was away for longer than its grace: my workers end, like after a crash."""
    run = me.run
    if run is None or me.lease is None or run.done or run.failure or not run.alive or me.frozen:
        return nothing(me)
    if now - me.heard_at < me.lease.desired.api_grace_s:
        return nothing(me)
    away = f"the API server could not be reached for {me.lease.desired.api_grace_s:g} s"
    cause = Cause(CauseKind.API_DARK, me.who.name, me.who.node, message=away, n=run.n)
    return replace(me, run=replace(run, failure=cause, failed_at=now), cause=cause), ()
