"""What an event tells: facts only, no rule is applied here."""

from __future__ import annotations

import math
from typing import Any, Callable

from elasticjob.rendezvous import timing
from elasticjob.rendezvous.actions import Exit
from elasticjob.rendezvous.events import (
    CasFailed,
    Event,
    GetFailed,
    LeaseGone,
    LeaseSeen,
    LeaveRequested,
    Progressed,
    PulseFailed,
    RenewalReturned,
    RoundGone,
    RoundSeen,
    Source,
    Tick,
    ViewComplete,
    WorkerExited,
    WorkersReaped,
    WorkersStarted,
)
from elasticjob.rendezvous.rule import sees_since
from elasticjob.rendezvous.state import EXIT_SETUP, Hold, Me, Stage
from elasticjob.rendezvous.view import View, is_newer, replaced, with_lease, without_lease
from elasticjob.wire.agent_state import AgentPhase
from elasticjob.wire.dataclasses import replace
from elasticjob.wire.lease import AgentLease, RoundLease
from elasticjob.wire.member import Pod, pod_from_name
from elasticjob.wire.names import job_name

FOREVER = 1 << 30  # pulses


def learn(me: Me, event: Event, now: float) -> Me:
    """My knowledge after the event."""
    return _LEARN[type(event)](me, event, now)


def _hears(me: Me, now: float) -> Me:
    """The API server says something."""
    return replace(me, heard_at=now, sees_since=sees_since(me, now))


# ---- the Round -----------------------------------------------------------------------------------


def _round_seen(me: Me, event: RoundSeen, now: float) -> Me:
    if event.lease.job_uid != me.who.job_uid:
        return me
    me = replace(_hears(me, now), frozen=False)
    me = _pulse_returned(_answered(me, event), event)
    if not _is_news(me, event):
        return me
    silent_holder = me.lease.holder if me.lease and me.silent else ""
    me = _heard(me, event, now)
    if me.lease is None or event.lease.round.n != me.lease.round.n:
        me = replace(me, round_at=now, top=max(me.top, event.lease.round.n))
        me = replace(me, delay_since=_delay_since(event.lease, now))
    me = _looked(replace(me, lease=event.lease, cas_at=min(me.cas_at, now)), event)
    me = _joining(me, event)
    return _holding(me, silent_holder)


def _delay_since(lease: RoundLease, now: float) -> float:
    """When the start delay of a round that I see for the first time began: the last report says how
    much of it was left, to an agent that begins within it."""
    report, delay_ms = lease.report, lease.round.delay_ms
    if report is None or report.n != lease.round.n or report.delay_ms is None:
        return now
    return now - max(0, delay_ms - report.delay_ms) / 1000


def _is_news(me: Me, event: RoundSeen) -> bool:
    """A consistent read is always news; a late delivery of an older version never is."""
    if me.lease is None or event.source is Source.READ:
        return True
    return is_newer(event.lease.version, me.lease.version)


def _answered(me: Me, event: RoundSeen) -> Me:
    if event.source is Source.ANSWER:
        return replace(me, casing="")
    if event.source is Source.PULSE and me.hold:
        hold = replace(me.hold, pulsing=False, pulsed=event.lease.version, returned=False)
        return replace(me, hold=hold)
    return me


def _pulse_returned(me: Me, event: RoundSeen) -> Me:
    """Rule 6: the last pulse has come back in this stream, be it before its answer or after it."""
    hold = me.hold
    if hold is None:
        return me
    if event.source in (Source.WATCH, Source.READ):
        hold = replace(hold, streamed=event.lease.version)
    if hold.returned or not hold.streamed or is_newer(hold.pulsed, hold.streamed):
        return replace(me, hold=hold)
    view = replace(hold.view, pulses=hold.view.pulses + 1)
    return replace(me, hold=replace(hold, returned=True, view=view, dirty=True))


