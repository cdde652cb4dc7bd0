from __future__ import annotations

import pytest

from elasticjob.agent.clock import SystemClock, format_time


@pytest.mark.parametrize(
    ("wall_at", "text"),
    [
        (0.0, "1970-01-01T00:00:00.000000Z"),
        (1_700_000_000.25, "2023-11-14T22:13:20.250000Z"),
        (1_700_000_000.9999999, "2023-11-14T22:13:21.000000Z"),
    ],
)
def test_times_have_six_digits(wall_at: float, text: str) -> None:
    assert format_time(wall_at) == text


def test_the_clock_advances() -> None:
    clock = SystemClock()
    before = clock.now()
    clock.pause(0.001)
    assert clock.now() > before
    assert clock.wall_at() > 1_700_000_000
