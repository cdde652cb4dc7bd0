from __future__ import annotations

import pytest

from elasticjob.agent.api.backoff import pause
from elasticjob.agent.api.conversation import Pause


@pytest.mark.parametrize(
    ("failures", "longest_s"),
    [(0, 0.1), (1, 0.1), (2, 0.2), (3, 0.4), (4, 0.8), (6, 3.2), (7, 5.0), (1000, 5.0)],
)
def test_ever_longer_up_to_five_seconds(failures: int, longest_s: float) -> None:
    found = pause(failures)
    assert (found.shortest_s, found.longest_s) == pytest.approx((longest_s / 2, longest_s))


@pytest.mark.parametrize(
    ("at_least_s", "at_most_s", "limits"),
    [
        (0.0, 9.0, (0.2, 0.4)),
        (0.3, 9.0, (0.3, 0.4)),
        (7.0, 9.0, (7.0, 7.0)),
        (7.0, 0.3, (0.3, 0.3)),
    ],
)
def test_what_the_server_states_counts_up_to_a_limit(
    at_least_s: float, at_most_s: float, limits: tuple[float, float]
) -> None:
    assert pause(3, at_least_s, at_most_s) == Pause(*limits)


def test_jitter_chooses_between_the_limits() -> None:
    assert [Pause(1.0, 3.0).seconds(jitter) for jitter in (0.0, 0.5)] == [1.0, 2.0]
