"""Rule 6: the holder's stream and pulse, what it asks before it accuses, and its decision."""

from __future__ import annotations

from elasticjob.rendezvous import timing
from elasticjob.rendezvous.actions import Action, CasRound, GetLease, Pulse, ReopenStream
from elasticjob.rendezvous.members.decide import Wait, calls, decide
from elasticjob.rendezvous.members.judge import Case, Judgement, judge
from elasticjob.rendezvous.members.report import is_complete, is_reported, report
from elasticjob.rendezvous.rule import Step, nothing, sees_since, steppable
from elasticjob.rendezvous.state import Hold, Me
from elasticjob.wire import names
from elasticjob.wire.dataclasses import replace
from elasticjob.wire.lease import RoundLease
from elasticjob.wire.round import Phase


def stream(me: Me, now: float) -> Step:
    """Rule 6: the wide stream while I hold, the narrow one otherwise."""
    hold = me.hold
    if hold is None and not me.narrow:
        return replace(me, narrow=True), (ReopenStream(wide=False),)
    if hold is None or hold.complete or hold.opening or me.leaving:
        return nothing(me)
    hold = replace(hold, opening=True, pulse_at=now + _heartbeat_s(me))
    return replace(me, hold=hold, narrow=False), (ReopenStream(wide=True),)


def clear(me: Me, now: float) -> Step:
    """Rule 6: when leaving, clear the holder: nobody has to wait for my silence."""
    lease = steppable(me)
    if lease is None or me.hold is None or not me.leaving or now < me.cas_at:
        return nothing(me)
    return replace(me, casing=lease.version), (CasRound(lease.version, holder=""),)


def pulse(me: Me, now: float) -> Step:
    """Rule 6: pulse every T while the last one came back; else reopen the stream (F10)."""
    hold, lease = me.hold, steppable(me)
    if hold is None or lease is None or me.leaving or hold.opening or now < hold.pulse_at:
        return nothing(me)
    next_ = replace(hold, pulse_at=now + _heartbeat_s(me))
    if is_blind(hold, lease) and "6-reopens" not in me.without:
        next_ = replace(next_, complete=False, opening=True, met="")
        return replace(me, hold=next_), (ReopenStream(wide=True),)
    me = replace(me, hold=replace(next_, pulsing=True, sent=lease.version))
    delay_ms = lease.round.delay_ms
    left_ms = timing.remaining_ms(delay_ms, now - me.delay_since) if delay_ms else None
    return me, (Pulse(lease.version, report(hold.view, lease.round, hold.silent, left_ms)),)


def is_blind(hold: Hold, lease: RoundLease) -> bool:
    """Rule 6: my stream is dead: neither the last pulse nor what refused it has come (F10)."""
    return not hold.returned or hold.met == lease.version


def judge_members(me: Me, now: float) -> Step:
    """Rule 6: ask about suspects, then decide; nothing before the view is complete (F3)."""
    hold, lease = me.hold, steppable(me)
    if hold is None or lease is None or not may_judge(me, hold, now):
        return nothing(me)
    case = case_of(me, hold, lease, now)
    judged = judge(case)
    hold, gets = ask(called(replace(hold, dirty=False), case, judged), judged, now)
    hold = replace(hold, silent=judged.silent)
    if is_news(hold, lease):
        hold = replace(hold, pulse_at=min(hold.pulse_at, now))
    judge_at = now + timing.judge_pause_s(len(hold.view.seen))
    me = replace(me, hold=replace(hold, wake_at=_silent_at(case), judge_at=judge_at))
    if hold.getting and "6-asks-first" not in me.without:
        return me, gets
    me, writes = decided(me, hold, replace(case, view=hold.view), judged)
    return me, (*gets, *writes)


def is_news(hold: Hold, lease: RoundLease) -> bool:
    """Whether the next pulse is due now: all members run, or a pod outside turned out silent.

    Not before the last pulse has come back: a pulse on top of it would be taken for a dead stream.
    """
    if not hold.returned:
        return False
    known = lease.report.silent if lease.report else ()
    if hold.silent - frozenset(known):
        return True
    return is_complete(hold.view, lease.round) and not is_reported(lease)


