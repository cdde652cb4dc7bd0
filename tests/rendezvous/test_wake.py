"""When the next Tick is due."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.support.protocol import (
    AB1,
    FAILED,
    T,
    active,
    agent,
    desired,
    forming,
    holding,
    joined,
    lease,
    round_seen,
    steps,
)

from elasticjob.rendezvous import next_wake
from elasticjob.rendezvous.events import CasFailed, LeaveRequested, RenewalReturned, Tick
from elasticjob.rendezvous.state import Me


def test_an_agent_that_only_waits_for_answers_need_not_wake() -> None:
    me, _ = steps(agent(), Tick(), now=1.0)
    assert next_wake(me, 1.0) is None


@pytest.mark.parametrize(
    ("me", "now", "wake_at"),
    [
        (joined("A", AB1), 0.0, T),  # the next renewal
        (steps(joined("A", forming(0)), round_seen(active(1, "A", delay_ms=1500)))[0], 0.0, 1.5),
        (steps(joined("B", AB1), round_seen(AB1, holder=""))[0], 0.0, 0.05),  # its claim
        (steps(joined("A", AB1), FAILED, CasFailed(False))[0], 0.0, 0.5),
        (steps(joined("A", AB1, heartbeat_s=1.0), LeaveRequested(),
               RenewalReturned(lease("A", "running 1 leaving", 9)))[0], 2.5, 3.0),
        (replace(joined("A", AB1), renew_at=99.0, last_pulse_at=2.0), 16.0, 17.0),
        (replace(joined("A", AB1, desired=desired(api_grace_s=40.0)), renew_at=99.0), 30.0, 40.0),
        (replace(joined("C", AB1), renew_at=99.0), 20.0, 28.0),  # the start deadline
    ],
    ids=["beat", "delay", "claim", "retry", "leave", "doubt", "dark", "deadline"],
)  # fmt: skip
def test_the_next_tick_is_due_with_the_next_instant(me: Me, now: float, wake_at: float) -> None:
    assert next_wake(me, now) == pytest.approx(wake_at)


def test_a_round_that_may_start_at_once_needs_no_tick() -> None:
    """It was started in the step that learnt of it; a Tick would be one more for every agent."""
    me, _ = steps(joined("A", forming(0)), round_seen(active(1, "A")), now=1.0)
    assert me.run is not None
    assert next_wake(me, 0.5) == T


def test_the_holder_wakes_for_pulse_silence_last_call_and_cooldown() -> None:
    me = holding("A", active(1, "A B"), [lease("A", "running 1"), lease("B", "running 1")],
                 cooldown_s=7.0)  # fmt: skip
    assert next_wake(me, 0.0) == T
    me = replace(me, renew_at=99.0, last_pulse_at=99.0)
    assert me.hold is not None
    quiet = replace(me, hold=replace(me.hold, pulse_at=99.0))
    assert next_wake(quiet, 0.0) == 7.0
    assert next_wake(quiet, 7.0) == 3 * T
    called = holding("A", forming(0), [lease("A", "ready 0")], startup_last_call_s=40.0)
    assert called.hold is not None
    called = replace(called, renew_at=99.0, last_pulse_at=99.0,
                     hold=replace(called.hold, pulse_at=99.0))  # fmt: skip
    assert next_wake(called, 28.0) == 40.0


def test_a_wake_that_was_due_is_not_due_again() -> None:
    """Else the loop would spin: this step has done what was due at `now`."""
    me = joined("A", AB1)
    for now in (T, 2 * T, 28.0, 1800.0):
        me, _ = steps(me, Tick(), now=now)
        wake = next_wake(me, now)
        assert wake is None or wake > now
