from __future__ import annotations

from dataclasses import replace

import pytest
from tests.support.protocol import active, desired

from elasticjob.rendezvous.budget import (
    counted_failures,
    forgive_if_healthy,
    is_budget_spent,
    with_training,
)
from elasticjob.wire.cause import Cause, CauseKind
from elasticjob.wire.charges import NO_CHARGES, Charges
from elasticjob.wire.round import Round


@pytest.mark.parametrize(
    ("in_round", "by_operator", "pardoned", "older", "total"),
    [
        ((), (), (), 0, 0),
        ((2,), (), (), 0, 1),
        ((2,), (2,), (), 0, 1),  # sets: the same number is one incident
        ((2,), (3,), (), 0, 2),
        ((2, 3), (), (3,), 0, 1),
        ((2,), (3,), (2, 3), 0, 0),
        ((2,), (), (9,), 0, 1),  # a pardon of what was never charged does nothing
        ((70,), (), (), 6, 7),
    ],
)
def test_counted_failures(
    in_round: tuple[int, ...], by_operator: tuple[int, ...], pardoned: tuple[int, ...],
    older: int, total: int,
) -> None:  # fmt: skip
    round_ = replace(active(9, "A"), charged=Charges(frozenset(in_round), older))
    wanted = desired(charged=frozenset(by_operator), pardoned=frozenset(pardoned))
    assert counted_failures(round_.charged, wanted) == total


@pytest.mark.parametrize(
    ("charges", "budget", "is_over"),
    [(0, 0, True), (0, 1, False), (1, 1, True), (9, 10, False), (10, 10, True)],
)
def test_over_budget_means_that_one_more_would_exceed_it(
    charges: int, budget: int, is_over: bool
) -> None:
    """A budget of 0: the first crash ends the job."""
    round_ = active(20, "A", charged=range(1, charges + 1))
    assert is_budget_spent(round_, desired(max_restarts=budget)) is is_over


CHARGED = Charges(frozenset({2, 3}), older=1)


@pytest.mark.parametrize(
    ("before", "healthy_s", "after", "resets"),
    [
        (CHARGED, 3599.0, CHARGED, 0),
        (CHARGED, 3600.0, Charges(forgiven=9), 1),
        (NO_CHARGES, 9999.0, NO_CHARGES, 0),
        (Charges(frozenset({8}), forgiven=5), 3600.0, Charges(forgiven=9), 1),
    ],
)
def test_a_healthy_time_pays_off(
    before: Charges, healthy_s: float, after: Charges, resets: int
) -> None:
    round_ = replace(active(9, "A"), charged=before)
    paid = forgive_if_healthy(round_, healthy_s, desired())
    assert paid == replace(round_, charged=after, resets=resets)


def test_what_the_operator_charged_before_is_paid_off_too() -> None:
    """Its numbers stay in `desired` until it sees the reset: it may be away, and then for long."""
    wanted = desired(charged=frozenset({4, 10}), max_restarts=2)
    round_ = active(9, "A")
    assert is_budget_spent(round_, wanted)
    paid = forgive_if_healthy(round_, 3600.0, wanted)
    assert (paid.charged, paid.resets) == (Charges(forgiven=9), 1)
    assert counted_failures(paid.charged, wanted) == 1  # 10 came after it
    assert not is_budget_spent(paid, wanted)


@pytest.mark.parametrize(("after_ms", "trained"), [(119_999, False), (120_000, True)])
def test_the_start_delay_is_no_training(after_ms: int, trained: bool) -> None:
    """A command that fails at once is delayed by minutes, later."""
    failure = Cause(CauseKind.WORKER_FAILED, after_ms=after_ms)
    assert with_training(Round(delay_ms=60_000), None, [failure]).trained is trained
