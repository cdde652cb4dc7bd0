"""agent_step: record one event in an agent's state, then apply rules 1-6 in a fixed order."""

from __future__ import annotations

import math
from typing import NamedTuple

from elasticjob.rendezvous.actions import Action
from elasticjob.rendezvous.events import Event
from elasticjob.rendezvous.learn import learn
from elasticjob.rendezvous.now import Now
from elasticjob.rendezvous.rule_helpers import Rule
from elasticjob.rendezvous.rules import claim, crash, exit, hold, join, renew, run
from elasticjob.rendezvous.state import Identity, Me, Stage

RULES: tuple[Rule, ...] = (
    run.fail_if_api_is_away,  # clause 3-api-dark
    run.fail_if_exit_is_late,  # clause 3-exit-is-late
    exit.decide_exit,  # clause 3-decide-exit
    join.join,  # clause 2-join
    run.stop,  # clause 3-stop
    run.stand_outside,  # clause 3-stand-outside
    run.start,  # clause 3-start
    crash.write_failed,  # clause 4-fatal
    crash.crash,  # clause 4-crash
    crash.publish_first_cause,  # clause 4-first-cause
    hold.clear_holder,  # clause 6-clear
    claim.claim,  # clause 5-claim
    hold.open_watch,  # clause 6-stream
    hold.judge_members,  # clause 6-judge
    hold.pulse,  # clause 6-pulse
    renew.renew,  # clause 3-renew
    exit.exit_agent,  # clause 3-exit
)
MOST_PASSES = 4  # of the rules in one step; two are usual, and the last one changes nothing


class Step(NamedTuple):
    """The result of agent_step."""

    me: Me  # the agent's state after the event
    actions: tuple[Action, ...]  # to perform, in this order
    again_at: float | None  # when Tick is due, unless an event comes before; None: never


def new_agent(who: Identity, now: float) -> Me:
    """The state of an agent that has just started."""
    return Me(who, contact_at=now)


def agent_step(me: Me, event: Event, now: float) -> Step:
    """Record the event, and apply the rules until they change nothing more.

    So the last pass sees each instant that a rule has set, and each rule that waits for one. Before
    the earliest of these, again_at, a Tick changes nothing.

    now: seconds of a monotonic clock.
    """
    if me.stage is Stage.EXITED:
        return Step(me, (), None)
    me = learn(me, event, now)
    actions: tuple[Action, ...] = ()
    for _ in range(MOST_PASSES):
        before, time = me, Now(now)
        me, more = _apply_rules(me, time)
        actions += more
        if me is before:
            break
    return Step(me, actions, time.again_at if time.again_at < math.inf else None)


def _apply_rules(me: Me, now: Now) -> tuple[Me, tuple[Action, ...]]:
    """Apply each rule once. A rule that acts records this, so that it does not act twice."""
    actions: tuple[Action, ...] = ()
    for rule in RULES:
        if me.stage is Stage.EXITED:
            break
        me, more = rule(me, now)
        actions += more
    return me, actions