def _heard(me: Me, event: RoundSeen, now: float) -> Me:
    """Rule 5: a pulse of the holder, or another holder."""
    same = me.lease is not None and me.lease.holder == event.lease.holder
    if same and event.lease.renew_time == me.heard:
        return me
    return replace(me, heard=event.lease.renew_time, quiet_since=now, missed=0, silent=False)


def _looked(me: Me, event: RoundSeen) -> Me:
    """Rule 5: the consistent read is there; the holder is silent if it shows no newer pulse."""
    if me.doubted is None or event.source is not Source.READ:
        return me
    return replace(me, doubted=None, silent=event.lease.renew_time == me.doubted, missed=0)


def _joining(me: Me, event: RoundSeen) -> Me:
    """Rule 2: the Round was read consistently, then comes the Lease, as `ready n`.

    If the Round names this pod, an incarnation before me ran here (F2, V6): see what Lease it left.
    """
    if me.stage is not Stage.READING or event.source is not Source.READ:
        return me
    round_ = event.lease.round
    named = round_.member(me.who.pod) is not None and "2-named-exits" not in me.without
    stage = Stage.CHECKING if named else Stage.CREATING
    return replace(me, stage=stage, asked=False, phase=AgentPhase.READY, n=round_.n)


def _holding(me: Me, silent_holder: str) -> Me:
    """I am the holder, or not, as the newest version says."""
    mine = me.lease is not None and me.lease.holder == me.who.name
    if not mine:
        return replace(me, hold=None) if me.hold else me
    if me.hold is not None:
        return replace(me, hold=replace(me.hold, dirty=True))
    replaced_ = _pod(me, silent_holder)
    view = View(job=job_name(me.who.name), own=me.who.pod)
    return replace(me, hold=Hold(view, replaced=replaced_), claim_at=None)


def _pod(me: Me, name: str) -> Pod | None:
    """Rule 6: the pod of my job that has this name, or None: a name is the one thing in a Lease
    that code in another job cannot choose (S1)."""
    job = job_name(name if "6-by-name" in me.without else me.who.name)
    return pod_from_name(name, job)


def _round_gone(me: Me, event: RoundGone, now: float) -> Me:
    return replace(me, frozen=True, hold=None, casing="")


def _cas_failed(me: Me, event: CasFailed, now: float) -> Me:
    """The version that it met is here already, or the watch brings it: then at once, else soon."""
    met = event.conflict and me.casing and me.lease is not None
    is_here = met and me.lease is not None and is_newer(me.lease.version, me.casing)
    pause_s = 0.0 if is_here else timing.retry_s(_heartbeat_s(me))
    return replace(me, casing="", cas_at=now + pause_s)


def _pulse_failed(me: Me, event: PulseFailed, now: float) -> Me:
    if me.hold is None:
        return me
    pulse_at = now + timing.retry_s(_heartbeat_s(me))
    met = me.hold.sent if event.conflict else ""
    return replace(me, hold=replace(me.hold, pulsing=False, pulse_at=pulse_at, met=met))


# ---- Leases --------------------------------------------------------------------------------------


def _lease_seen(me: Me, event: LeaseSeen, now: float) -> Me:
    lease = event.lease
    if not _is_of_my_job(me, lease):
        return me
    me = _hears(me, now)
    if lease.name == me.who.name:
        me = _own_seen(me, lease, now, event.by_get)
    return _in_view(me, lease, event.by_get, now)


def _is_of_my_job(me: Me, lease: AgentLease) -> bool:
    """Rule 6: a Lease is a pod's of my job by its name, whatever its labels say (S1)."""
    return lease.job_uid == me.who.job_uid and lease.pod == _pod(me, lease.name)


def _own_seen(me: Me, lease: AgentLease, now: float, found: bool = False) -> Me:
    """Rules 2, 3: what I create or find is mine as it stands, or I must go."""
    why = _foreign(me, lease, found)
    if why:
        return replace(me, exit=Exit(EXIT_SETUP, f"my Lease is {why}"), version="")
    if me.stage is Stage.CHECKING:
        me = replace(me, phase=lease.state.phase, n=lease.state.n)
    if me.stage in (Stage.CREATING, Stage.CHECKING):
        me = replace(me, stage=Stage.JOINED, asked=False, beat_at=now + _heartbeat_s(me))
        return replace(me, version=lease.version, written=lease.state.to_json())
    if not me.version or is_newer(lease.version, me.version):
        return replace(me, version=lease.version, written=lease.state.to_json())
    return me