def may_judge(me: Me, hold: Hold, now: float) -> bool:
    """Rule 6: something has changed in a complete view (F3), and I am not leaving."""
    if me.leaving or not hold.dirty or now < max(me.cas_at, hold.judge_at):
        return False
    return hold.complete or "6-complete" in me.without


def ask(hold: Hold, judged: Judgement, now: float) -> tuple[Hold, tuple[Action, ...]]:
    """Rule 7: a GET for each suspect. Nothing is decided until all are answered: a node that went
    with its pods costs one round, not one for each of them.

    Rule 6: and one for my own Lease if my view lacks it. No other agent judges the holder, which
    renews this Lease only when its word changes, so nothing else would bring it back.
    """
    own = hold.view.seen.get(hold.view.own)
    lacking = frozenset() if own and own.lease else frozenset({hold.view.own})
    missing = (judged.suspects | lacking) - hold.getting
    asked = missing if now >= hold.get_at else frozenset()
    job = hold.view.job
    gets = (GetLease(names.pod_name(job, p.index, p.generation)) for p in sorted(asked))
    return replace(hold, getting=hold.getting | asked), tuple(gets)


def decided(me: Me, hold: Hold, case: Case, judged: Judgement) -> Step:
    """Rule 8: the next round by compare-and-swap, if there is one, and how long it took to find.

    The end comes with the last report: no pulse follows it.
    """
    outcome = decide(case, judged)
    me = replace(me, hold=replace(me.hold or hold, waiting=outcome is Wait.WAIT))
    if me.lease is None or outcome is None or isinstance(outcome, Wait):
        return nothing(me)
    version, is_forming = me.lease.version, case.round.phase is Phase.FORMING
    formed_ms = round((case.now - me.round_at) * 1000) if is_forming else None
    detect_ms = _detect_ms(case, judged)
    me = replace(me, written_n=outcome.n, detect_ms=detect_ms, rendezvous_ms=formed_ms)
    last = report(case.view, case.round) if outcome.phase.is_terminal else None
    return replace(me, casing=version), (CasRound(version, round=outcome, report=last),)


def case_of(me: Me, hold: Hold, lease: RoundLease, now: float) -> Case:
    """What I judge."""
    return Case(
        round=lease.round,
        desired=lease.desired,
        view=hold.view,
        round_at=me.round_at,
        now=now,
        sees_since=sees_since(me, now),
        delay_since=me.delay_since,
        top=me.top,
        jitter=me.who.jitter,
        without=me.without,
    )


def called(hold: Hold, case: Case, judged: Judgement) -> Hold:
    """Remembers since when the last call runs."""
    if not calls(case, judged):
        return replace(hold, view=replace(hold.view, call_at=None))
    since = hold.view.call_at if hold.view.call_at is not None else case.now
    return replace(hold, view=replace(hold.view, call_at=since))


def _silent_at(case: Case) -> float:
    """When the next agent would be silent; a renewal only makes it later. Or I see long enough."""
    silence_s = timing.silence_s(case.desired.heartbeat_s, timing.SILENT_PULSES)
    others = frozenset(case.view.seen) - {case.view.own}
    instants = [case.view.seen[pod].changed_at + silence_s for pod in others]
    instants.append(case.accuses_at)
    return min((at for at in instants if at > case.now), default=0.0)


def _detect_ms(case: Case, judged: Judgement) -> int | None:
    """From the last word of the first that is gone to the decision."""
    if not judged.gone:
        return None
    seen = case.view.seen.get(min(judged.lost or judged.leaving))
    said_at = max(seen.changed_at if seen else 0.0, case.round_at)
    return max(0, round((case.now - said_at) * 1000))


def _heartbeat_s(me: Me) -> float:
    return me.lease.desired.heartbeat_s if me.lease else 0.0
