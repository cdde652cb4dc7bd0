from __future__ import annotations

import pytest

from elasticjob.agent.api.backoff import delay_s


@pytest.mark.parametrize(
    ("failures", "longest_s"),
    [(0, 0.1), (1, 0.1), (2, 0.2), (3, 0.4), (4, 0.8), (6, 3.2), (7, 5.0), (1000, 5.0)],
)
def test_ever_longer_up_to_five_seconds(failures: int, longest_s: float) -> None:
    assert delay_s(failures, 0.0) == pytest.approx(longest_s)
    assert delay_s(failures, 0.5) == pytest.approx(0.75 * longest_s)
    assert longest_s / 2 < delay_s(failures, 0.999) < longest_s