def _foreign(me: Me, lease: AgentLease, found: bool) -> str:
    """Rules 2, 3: why the Lease with my name is not mine (F2, V6, W2, V8); empty: it is mine.

    Found with my nonce: my create was applied, and only its answer was lost (V11).
    """
    if lease.ended and "3-ended-exits" not in me.without:
        return "ended by the operator"
    if lease.nonce != me.who.nonce and "2-nonce" not in me.without:
        return "of another incarnation"
    creating = me.stage in (Stage.CREATING, Stage.CHECKING)
    return "there already" if found and creating and "2-mine" in me.without else ""


def _heartbeat_s(me: Me) -> float:
    return me.lease.desired.heartbeat_s if me.lease else 0.0


def _in_view(me: Me, lease: AgentLease, by_get: bool, now: float) -> Me:
    hold = me.hold
    if hold is None or not (hold.complete or by_get):
        return me
    before = hold.view.seen.get(lease.pod)
    view = with_lease(hold.view, lease, now, by_get)
    getting = hold.getting - {lease.pod} if by_get else hold.getting
    matters = by_get or hold.waiting or before is None or _differs(before.lease, lease)
    return replace(me, hold=replace(hold, view=view, getting=getting, dirty=hold.dirty or matters))


def _differs(old: AgentLease | None, new: AgentLease) -> bool:
    """Whether a renewal says anything that a decision could depend on."""
    if old is None or old.ended != new.ended:
        return True
    a, b = old.state, new.state
    return (a.phase, a.n, a.leaving) != (b.phase, b.n, b.leaving)


def _lease_gone(me: Me, event: LeaseGone, now: float) -> Me:
    me = _hears(me, now)
    if event.name == me.who.name:
        me = _own_gone(me)
    hold = me.hold
    if hold is None or not (hold.complete or event.by_get):
        return me
    pod = _pod(me, event.name)
    if pod is None:
        return me
    view = without_lease(hold.view, pod, now, event.by_get)
    getting = hold.getting - {pod} if event.by_get else hold.getting
    return replace(me, hold=replace(hold, view=view, getting=getting, dirty=True))


def _own_gone(me: Me) -> Me:
    """Rule 2: named by the Round, but no Lease: exit (V13). Rule 3: gone later: create it again."""
    if me.stage is Stage.CHECKING:
        why = "the Round names this pod, but it has no Lease: another incarnation ran here"
        return replace(me, exit=Exit(EXIT_SETUP, why))
    if me.stage is Stage.JOINED and "3-create-again" not in me.without:
        return replace(me, stage=Stage.CREATING, asked=False, version="", written="")
    return me


def _get_failed(me: Me, event: GetFailed, now: float) -> Me:
    if event.name == me.who.name:
        me = replace(me, asked=False, ask_at=now + timing.RETRY_S)
    if me.hold is None:
        return me
    getting = me.hold.getting - {_pod(me, event.name)}
    get_at = now + timing.retry_s(_heartbeat_s(me))
    return replace(me, hold=replace(me.hold, getting=getting, get_at=get_at, dirty=True))


def _view_complete(me: Me, event: ViewComplete, now: float) -> Me:
    """Rule 6: the initial set replaces the view; the holder that I replaced is silent still.

    It tells of my own Lease, too, which I do not renew while I hold (F18).
    """
    hold = me.hold
    if hold is None or me.lease is None:
        return me
    mine = tuple(lease for lease in event.leases if _is_of_my_job(me, lease))
    view = replaced(hold.view, mine, me.lease.round.pods, now)
    own = next((lease for lease in mine if lease.name == me.who.name), None)
    me = _own_seen(me, own, now) if own else _own_gone(me)
    if hold.replaced and hold.replaced in view.seen and "6-replaced-is-silent" not in me.without:
        view = _long_silent(view, hold.replaced)
    hold = replace(hold, view=view, replaced=None)
    hold = replace(hold, complete=True, opening=False, returned=True, dirty=True)
    return _hears(replace(me, hold=hold), now)


