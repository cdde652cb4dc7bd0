"""agent_step: what an agent does on an event, by rules 1-6 in one order."""

from __future__ import annotations

from dataclasses import replace

from elasticjob.rendezvous import beat, claim, crash, hold, join, leave, run, timing
from elasticjob.rendezvous.learn import learn
from elasticjob.rendezvous.rule import Rule
from elasticjob.rendezvous.states import Action, Event, Identity, Me, Stage

RULES: tuple[tuple[str, Rule], ...] = (
    ("3-dark", run.dark),
    ("3-settle", leave.settle),
    ("2-join", join.join),
    ("3-stop", run.stop),
    ("3-stand-outside", run.stand_outside),
    ("3-start", run.start),
    ("4-fatal", crash.fatal),
    ("4-crash", crash.crash),
    ("6-clear", hold.clear),
    ("5-claim", claim.claim),
    ("6-stream", hold.stream),
    ("6-judge", hold.judge_members),
    ("6-pulse", hold.pulse),
    ("3-say", beat.beat),
    ("3-leave", leave.leave),
)


def born(who: Identity, now: float, without: frozenset[str] = frozenset()) -> Me:
    """An agent that knows nothing yet. without: clauses to leave out, for the mutation check."""
    return Me(who, heard_at=now, without=without)


def agent_step(me: Me, event: Event, now: float) -> tuple[Me, tuple[Action, ...]]:
    """What I know after the event, and what is to be done, in this order.

    now: seconds of a clock that never goes back.
    """
    if me.stage is Stage.EXITED:
        return me, ()
    me = learn(me, event, now)
    actions: tuple[Action, ...] = ()
    for name, rule in RULES:
        if name not in me.without:
            me, more = rule(me, now)
            actions += more
    return me, actions


def next_wake(me: Me, now: float) -> float | None:
    """When the next Tick is due if nothing else happens; None: never."""
    return min((at for at in _instants(me) if at > now), default=None)


def _instants(me: Me) -> list[float]:
    instants = [me.ask_at, me.cas_at, me.beat_at, me.write_at]
    if me.claim_at is not None:
        instants.append(me.claim_at)
    if me.leaving:
        instants += [me.leave_by, me.leave_until]
    if me.round is None:
        return instants
    desired, round_ = me.round.desired, me.round.round
    instants.append(run.start_at(me))
    instants.append(me.round_at + timing.start_deadline_s(desired, round_))
    instants.append(me.heard_at + desired.api_grace_s)
    instants.append(me.quiet_since + timing.silence_s(desired.heartbeat_s, timing.MISSED_PULSES))
    if me.run is not None and me.run.failure is not None:
        instants.append(crash.crash_at(me, me.round, me.run))
    if me.run is not None and me.run.stop_by is not None:
        instants.append(me.run.stop_by)
    return instants + _holder_instants(me)


def _holder_instants(me: Me) -> list[float]:
    if me.hold is None or me.round is None:
        return []
    desired, round_ = me.round.desired, me.round.round
    instants = [me.hold.pulse_at, me.hold.wake_at, me.hold.get_at]
    instants.append(me.round_at + desired.cooldown_s)
    if me.hold.view.call_at is not None:
        instants.append(me.hold.view.call_at + timing.last_call_s(desired, round_))
    return instants


def left_out(me: Me, *clauses: str) -> Me:
    """The same agent without some clauses: the mutation check."""
    return replace(me, without=me.without | frozenset(clauses))
