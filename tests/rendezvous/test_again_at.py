"""When the next Tick is due: Step.again_at."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.support.protocol import (
    AB1,
    FAILED,
    T,
    active,
    agent,
    assert_early_tick_does_nothing,
    desired,
    forming,
    holding,
    joined,
    lease,
    round_seen,
    steps,
)

from elasticjob.rendezvous import agent_step, timing
from elasticjob.rendezvous.events import CasFailed, LeaveRequested, RenewalReturned, Tick
from elasticjob.rendezvous.now import Now
from elasticjob.rendezvous.state import Me


def again_at(me: Me, now: float) -> float | None:
    """When the next Tick is due after one at `now`."""
    step = agent_step(me, Tick(), now)
    assert_early_tick_does_nothing(step, now)
    return step.again_at


@pytest.mark.parametrize(("instant", "has_come"), [(9.9, True), (10.0, True), (10.1, False)])
def test_a_time_that_has_not_come_is_waited_for(instant: float, has_come: bool) -> None:
    now = Now(10.0)
    assert now.has_come(instant) is has_come
    now.has_come(99.0)
    assert now.again_at == (99.0 if has_come else instant)


def test_an_agent_that_only_waits_for_answers_need_not_wake() -> None:
    me, _ = steps(agent(), Tick(), now=1.0)
    assert again_at(me, 1.0) is None


@pytest.mark.parametrize(
    ("me", "now", "due_at"),
    [
        (joined("A", AB1), 0.0, T),  # the next renewal
        (steps(joined("A", forming(0)), round_seen(active(1, "A", delay_ms=1500)))[0], 0.0, 1.5),
        (steps(joined("B", AB1), round_seen(AB1, holder=""))[0], 0.0, 0.05),  # its claim
        (steps(joined("A", AB1), FAILED, CasFailed(False))[0], 0.0, 0.5),
        (steps(joined("A", AB1, heartbeat_s=1.0), LeaveRequested(),
               RenewalReturned(lease("A", "running 1 leaving", 9)))[0], 0.0, 1.0),
        (replace(joined("A", AB1), renew_at=99.0, renewals_since_pulse=3, last_pulse_at=0.0,
                 frozen=False, retry_renewal_at=99.0), 14.0, 15.0),
        (replace(joined("A", AB1, desired=desired(api_grace_s=40.0)), retry_renewal_at=99.0),
         30.0, 40.0),
        (replace(joined("C", active(1, "A B C"), words="ready 0"), run=None, retry_renewal_at=99.0),
         20.0, 28.0),
    ],
    ids=["renewal", "delay", "claim", "retry", "leave", "doubt", "dark", "deadline"],
)  # fmt: skip
def test_the_next_tick_is_due_with_the_next_instant(me: Me, now: float, due_at: float) -> None:
    assert again_at(me, now) == pytest.approx(due_at)


def test_the_end_of_the_workers_has_a_deadline_in_the_step_that_stops_them() -> None:
    """`stop` sets the time for which `exit_agent` waits, and which comes before it in the order."""
    step = agent_step(joined("A", AB1), FAILED, 1.0)
    assert step.again_at is not None
    assert step.me.run is not None
    assert step.me.run.stop_by is not None
    me = replace(step.me, writing_state="in progress")
    assert again_at(me, 2.0) == step.me.run.stop_by


def test_the_holder_wakes_for_pulse_silence_last_call_and_cooldown() -> None:
    leases = [lease("A", "running 1"), lease("B", "running 1")]
    me = holding("A", active(1, "A B"), leases)
    assert again_at(me, 0.0) == T
    newcomer = holding("A", AB1, [*leases, lease("C", "ready 1")], cooldown_s=0.7)
    assert again_at(newcomer, 0.0) == 0.7
    called = holding("A", forming(0), [lease("A", "ready 0")], startup_last_call_s=0.8)
    assert again_at(called, 0.0) == 0.8
    called = holding("A", forming(0), [lease("A", "ready 0")], startup_last_call_s=4.0)
    assert again_at(called, 0.0) == timing.REPORT_WAIT_S
    me = holding("A", AB1, leases)
    assert me.hold is not None
    view = replace(me.hold.view, pulses=3)
    me = replace(me, hold=replace(me.hold, view=view, dirty=True, pulse_at=99.0), renew_at=99.0)
    assert again_at(me, 14.0) == 3 * T


def test_a_wake_that_was_due_is_not_due_again() -> None:
    """Else the loop would spin: a step does all that is due at `now`."""
    me = joined("A", AB1)
    for now in (T, 2 * T, 28.0, 1800.0):
        step = agent_step(me, Tick(), now)
        assert_early_tick_does_nothing(step, now)
        me = step.me
