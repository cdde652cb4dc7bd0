"""What a job needs is more than what it gets by writing all the time."""

from __future__ import annotations

import pytest

from elasticjob.controller.allowance import AT_ONCE, AT_ONCE_PER_POD, PER_S, Allowance
from elasticjob.controller.observe.key import Key

KEY, OTHER = Key("team", "demo"), Key("team", "other")


@pytest.mark.parametrize("pods", [4, 100, 1000, 10_000])
def test_all_pods_can_be_created_marked_and_replaced_at_once(pods: int) -> None:
    allowance, passes = Allowance(), 40
    allowance.take(KEY, pods + passes, 0, 0.0)  # a request for each new pod
    allowance.take(KEY, 2 * pods + passes, pods, 0.0)  # a read and a write for each mark
    allowance.take(KEY, 2 * pods + passes, pods, 0.0)  # the next generation, and the old pods
    assert allowance.wait_s(KEY, pods, 0.0) == 0.0


@pytest.mark.parametrize("pods", [4, 100, 1000, 10_000])
@pytest.mark.parametrize("after_s", [0.0, 1.0, 30.0, 600.0])
def test_all_pods_can_be_marked_and_deleted_and_the_next_pass_is_not_delayed(
    pods: int, after_s: float
) -> None:
    """`suspend`, or a new template: the pods are gone before their requests are paid for."""
    allowance = Allowance()
    allowance.take(KEY, 3 * pods, pods, 0.0)
    for k in range(10):
        now = after_s + k
        assert allowance.wait_s(KEY, 0, now) == 0.0
        allowance.take(KEY, 8, 0, now)


def test_pods_that_are_gone_buy_nothing_for_long() -> None:
    allowance, sent, seconds = Allowance(), 0, 1000
    allowance.take(KEY, 1, 1000, 0.0)
    for k in range(seconds * 10):
        now = k / 10
        while allowance.wait_s(KEY, 0, now) == 0.0:
            allowance.take(KEY, 5, 0, now)
            sent += 5
    assert sent <= AT_ONCE + seconds * PER_S + 2 * AT_ONCE_PER_POD * 1000


def test_a_job_that_asks_all_the_time_gets_a_bounded_rate() -> None:
    allowance, sent = Allowance(), 0
    for k in range(60 * 100):
        now = k / 100
        if allowance.wait_s(KEY, 1, now) == 0.0:
            allowance.take(KEY, 5, 1, now)
            sent += 5
        assert allowance.wait_s(OTHER, 1, now) == 0.0
    assert sent <= AT_ONCE + AT_ONCE_PER_POD + 60 * (PER_S + 0.1) + 5


def test_the_wait_is_what_is_needed() -> None:
    allowance = Allowance()
    allowance.take(KEY, AT_ONCE + 20, 0, 0.0)
    wait_s = allowance.wait_s(KEY, 0, 0.0)
    assert wait_s == pytest.approx(20 / PER_S)
    assert allowance.wait_s(KEY, 0, wait_s + 0.001) == 0.0


def test_a_number_in_a_spec_buys_nothing() -> None:
    """Pods that do not exist count for nothing."""
    allowance = Allowance()
    allowance.take(KEY, AT_ONCE + 1, 0, 0.0)
    assert allowance.wait_s(KEY, 0, 0.0) > 0


def test_names_that_come_and_go_are_forgotten() -> None:
    allowance = Allowance()
    for k in range(1000):
        allowance.take(Key("team", f"job-{k}"), 10, 1, float(k))
    assert len(allowance._spent) == 1
