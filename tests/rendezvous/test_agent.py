"""agent_step: the order of the rules, and when the next Tick is due."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.support.protocol import (
    T,
    active,
    agent,
    desired,
    forming,
    holding,
    joined,
    lease,
    of,
    round_lease,
    steps,
)

from elasticjob.rendezvous import agent_step, born, next_wake
from elasticjob.rendezvous import states as s
from elasticjob.rendezvous.agent import RULES, left_out
from elasticjob.wire.cause import Cause, CauseKind
from elasticjob.wire.round import Round

AB1 = active(1, "A B")
FAILED = s.WorkerExited(1, Cause(CauseKind.WORKER_FAILED, code=1, n=1))


def seen(round_: Round, version: int = 2, holder: str = "Z", **wanted: Any) -> s.RoundSeen:
    return s.RoundSeen(round_lease(round_, holder, version, **wanted), s.Source.WATCH)


def test_a_step_changes_nothing_that_it_was_given() -> None:
    me = joined("A", AB1)
    before = repr(me)
    agent_step(me, FAILED, 1.0)
    assert repr(me) == before


def test_the_same_event_twice_gives_the_same_step() -> None:
    me = joined("A", AB1)
    assert agent_step(me, FAILED, 1.0) == agent_step(me, FAILED, 1.0)


@pytest.mark.parametrize("event", [
    s.RoundGone(), s.LeaseGone("job-0-0"), s.GetFailed("job-1-0"), s.ViewComplete(()),
    s.RenewalReturned(None), s.CasFailed(True), s.CasFailed(False), s.PulseFailed(True),
    s.WorkersStarted(1, 1), s.WorkerExited(1), s.WorkersReaped(9), s.ToldToLeave(), s.Tick(),
    s.LeaseSeen(lease("B", "running 1")), FAILED,
], ids=lambda event: type(event).__name__)  # fmt: skip
@pytest.mark.parametrize(
    "me",
    [
        agent(),
        joined("A", AB1),
        joined("C", forming(0)),
        holding("A", AB1, [lease("A", "running 1")]),
        replace(joined("A", AB1), stage=s.Stage.EXITED),
    ],
    ids=["new", "member", "outside", "holder", "exited"],
)
def test_any_event_at_any_time_is_taken(me: s.Me, event: s.Event) -> None:
    """What comes late, twice or unasked is no reason to fall over."""
    after, _ = steps(me, event, event, s.Tick(), now=1.0)
    next_wake(after, 1.0)


def test_stopping_comes_before_writing_and_starting() -> None:
    """The old workers' end is what everything else waits for."""
    names = [name for name, _ in RULES]
    assert names.index("3-stop") < names.index("3-start")
    assert names.index("3-stop") < names.index("4-crash") < names.index("3-say")
    assert names[-1] == "3-leave"


def test_a_crash_stops_and_writes_in_one_step() -> None:
    _, actions = steps(joined("A", AB1), FAILED)
    assert [type(action) for action in actions] == [s.Stop, s.CasRound]


@pytest.mark.parametrize("name", [name for name, _ in RULES])
def test_every_rule_can_be_left_out(name: str) -> None:
    me = left_out(born(agent().who, 0.0), name)
    assert me.without == {name}
    steps(me, s.Tick(), seen(AB1))


# ---- the next wake -------------------------------------------------------------------------------


def test_an_agent_that_only_waits_for_answers_need_not_wake() -> None:
    me, _ = steps(agent(), s.Tick(), now=1.0)
    assert next_wake(me, 1.0) is None


@pytest.mark.parametrize(
    ("me", "now", "wake_at"),
    [
        (joined("A", AB1), 0.0, T),  # the next renewal
        (steps(joined("A", forming(0)), seen(active(1, "A", delay_ms=1500)))[0], 0.0, 1.5),
        (steps(joined("B", AB1), seen(AB1, holder=""))[0], 0.0, 0.05),  # its claim
        (steps(joined("A", AB1), FAILED, s.CasFailed(False))[0], 0.0, 0.5),
        (steps(joined("A", AB1, heartbeat_s=1.0), s.ToldToLeave(),
               s.RenewalReturned(lease("A", "running 1 leaving", 9)))[0], 2.5, 3.0),
        (replace(joined("A", AB1), beat_at=99.0, quiet_since=2.0), 16.0, 17.0),
        (replace(joined("A", AB1, desired=desired(api_grace_s=40.0)), beat_at=99.0), 30.0, 40.0),
        (replace(joined("C", AB1), beat_at=99.0), 20.0, 28.0),  # the start deadline
    ],
    ids=["beat", "delay", "claim", "retry", "leave", "doubt", "dark", "deadline"],
)  # fmt: skip
def test_it_wakes_for_what_is_due_next(me: s.Me, now: float, wake_at: float) -> None:
    assert next_wake(me, now) == pytest.approx(wake_at)


def test_the_holder_wakes_for_pulse_silence_last_call_and_cooldown() -> None:
    me = holding("A", active(1, "A B"), [lease("A", "running 1"), lease("B", "running 1")],
                 cooldown_s=7.0)  # fmt: skip
    assert next_wake(me, 0.0) == T
    me = replace(me, beat_at=99.0, quiet_since=99.0)
    assert me.hold is not None
    quiet = replace(me, hold=replace(me.hold, pulse_at=99.0))
    assert next_wake(quiet, 0.0) == 7.0
    assert next_wake(quiet, 7.0) == 3 * T
    called = holding("A", forming(0), [lease("A", "ready 0")], startup_last_call_s=40.0)
    assert called.hold is not None
    called = replace(called, beat_at=99.0, quiet_since=99.0,
                     hold=replace(called.hold, pulse_at=99.0))  # fmt: skip
    assert next_wake(called, 28.0) == 40.0


def test_a_wake_that_was_due_is_not_due_again() -> None:
    """Else the loop would spin: whatever was due at `now` has happened in this step."""
    me = joined("A", AB1)
    for now in (T, 2 * T, 28.0, 1800.0):
        me, _ = steps(me, s.Tick(), now=now)
        wake = next_wake(me, now)
        assert wake is None or wake > now


def test_the_steps_of_one_agent_write_one_round_each() -> None:
    me = joined("A", AB1)
    _, actions = steps(me, FAILED, s.Tick(), seen(AB1, 2, ""), now=1.0)
    assert len(of(s.CasRound, actions)) == 1
