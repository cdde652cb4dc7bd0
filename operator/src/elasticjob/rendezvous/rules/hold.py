"""Rule 6: the holder's wide watch, its pulse, its GETs and its decisions."""

from __future__ import annotations

import math

from elasticjob.rendezvous import timing
from elasticjob.rendezvous.actions import Action, CasRound, GetLease, Pulse, ReopenStream
from elasticjob.rendezvous.members.decide import (
    Wait,
    decide,
    is_last_call,
    join_wait,
    noted_training,
)
from elasticjob.rendezvous.members.judge import Case, Judgement, judge
from elasticjob.rendezvous.members.recovery import (
    detect_ms,
    have_all_run,
    recovery_until,
    stop_ms_outside,
)
from elasticjob.rendezvous.members.report import (
    is_running,
    is_running_reported,
    is_wait_reported,
    pods_in,
    report,
    reported_wait,
    states_in_round,
)
from elasticjob.rendezvous.now import Now
from elasticjob.rendezvous.rule_helpers import RuleResult, contact_since, no_action, writable_round
from elasticjob.rendezvous.state import Hold, Me
from elasticjob.wire import names
from elasticjob.wire.agent_state import AgentPhase
from elasticjob.wire.dataclasses import replace
from elasticjob.wire.lease import RoundLease
from elasticjob.wire.report import Recovery, Report
from elasticjob.wire.round import Phase, Round


def open_watch(me: Me, now: Now) -> RuleResult:
    """Rule 6: the holder opens the wide watch, and a former holder the narrow one."""
    hold = me.hold
    if hold is None and not me.narrow:
        return replace(me, narrow=True), (ReopenStream(wide=False),)
    if hold is None or hold.complete or hold.opening or me.leaving:
        return no_action(me)
    hold = replace(hold, opening=True, pulse_at=now.at + _heartbeat_s(me))
    return replace(me, hold=hold, narrow=False), (ReopenStream(wide=True),)


def clear_holder(me: Me, now: Now) -> RuleResult:
    """Rule 6: a leaving holder gives up the role, so that another agent claims it at once."""
    lease = writable_round(me)
    if lease is None or me.hold is None or not me.leaving or not now.has_come(me.cas_at):
        return no_action(me)
    return replace(me, cas_version=lease.version), (CasRound(lease.version, holder=""),)


def pulse(me: Me, now: Now) -> RuleResult:
    """Rule 6: pulse every T if the watch delivered the last pulse, else reopen the watch (F10)."""
    hold, lease = me.hold, writable_round(me)
    if hold is None or lease is None or me.leaving or hold.opening:
        return no_action(me)
    if not now.has_come(hold.pulse_at):
        return no_action(me)
    next_ = replace(hold, pulse_at=now.at + _heartbeat_s(me))
    if is_watch_dead(hold, lease):  # clause 6-reopens
        next_ = replace(next_, complete=False, opening=True, refused_version="")
        return replace(me, hold=next_), (ReopenStream(wide=True),)
    me = replace(me, hold=replace(next_, pulsing=True, sent_version=lease.version))
    return me, (Pulse(lease.version, _report(me, hold, lease.round, now.at)),)


def _report(me: Me, hold: Hold, round_: Round, now: float) -> Report:
    left_ms = timing.remaining_ms(round_.delay_ms, now - me.delay_since)
    is_forming = round_.phase is Phase.FORMING
    made = report(
        hold.view, round_, hold.silent_outside, left_ms if round_.delay_ms else None,
        timing.millis(now - me.began_at) if is_forming else None,
    )  # fmt: skip
    return replace(
        made, join_wait=reported_wait(hold.join_wait, now), trained=has_trained(me, hold, now)
    )


def has_trained(me: Me, hold: Hold, now: float) -> bool:
    """Whether the job has made progress or run for a minute. The report keeps this if all agents
    are replaced, as a new holder cannot know how long a round ran."""
    assert me.lease is not None
    return noted_training(case_of(me, hold, me.lease, now), me.lease.round).trained


def is_watch_dead(hold: Hold, lease: RoundLease) -> bool:
    """Rule 6: whether the watch delivered neither the last pulse nor the version that refused it
    (F10)."""
    return not hold.pulse_returned or hold.refused_version == lease.version


def judge_members(me: Me, now: Now) -> RuleResult:
    """Rule 6: judge, GET the Leases of suspects, then decide; only in a complete view (F3)."""
    hold, lease = me.hold, writable_round(me)
    if hold is None or lease is None or not may_judge(me, hold, now):
        return no_action(me)
    case = case_of(me, hold, lease, now.at)
    judged = judge(case)
    hold = replace(hold, dirty=False, silent_outside=judged.silent)
    hold, gets = request_suspect_leases(note_waits(hold, case, judged), judged, case.now)
    hold = replace(hold, pulse_at=min(hold.pulse_at, report_at(hold, lease, now)))
    hold = replace(hold, judge_at=now.at + timing.judge_pause_s(len(hold.view.seen)))
    me, writes = decide_next_round(me, hold, replace(case, view=hold.view), judged)
    if me.hold is not None:
        me = replace(me, hold=replace(me.hold, judge_again_at=case.now.again_at))
    return me, (*gets, *writes)


