"""agent_step: what an agent does on an event, by rules 1-6 in one order."""

from __future__ import annotations

from elasticjob.rendezvous.actions import Action
from elasticjob.rendezvous.events import Event
from elasticjob.rendezvous.learn import learn
from elasticjob.rendezvous.rule import Rule
from elasticjob.rendezvous.rules import claim, crash, hold, join, leave, renew, run
from elasticjob.rendezvous.state import Identity, Me, Stage
from elasticjob.wire.dataclasses import replace

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
    ("3-say", renew.beat),
    ("3-leave", leave.leave),
)


def new_agent(who: Identity, now: float, without: frozenset[str] = frozenset()) -> Me:
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


def left_out(me: Me, *clauses: str) -> Me:
    """The same agent without some clauses: the mutation check."""
    return replace(me, without=me.without | frozenset(clauses))
