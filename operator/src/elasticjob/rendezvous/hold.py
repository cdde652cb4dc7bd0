"""Rule 6: the holder's stream and pulse, what it asks before it accuses, and its decision."""

from __future__ import annotations

from dataclasses import replace

from elasticjob.rendezvous import timing
from elasticjob.rendezvous.decide import Wait, calls, decide
from elasticjob.rendezvous.judge import Case, Judgement, judge
from elasticjob.rendezvous.rule import Step, nothing, steppable
from elasticjob.rendezvous.states import (
    CasRound,
    GetLease,
    Hold,
    Me,
    Pulse,
    ReopenStream,
    Stage,
)
from elasticjob.wire import names
from elasticjob.wire.agent_state import Word
from elasticjob.wire.lease import RoundLease
from elasticjob.wire.report import Recovery, Report
from elasticjob.wire.round import Phase


def stream(me: Me, now: float) -> Step:
    """The wide stream while I hold, the narrow one otherwise."""
    hold = me.hold
    if hold is None and not me.narrow:
        return replace(me, narrow=True), (ReopenStream(wide=False),)
    if hold is None or hold.complete or hold.opening or me.leaving:
        return nothing(me)
    hold = replace(hold, opening=True, pulse_at=now + _heartbeat_s(me))
    return replace(me, hold=hold, narrow=False), (ReopenStream(wide=True),)


def clear(me: Me, now: float) -> Step:
    """When leaving, clear the holder: nobody has to wait for my silence."""
    lease = steppable(me)
    if lease is None or me.hold is None or not me.leaving or now < me.cas_at:
        return nothing(me)
    return replace(me, casing=lease.version), (CasRound(lease.version, holder=""),)


def pulse(me: Me, now: float) -> Step:
    """Pulse every T while the last pulse came back; if it did not, reopen the stream (F10)."""
    hold, lease = me.hold, me.round
    if hold is None or lease is None or me.frozen or me.leaving or me.stage is not Stage.JOINED:
        return nothing(me)
    if now < hold.pulse_at or hold.pulsing or hold.opening or lease.round.phase.is_terminal:
        return nothing(me)
    if me.casing:
        return nothing(me)
    next_ = replace(hold, pulse_at=now + _heartbeat_s(me))
    if is_blind(hold, lease) and "6-reopens" not in me.without:
        next_ = replace(next_, complete=False, opening=True, met="")
        return replace(me, hold=next_), (ReopenStream(wide=True),)
    me = replace(me, hold=replace(next_, pulsing=True, sent=lease.version))
    return me, (Pulse(lease.version, report(me, lease)),)


def is_blind(hold: Hold, lease: RoundLease) -> bool:
    """My stream is dead: the last pulse did not come back, or what refused it did not come."""
    return not hold.returned or hold.met == lease.version


def judge_members(me: Me, now: float) -> Step:
    """Ask for suspects, then decide; nothing before the initial set is complete (F3)."""
    hold, lease = me.hold, steppable(me)
    if hold is None or lease is None or me.leaving or not hold.dirty or now < me.cas_at:
        return nothing(me)
    if not hold.complete and "6-complete" not in me.without:
        return nothing(me)
    case = case_of(me, hold, lease, now)
    judged = judge(case)
    hold = _called(replace(hold, dirty=False), case, judged, now)
    case = replace(case, view=hold.view)
    asked = judged.suspects - hold.getting if now >= hold.get_at else frozenset()
    gets = tuple(
        GetLease(names.pod_name(hold.view.job, p.index, p.generation)) for p in sorted(asked)
    )
    outcome = decide(case, judged)
    hold = replace(hold, getting=hold.getting | asked, waiting=outcome is Wait.WAIT)
    hold = replace(hold, wake_at=_silent_at(case))
    if is_complete(hold, lease) and not is_reported(lease):
        hold = replace(hold, pulse_at=min(hold.pulse_at, now))
    me = replace(me, hold=hold)
    if outcome is None or isinstance(outcome, Wait):
        return me, gets
    formed_ms = round((now - me.round_at) * 1000) if lease.round.phase is Phase.FORMING else None
    detect_ms = _detect_ms(case, judged)
    me = replace(me, written_n=outcome.n, detect_ms=detect_ms, rendezvous_ms=formed_ms)
    me = replace(me, casing=lease.version)
    return me, (*gets, CasRound(lease.version, round=outcome))


