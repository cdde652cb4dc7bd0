"""agent_step: record one event in an agent's state, then apply rules 1-6 in a fixed order."""

from __future__ import annotations

from elasticjob.rendezvous.actions import Action
from elasticjob.rendezvous.events import Event
from elasticjob.rendezvous.learn import learn
from elasticjob.rendezvous.rule_helpers import Rule
from elasticjob.rendezvous.rules import claim, crash, exit, hold, join, renew, run
from elasticjob.rendezvous.state import Identity, Me, Stage
from elasticjob.wire.dataclasses import replace

RULES: tuple[tuple[str, Rule], ...] = (
    ("3-api-dark", run.fail_if_api_is_away),
    ("3-decide-exit", exit.decide_exit),
    ("2-join", join.join),
    ("3-stop", run.stop),
    ("3-stand-outside", run.stand_outside),
    ("3-start", run.start),
    ("4-fatal", crash.write_failed),
    ("4-crash", crash.crash),
    ("6-clear", hold.clear_holder),
    ("5-claim", claim.claim),
    ("6-stream", hold.open_watch),
    ("6-judge", hold.judge_members),
    ("6-pulse", hold.pulse),
    ("3-renew", renew.renew),
    ("3-exit", exit.exit_agent),
)


def new_agent(who: Identity, now: float, without: frozenset[str] = frozenset()) -> Me:
    """The state of an agent that has just started. without: clauses that a test leaves out."""
    return Me(who, contact_at=now, without=without)


def agent_step(me: Me, event: Event, now: float) -> tuple[Me, tuple[Action, ...]]:
    """The agent's state after the event, and the actions to perform, in this order.

    now: seconds of a monotonic clock.
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
    """The same agent without some clauses, for a test that shows that they are needed."""
    return replace(me, without=me.without | frozenset(clauses))