def decide_next_round(me: Me, hold: Hold, case: Case, judged: Judgement) -> RuleResult:
    """Rule 6: decide once all GETs have been answered, so that a node's loss costs one round."""
    me = replace(me, hold=hold)
    if hold.pending_gets:  # clause 6-gets-first
        return no_action(me)
    return write_decision(me, hold, case, judged)


def report_at(hold: Hold, lease: RoundLease, now: Now) -> float:
    """When the next pulse is due at the latest, because of what it reports.

    It waits until the watch has delivered the last pulse, or `pulse` would take the watch for dead.
    A wait of newcomers is reported once it has lasted for a moment, so that this delays no round.
    """
    if not hold.pulse_returned:
        return math.inf
    if has_news(hold, lease):
        return now.at
    has_wait = hold.join_wait is not None and not is_wait_reported(lease, hold.join_wait)
    return now.at + timing.REPORT_WAIT_S if has_wait else math.inf


def has_news(hold: Hold, lease: RoundLease) -> bool:
    """Whether the next pulse is due now: all members run, the first one has failed over the budget,
    or a pod outside has become silent."""
    last = lease.report
    if hold.silent_outside - frozenset(last.silent if last else ()):
        return True
    has_reported = last is not None and last.n == lease.round.n and bool(last.failed)
    failed = pods_in(states_in_round(hold.view, lease.round), AgentPhase.FAILED)
    if failed and not has_reported:
        return True
    return is_running(hold.view, lease.round) and not is_running_reported(lease)


def may_judge(me: Me, hold: Hold, now: Now) -> bool:
    """Rule 6: whether a fact has changed in a complete view (F3), or a time that the last decision
    depended on has come; and the holder stays."""
    if me.leaving:
        return False
    if not hold.complete:  # clause 6-complete
        return False
    is_due = hold.dirty or now.has_come(hold.judge_again_at)
    return is_due and now.has_come(max(me.cas_at, hold.judge_at))


def request_suspect_leases(
    hold: Hold, judged: Judgement, now: Now
) -> tuple[Hold, tuple[Action, ...]]:
    """Rule 7: GET the Lease of each suspect. All answers precede a decision, so that the loss of a
    node costs one round, not one for each of its pods.

    Rule 6: GET the holder's Lease if the view lacks it. The holder renews this Lease only when its
    state changes, so no other event would add it.
    """
    own = hold.view.seen.get(hold.view.own)
    own_missing = frozenset() if own and own.lease else frozenset({hold.view.own})
    needed = (judged.suspects | own_missing) - hold.pending_gets
    requested = needed if needed and now.has_come(hold.get_at) else frozenset()
    job = hold.view.job
    gets = (GetLease(names.pod_name(job, p.index, p.generation)) for p in sorted(requested))
    return replace(hold, pending_gets=hold.pending_gets | requested), tuple(gets)


def write_decision(me: Me, hold: Hold, case: Case, judged: Judgement) -> RuleResult:
    """Rule 8: write the next round, if there is one, and how long the recovery took up to it.

    The last report goes with a terminal round, as no pulse follows it.
    """
    outcome = decide(case, judged)
    me = replace(me, hold=replace(me.hold or hold, waiting=outcome is Wait.WAIT))
    if me.lease is None or outcome is None or isinstance(outcome, Wait):
        return no_action(me)
    version, is_over = me.lease.version, outcome.phase.is_terminal
    recovery = None if is_over else _recovery(me, hold, case, judged, outcome)
    last = report(case.view, case.round) if is_over else None
    write = CasRound(version, round=replace(outcome, recovery=recovery), report=last)
    return replace(me, cas_version=version), (write,)


def _recovery(me: Me, hold: Hold, case: Case, judged: Judgement, next_: Round) -> Recovery | None:
    return recovery_until(
        next_,
        case.round,
        has_run=have_all_run(case) or me.ran_n == case.round.n,
        age_ms=timing.millis(case.now.at - me.began_at),
        detect_ms=detect_ms(case, judged),
        stop_ms=stop_ms_outside(case, hold.left_at, me.began_at),
    )


def case_of(me: Me, hold: Hold, lease: RoundLease, now: float) -> Case:
    """The case that the holder judges now."""
    return Case(
        round=lease.round,
        desired=lease.desired,
        view=hold.view,
        round_at=me.round_at,
        now=Now(now),
        contact_since=contact_since(me, now),
        delay_since=me.delay_since,
        highest_n=me.highest_n,
        jitter=me.who.jitter,
        own_cause=me.cause,
        report=lease.report,
    )


def note_waits(hold: Hold, case: Case, judged: Judgement) -> Hold:
    """Record since when the last call runs, and what newcomers wait for."""
    hold = note_last_call(hold, case, judged)
    return replace(hold, join_wait=join_wait(replace(case, view=hold.view), judged))


def note_last_call(hold: Hold, case: Case, judged: Judgement) -> Hold:
    """Record in the view since when the last call runs."""
    if not is_last_call(case, judged):
        return replace(hold, view=replace(hold.view, last_call_since=None))
    since = hold.view.last_call_since if hold.view.last_call_since is not None else case.now.at
    return replace(hold, view=replace(hold.view, last_call_since=since))


def _heartbeat_s(me: Me) -> float:
    return me.lease.desired.heartbeat_s if me.lease else 0.0
