from __future__ import annotations

import pytest

from elasticjob.local.node.pod.container import restart_delay_s


@pytest.mark.parametrize(
    ("before_s", "ran_s", "delay_s"),
    [
        (None, 1, 0),  # the first restart is at once
        (0, 1, 10),
        (10, 1, 20),
        (20, 1, 40),
        (160, 1, 300),
        (300, 1, 300),
        (300, 600, 0),  # it was healthy for ten minutes
    ],
)
def test_restart_delays(before_s: float | None, ran_s: float, delay_s: float) -> None:
    assert restart_delay_s(before_s, ran_s) == delay_s
