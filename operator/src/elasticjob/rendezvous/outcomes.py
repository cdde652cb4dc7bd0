"""Record what has happened to this agent's workers."""

from __future__ import annotations

from elasticjob.rendezvous import timing
from elasticjob.rendezvous.events import FailureNoticed, WorkerExited, WorkersReaped, WorkersStarted
from elasticjob.rendezvous.members.first_cause import is_before
from elasticjob.rendezvous.rule_helpers import stop_ms
from elasticjob.rendezvous.state import Me
from elasticjob.wire.agent_state import AgentPhase
from elasticjob.wire.cause import Cause
from elasticjob.wire.dataclasses import replace


def workers_started(me: Me, event: WorkersStarted, now: float) -> Me:
    """Report `running n`."""
    run = me.run
    if run is None or run.n != event.n:
        return me
    members = len(me.lease.round.members) if me.lease else 0
    running_at = now + timing.running_delay_s(members, me.who.jitter)
    me = replace(me, run=replace(run, started=True), phase=AgentPhase.RUNNING, n=event.n)
    me = replace(me, renew_at=min(me.renew_at, running_at))
    return replace(me, start_ms=event.start_ms, stop_ms=stop_ms(me, run.delivered_at))


def worker_exited(me: Me, event: WorkerExited, now: float) -> Me:
    """Report `done n`, or record the failure that is the first in this pod."""
    run = me.run
    if run is None or run.n != event.n or run.failure is not None or run.stop_by is not None:
        return me
    if event.failure is None:
        cause = None if run.noticed else me.cause
        me = replace(me, run=replace(run, noticed=None, done=True), cause=cause)
        return replace(me, phase=AgentPhase.DONE, n=run.n)
    failure = first_of(run.noticed, event.failure)
    fatal_cause = failure if event.fatal else None
    run = replace(run, noticed=None, failure=failure, failed_at=now)
    return replace(me, run=run, cause=failure, fatal_cause=fatal_cause)


def first_of(noticed: Cause | None, exited: Cause) -> Cause:
    """The first of two failures. If both are of one worker, the exit adds its code."""
    if noticed is None or not is_before(noticed, exited):
        return exited
    is_same = (noticed.pod, noticed.rank) == (exited.pod, exited.rank)
    return replace(exited, after_ms=noticed.after_ms) if is_same else noticed


def failure_noticed(me: Me, event: FailureNoticed, now: float) -> Me:
    """Rule 4: record the first failure of the round in this pod, with its time."""
    run = me.run
    if run is None or run.n != event.n or run.failure is not None or run.done:
        return me
    if event.failure is None:
        cause = None if me.cause == run.noticed else me.cause
        return replace(me, run=replace(run, noticed=None), cause=cause)
    if run.noticed is not None and not is_before(event.failure, run.noticed):
        return me
    grace_s = me.lease.desired.crash_grace_s if me.lease else 0.0
    exit_by = run.delivered_at + (event.failure.after_ms or 0) / 1000 + grace_s
    return replace(
        me, run=replace(run, noticed=event.failure, exit_by=exit_by), cause=event.failure
    )


def workers_reaped(me: Me, event: WorkersReaped, now: float) -> Me:
    """Record that the next round may start."""
    if me.run is None or me.run.n > event.n:
        return me
    return replace(me, run=replace(me.run, alive=False, stop_by=None), reaped_at=now)