def _long_silent(view: View, pod: Pod) -> View:
    """Rule 6: the holder that I replaced counts as silent until its Lease changes."""
    seen = replace(view.seen[pod], changed_at=-math.inf, changed_pulse=view.pulses - FOREVER)
    return replace(view, seen={**view.seen, pod: seen})


def _renewal_returned(me: Me, event: RenewalReturned, now: float) -> Me:
    """The API server has my state; or the renewal failed, and is tried again within T.

    Rule 5: then I count anew, as the holder may have been cut off just as I was (F15).
    """
    if event.lease is None:
        if "5-in-a-row" not in me.without:
            me = replace(me, quiet_since=now, missed=0)
        again_at = now + timing.retry_s(_heartbeat_s(me))
        return replace(me, writing="", beat_at=again_at, write_at=again_at)
    me = replace(_hears(me, now), written=me.writing, writing="")
    me = _own_seen(me, event.lease, now)
    return replace(me, missed=me.missed + 1)


# ---- workers, people, time -----------------------------------------------------------------------


def _workers_started(me: Me, event: WorkersStarted, now: float) -> Me:
    if me.run is None or me.run.n != event.n:
        return me
    members = len(me.lease.round.members) if me.lease else 0
    say_at = now + timing.running_delay_s(members, me.who.jitter)
    me = replace(me, run=replace(me.run, started=True), phase=AgentPhase.RUNNING, n=event.n)
    me = replace(me, beat_at=min(me.beat_at, say_at))
    return replace(me, start_ms=event.start_ms, stop_ms=event.stop_ms)


def _worker_exited(me: Me, event: WorkerExited, now: float) -> Me:
    run = me.run
    if run is None or run.n != event.n or run.failure is not None or run.stop_by is not None:
        return me
    if event.failure is None:
        return replace(me, run=replace(run, done=True), phase=AgentPhase.DONE, n=run.n)
    run = replace(run, failure=event.failure, failed_at=now)
    return replace(me, run=run, cause=event.failure, fatal=event.failure if event.fatal else None)


def _workers_reaped(me: Me, event: WorkersReaped, now: float) -> Me:
    if me.run is None or me.run.n > event.n:
        return me
    return replace(me, run=replace(me.run, alive=False, stop_by=None))


def _told_to_leave(me: Me, event: LeaveRequested, now: float) -> Me:
    if me.leaving:
        return me
    if me.lease is None:
        return replace(me, leaving=True, leave_by=now, leave_until=now)
    desired = me.lease.desired
    leave_by, leave_until = now + timing.leave_wait_s(desired), now + desired.stop_grace_s
    return replace(me, leaving=True, leave_by=leave_by, leave_until=leave_until)


def _progressed(me: Me, event: Progressed, now: float) -> Me:
    return replace(me, progress=event.progress)


def _tick(me: Me, event: Tick, now: float) -> Me:
    return replace(me, hold=replace(me.hold, dirty=True)) if me.hold else me


_LEARN: dict[type, Callable[[Me, Any, float], Me]] = {
    RoundSeen: _round_seen,
    RoundGone: _round_gone,
    CasFailed: _cas_failed,
    PulseFailed: _pulse_failed,
    LeaseSeen: _lease_seen,
    LeaseGone: _lease_gone,
    GetFailed: _get_failed,
    ViewComplete: _view_complete,
    RenewalReturned: _renewal_returned,
    WorkersStarted: _workers_started,
    WorkerExited: _worker_exited,
    WorkersReaped: _workers_reaped,
    LeaveRequested: _told_to_leave,
    Progressed: _progressed,
    Tick: _tick,
}
