from __future__ import annotations

import pytest
from bench.figure import Figure, number


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.0123, "0.012"), (1.5, "1.5"), (2.0, "2"), (41.26, "41.3"), (178.4, "178")],
)
def test_numbers_are_short(value: float, text: str) -> None:
    assert number(value) == text


def test_a_row_says_whether_its_target_was_reached_and_how_far_it_is_from_the_floor() -> None:
    figure = Figure("1", "restart", "ms", (40.0, 60.0, 90.0), target=50.0, floor=20.0)
    assert (figure.spread, figure.verdict, figure.ratio) == ("60 [40-90] N=3", "50, missed", "3.0")


def test_one_value_has_no_spread_and_no_target_no_verdict() -> None:
    figure = Figure("6", "cpu", "cores", (0.25,))
    assert (figure.spread, figure.verdict, figure.ratio) == ("0.25 N=1", "", "")
