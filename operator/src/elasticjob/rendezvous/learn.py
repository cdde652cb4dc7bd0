"""Record an event in the agent's state.

It returns no action; what an event alone decides (rules 2, 3, 5) is recorded here.
"""

from __future__ import annotations

from typing import Any, Callable

from elasticjob.rendezvous import outcomes, timing
from elasticjob.rendezvous.events import (
    CasFailed,
    Event,
    FailureNoticed,
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
from elasticjob.rendezvous.members import report
from elasticjob.rendezvous.rule_helpers import contact_since
from elasticjob.rendezvous.state import Hold, Me, Stage, setup_failure
from elasticjob.rendezvous.view import (
    FormerHolder,
    View,
    is_newer,
    with_former_holder,
    with_initial_set,
    with_lease,
    with_silent_agent,
    without_lease,
)
from elasticjob.wire.agent_state import AgentPhase
from elasticjob.wire.dataclasses import replace
from elasticjob.wire.lease import AgentLease
from elasticjob.wire.member import Pod, pod_from_name
from elasticjob.wire.names import job_name


def learn(me: Me, event: Event, now: float) -> Me:
    """The agent's state after the event."""
    return _LEARN[type(event)](me, event, now)


def _record_contact(me: Me, now: float) -> Me:
    """Record that the API server sent something."""
    since = contact_since(me, now)
    if me.hold is not None and since != me.contact_since:
        me = replace(me, hold=replace(me.hold, dirty=True))
    return replace(me, contact_at=now, contact_since=since)


# ---- the Round Lease -----------------------------------------------------------------------------


def _round_seen(me: Me, event: RoundSeen, now: float) -> Me:
    if event.lease.job_uid != me.who.job_uid:
        return me
    me = replace(_record_contact(me, now), frozen=False)
    me = _record_returned_pulse(_record_answer(me, event), event)
    if not _is_newest(me, event):
        return me
    silent_holder = me.lease.holder if me.lease and me.holder_silent else ""
    me = _record_pulse(me, event, now)
    if me.lease is None or event.lease.round.n != me.lease.round.n:
        me = replace(me, round_at=now, highest_n=max(me.highest_n, event.lease.round.n))
        me = replace(me, delay_since=report.delay_since(event.lease, now))
        me = replace(me, began_at=report.began_at(event.lease, now))
    me = _resolve_doubt(replace(me, lease=event.lease, cas_at=min(me.cas_at, now)), event)
    me = replace(me, ran_n=report.ran_n(event.lease, me.ran_n))
    me = _begin_joining(me, event)
    return _update_hold(me, silent_holder)


def _is_newest(me: Me, event: RoundSeen) -> bool:
    """Whether this version replaces the last one: a consistent read always, an older one never."""
    if me.lease is None or event.source is Source.READ:
        return True
    return is_newer(event.lease.version, me.lease.version)


def _record_answer(me: Me, event: RoundSeen) -> Me:
    """Record that this agent's CAS or pulse succeeded."""
    if event.source is Source.ANSWER:
        return replace(me, cas_version="")
    if event.source is Source.PULSE and me.hold:
        version = event.lease.version
        hold = replace(me.hold, pulsing=False, pulse_version=version, pulse_returned=False)
        return replace(me, hold=hold)
    return me


def _record_returned_pulse(me: Me, event: RoundSeen) -> Me:
    """Rule 6: record that the watch has delivered the last pulse, before its answer or after it."""
    hold = me.hold
    if hold is None:
        return me
    if event.source in (Source.WATCH, Source.READ):
        hold = replace(hold, streamed_version=event.lease.version)
    if hold.pulse_returned or not hold.streamed_version:
        return replace(me, hold=hold)
    if is_newer(hold.pulse_version, hold.streamed_version):
        return replace(me, hold=hold)
    view = replace(hold.view, pulses=hold.view.pulses + 1)
    return replace(me, hold=replace(hold, pulse_returned=True, view=view, dirty=True))


def _record_pulse(me: Me, event: RoundSeen, now: float) -> Me:
    """Rule 5: record a new pulse of the holder, or another holder."""
    is_same = me.lease is not None and me.lease.holder == event.lease.holder
    if is_same and event.lease.renew_time == me.last_pulse:
        return me
    former = _pod_of_job(me, me.lease.holder) if me.lease and not is_same else None
    if former is not None:
        me = replace(me, former_holder=FormerHolder(former, me.last_pulse_at, now))
    me = replace(me, last_pulse=event.lease.renew_time, last_pulse_at=now)
    return replace(me, renewals_since_pulse=0, holder_silent=False)


def _resolve_doubt(me: Me, event: RoundSeen) -> Me:
    """Rule 5: after a consistent read, the holder is silent if it shows no new pulse."""
    if me.doubted_pulse is None or event.source is not Source.READ:
        return me
    is_silent = event.lease.renew_time == me.doubted_pulse
    return replace(me, doubted_pulse=None, holder_silent=is_silent, renewals_since_pulse=0)


def _begin_joining(me: Me, event: RoundSeen) -> Me:
    """Rule 2: after the first consistent read, the agent creates its Lease as `ready n`.

    If the round names this pod, another incarnation ran here (F2, V6): read its Lease first.
    """
    if me.stage is not Stage.READING or event.source is not Source.READ:
        return me
    round_, stage = event.lease.round, Stage.CREATING
    if round_.member(me.who.pod) is not None:  # clause 2-named-exits
        stage = Stage.CHECKING
    return replace(me, stage=stage, request_pending=False, phase=AgentPhase.READY, n=round_.n)


def _update_hold(me: Me, silent_holder: str) -> Me:
    """Begin or end holding, as the newest version of the Round Lease names the holder."""
    is_holder = me.lease is not None and me.lease.holder == me.who.name
    if not is_holder:
        return replace(me, hold=None) if me.hold else me
    if me.hold is not None:
        return replace(me, hold=replace(me.hold, dirty=True))
    silent_pod = _pod_of_job(me, silent_holder)
    view = View(job=job_name(me.who.name), own=me.who.pod)
    return replace(me, hold=Hold(view, replaced_holder=silent_pod), claim_at=None)


def _pod_of_job(me: Me, name: str) -> Pod | None:
    """Rule 6: the pod of this job that has this name, or None. Of a Lease, the name is what code in
    another job cannot choose (S1)."""
    return pod_from_name(name, job_name(me.who.name))  # clause 6-by-name


def _round_gone(me: Me, event: RoundGone, now: float) -> Me:
    return replace(me, frozen=True, hold=None, cas_version="")


def _cas_failed(me: Me, event: CasFailed, now: float) -> Me:
    """Repeat a CAS at once if the agent has the version that refused it, else after a pause."""
    refused = event.conflict and me.cas_version and me.lease is not None
    has_newer = refused and me.lease is not None and is_newer(me.lease.version, me.cas_version)
    pause_s = 0.0 if has_newer else timing.retry_s(_heartbeat_s(me))
    hold = replace(me.hold, dirty=True) if me.hold else None
    return replace(me, cas_version="", cas_at=now + pause_s, hold=hold)


def _pulse_failed(me: Me, event: PulseFailed, now: float) -> Me:
    if me.hold is None:
        return me
    pulse_at = now + timing.retry_s(_heartbeat_s(me))
    refused = me.hold.sent_version if event.conflict else ""
    hold = replace(me.hold, pulsing=False, pulse_at=pulse_at, refused_version=refused)
    return replace(me, hold=hold)


# ---- Leases --------------------------------------------------------------------------------------


def _lease_seen(me: Me, event: LeaseSeen, now: float) -> Me:
    """Record an agent Lease. Rule 2: this agent takes its own, created or found (V11)."""
    lease = event.lease
    if not _is_of_this_job(me, lease):
        return me
    me = _record_contact(me, now)
    if lease.name == me.who.name:
        me = _record_own_lease(me, lease, now)  # clause 2-mine
    return _add_to_view(me, lease, event.by_get, now)


def _is_of_this_job(me: Me, lease: AgentLease) -> bool:
    """Rule 6: whether the Lease is of this job, by its name as well as its labels (S1)."""
    return lease.job_uid == me.who.job_uid and lease.pod == _pod_of_job(me, lease.name)


def _record_own_lease(me: Me, lease: AgentLease, now: float) -> Me:
    """Rules 2, 3: record this agent's Lease as it is, or exit if it is foreign."""
    why = _foreign_reason(me, lease)
    if why:
        return replace(me, exit=setup_failure(f"the Lease of this pod {why}"), own_version="")
    if me.stage is Stage.CHECKING:
        me = replace(me, phase=lease.state.phase, n=lease.state.n)
    if me.stage in (Stage.CREATING, Stage.CHECKING):
        me = replace(me, stage=Stage.JOINED, request_pending=False, renew_at=now + _heartbeat_s(me))
        return replace(me, own_version=lease.version, written_state=lease.state.to_json())
    if not me.own_version or is_newer(lease.version, me.own_version):
        return replace(me, own_version=lease.version, written_state=lease.state.to_json())
    return me


def _foreign_reason(me: Me, lease: AgentLease) -> str:
    """Rules 2, 3: why the Lease of this pod is not this agent's (F2, V6, W2, V8), or empty."""
    if lease.ended:  # clause 3-ended-exits
        return "is marked as ended by the operator"
    if lease.nonce != me.who.nonce:  # clause 2-nonce
        return "belongs to another incarnation of the agent"
    return ""


def _heartbeat_s(me: Me) -> float:
    return me.lease.desired.heartbeat_s if me.lease else 0.0


def _add_to_view(me: Me, lease: AgentLease, by_get: bool, now: float) -> Me:
    hold = me.hold
    if hold is None or not (hold.complete or by_get):
        return me
    before = hold.view.seen.get(lease.pod)
    view = with_lease(hold.view, lease, now, by_get)
    gets = hold.pending_gets - {lease.pod} if by_get else hold.pending_gets
    matters = by_get or hold.waiting or before is None or _differs(before.lease, lease)
    hold = replace(hold, view=view, pending_gets=gets, dirty=hold.dirty or matters)
    if before and before.lease and lease.state.leaving and lease.ended and not before.lease.ended:
        changed_at = max(before.changed_at, before.alive_at)  # a silent holder changed never
        hold = replace(hold, left_at=min(now, changed_at + _heartbeat_s(me)))
    return replace(me, hold=hold)


def _differs(old: AgentLease | None, new: AgentLease) -> bool:
    """Whether a renewal changes anything that a decision depends on."""
    if old is None or old.ended != new.ended:
        return True
    a, b = old.state, new.state
    return (a.phase, a.n, a.leaving) != (b.phase, b.n, b.leaving)


def _lease_gone(me: Me, event: LeaseGone, now: float) -> Me:
    me = _record_contact(me, now)
    if event.name == me.who.name:
        me = _record_own_lease_gone(me)
    hold = me.hold
    if hold is None or not (hold.complete or event.by_get):
        return me
    pod = _pod_of_job(me, event.name)
    if pod is None:
        return me
    view = without_lease(hold.view, pod, now, event.by_get)
    gets = hold.pending_gets - {pod} if event.by_get else hold.pending_gets
    return replace(me, hold=replace(hold, view=view, pending_gets=gets, dirty=True))


def _record_own_lease_gone(me: Me) -> Me:
    """Rule 2: a member without a Lease exits (V13). Rule 3: create a deleted Lease again."""
    if me.stage is Stage.CHECKING:
        why = "the round names this pod, but its Lease is gone: another incarnation ran here"
        return replace(me, exit=setup_failure(why))
    if me.stage is Stage.JOINED:  # clause 3-create-again
        me = replace(me, stage=Stage.CREATING, request_pending=False)
        return replace(me, own_version="", written_state="")
    return me


def _get_failed(me: Me, event: GetFailed, now: float) -> Me:
    if event.name == me.who.name:
        me = replace(me, request_pending=False, request_at=now + timing.RETRY_S)
    if me.hold is None:
        return me
    gets = me.hold.pending_gets - {_pod_of_job(me, event.name)}
    get_at = now + timing.retry_s(_heartbeat_s(me))
    return replace(me, hold=replace(me.hold, pending_gets=gets, get_at=get_at, dirty=True))


def _view_complete(me: Me, event: ViewComplete, now: float) -> Me:
    """Rule 6: replace the view by the initial set. The holder that was replaced stays silent.

    The set contains this agent's Lease, too, which a holder does not renew (F18).
    """
    hold = me.hold
    if hold is None or me.lease is None:
        return me
    leases = tuple(lease for lease in event.leases if _is_of_this_job(me, lease))
    view = with_initial_set(hold.view, leases, me.lease.round.pods, now)
    own = next((lease for lease in leases if lease.name == me.who.name), None)
    me = _record_own_lease(me, own, now) if own else _record_own_lease_gone(me)
    if me.former_holder is not None and not hold.view.seen:
        view = with_former_holder(view, me.former_holder)
    before = hold.replaced_holder
    if before and before in view.seen:  # clause 6-replaced-is-silent
        view = with_silent_agent(view, before)
    hold = replace(hold, view=view, replaced_holder=None)
    hold = replace(hold, complete=True, opening=False, pulse_returned=True, dirty=True)
    return _record_contact(replace(me, hold=hold), now)


def _renewal_returned(me: Me, event: RenewalReturned, now: float) -> Me:
    """Record that the API server has this agent's state, or repeat a failed renewal within T.

    Rule 5: a failure restarts the count, as the holder may have lost the API server, too (F15).
    """
    if event.lease is None:
        me = replace(me, last_pulse_at=now, renewals_since_pulse=0)  # clause 5-in-a-row
        again_at = now + timing.retry_s(_heartbeat_s(me))
        return replace(me, writing_state="", renew_at=again_at, retry_renewal_at=again_at)
    me = replace(_record_contact(me, now), written_state=me.writing_state, writing_state="")
    me = _record_own_lease(me, event.lease, now)
    return replace(me, renewals_since_pulse=me.renewals_since_pulse + 1)


# ---- SIGTERM, progress, time ---------------------------------------------------------------------


def _leave_requested(me: Me, event: LeaveRequested, now: float) -> Me:
    if me.leaving:
        return me
    if me.lease is None:
        return replace(me, leaving=True, leave_stop_at=now, leave_exit_at=now)
    desired = me.lease.desired
    stop_at, exit_at = now + timing.leave_wait_s(desired), now + desired.stop_grace_s
    return replace(me, leaving=True, leave_stop_at=stop_at, leave_exit_at=exit_at)


def _progressed(me: Me, event: Progressed, now: float) -> Me:
    return replace(me, progress=event.progress, trained=True)


def _tick(me: Me, event: Tick, now: float) -> Me:
    """Record nothing: the rules compare times."""
    return me


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
    WorkersStarted: outcomes.workers_started,
    WorkerExited: outcomes.worker_exited,
    FailureNoticed: outcomes.failure_noticed,
    WorkersReaped: outcomes.workers_reaped,
    LeaveRequested: _leave_requested,
    Progressed: _progressed,
    Tick: _tick,
}