def case_of(me: Me, hold: Hold, lease: RoundLease, now: float) -> Case:
    """What I judge."""
    return Case(
        round=lease.round,
        desired=lease.desired,
        view=hold.view,
        round_at=me.round_at,
        now=now,
        top=me.top,
        jitter=me.who.jitter,
        without=me.without,
    )


def _called(hold: Hold, case: Case, judged: Judgement, now: float) -> Hold:
    """Remembers since when the last call runs."""
    if not calls(case, judged):
        return replace(hold, view=replace(hold.view, call_at=None))
    since = hold.view.call_at if hold.view.call_at is not None else now
    return replace(hold, view=replace(hold.view, call_at=since))


def _silent_at(case: Case) -> float:
    """When the next member would be silent; a renewal only makes it later."""
    silence_s = timing.silence_s(case.desired.heartbeat_s, timing.SILENT_PULSES)
    others = case.round.pods & frozenset(case.view.seen) - {case.view.own}
    instants = [case.view.seen[pod].changed_at + silence_s for pod in others]
    return min((at for at in instants if at > case.now), default=0.0)


def _detect_ms(case: Case, judged: Judgement) -> int | None:
    """From the last word of the first that is gone to the decision."""
    if not judged.gone:
        return None
    changed_at = case.view.seen[min(judged.lost or judged.leaving)].changed_at
    return max(0, round((case.now - max(changed_at, case.round_at)) * 1000))


def _heartbeat_s(me: Me) -> float:
    return me.round.desired.heartbeat_s if me.round else 0.0


# ---- the report ----------------------------------------------------------------------------------


def is_complete(hold: Hold, lease: RoundLease) -> bool:
    """Whether every member says that it runs the present round: people wait to read that."""
    leases = [seen.lease for pod, seen in hold.view.seen.items() if pod in lease.round.pods]
    words = [(x.state.word, x.state.n) for x in leases if x is not None]
    return 0 < words.count((Word.RUNNING, lease.round.n)) == len(lease.round.members)


def is_reported(lease: RoundLease) -> bool:
    """Whether the last report says so already."""
    report_ = lease.report
    told = report_ is not None and report_.n == lease.round.n
    return told and report_ is not None and len(report_.running) == len(lease.round.members)


def report(me: Me, lease: RoundLease) -> Report:
    """Who runs round n, how long the way into it took, how far the training is."""
    n = lease.round.n
    view = me.hold.view if me.hold else None
    states = {
        pod: seen.lease.state
        for pod, seen in sorted(view.seen.items() if view else ())
        if seen.lease and pod in lease.round.pods and seen.lease.state.n == n
    }
    running = tuple(p for p, state in states.items() if state.word is not Word.READY)
    first = states.get(lease.round.members[0].pod) if lease.round.members else None
    complete = running and len(running) == len(lease.round.members)
    recovery = Recovery(
        n=n,
        detect_ms=max((st.detect_ms or 0 for st in states.values()), default=0),
        rendezvous_ms=max((st.rendezvous_ms or 0 for st in states.values()), default=0),
        stop_ms=max((st.stop_ms or 0 for st in states.values()), default=0),
        start_ms=max((st.start_ms or 0 for st in states.values()), default=0),
    )
    return Report(
        n=n,
        running=running,
        recovery=recovery if complete and lease.round.starts > 1 else None,
        progress=first.progress if first else None,
    )
