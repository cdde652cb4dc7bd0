"""agent_step: the order of the rules, and what a step returns."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.support.mutants import table
from tests.support.protocol import (
    AB1,
    FAILED,
    agent,
    assert_early_tick_does_nothing,
    forming,
    holding,
    joined,
    lease,
    of,
    round_seen,
    steps,
)

from elasticjob.rendezvous import agent_step, events, step
from elasticjob.rendezvous.actions import CasRound, Stop
from elasticjob.rendezvous.state import Me, Stage


def test_a_step_changes_nothing_that_it_was_given() -> None:
    me = joined("A", AB1)
    before = repr(me)
    agent_step(me, FAILED, 1.0)
    assert repr(me) == before


def test_the_same_event_twice_gives_the_same_step() -> None:
    me = joined("A", AB1)
    assert agent_step(me, FAILED, 1.0) == agent_step(me, FAILED, 1.0)


@pytest.mark.parametrize("event", [
    events.RoundGone(), events.LeaseGone("demo-0-0"), events.GetFailed("demo-1-0"),
    events.ViewComplete(()), events.RenewalReturned(None),
    events.CasFailed(True), events.CasFailed(False), events.PulseFailed(True),
    events.WorkersStarted(1, 1), events.WorkerExited(1), events.WorkersReaped(9),
    events.LeaveRequested(), events.Tick(), events.LeaseSeen(lease("B", "running 1")), FAILED,
], ids=lambda event: type(event).__name__)  # fmt: skip
@pytest.mark.parametrize(
    "me",
    [
        agent(),
        joined("A", AB1),
        joined("C", forming(0)),
        holding("A", AB1, [lease("A", "running 1")]),
        replace(joined("A", AB1), stage=Stage.EXITED),
    ],
    ids=["new", "member", "outside", "holder", "exited"],
)
def test_any_event_at_any_time_is_accepted(me: Me, event: events.Event) -> None:
    """A late, repeated or unexpected event raises nothing."""
    after, _ = steps(me, event, event, now=1.0)
    assert_early_tick_does_nothing(agent_step(after, events.Tick(), 1.0), 1.0)


def test_stopping_comes_before_writing_and_starting() -> None:
    """The old workers' end is what everything else waits for."""
    names = list(table(step, "RULES"))
    assert names.index("3-stop") < names.index("3-start")
    assert names.index("3-stop") < names.index("4-crash") < names.index("3-renew")
    assert names[-1] == "3-exit"


def test_a_crash_stops_and_writes_in_one_step() -> None:
    _, actions = steps(joined("A", AB1), FAILED)
    assert [type(action) for action in actions] == [Stop, CasRound]


def test_the_steps_of_one_agent_write_one_round_each() -> None:
    me = joined("A", AB1)
    _, actions = steps(me, FAILED, events.Tick(), round_seen(AB1, holder=""), now=1.0)
    assert len(of(CasRound, actions)) == 1
