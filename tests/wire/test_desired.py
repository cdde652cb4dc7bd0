from __future__ import annotations

import pytest

from elasticjob.wire.desired import Desired
from elasticjob.wire.member import Pod

_WANTED = Desired(wanted=(Pod(0, 0), Pod(1, 2), Pod(3, 0)))


@pytest.mark.parametrize(
    ("pod", "is_wanted"),
    [
        (Pod(0, 0), True),
        (Pod(0, 5), True),
        (Pod(1, 1), False),
        (Pod(1, 2), True),
        (Pod(1, 3), True),
        (Pod(2, 0), False),
    ],
)
def test_an_index_is_wanted_from_its_lowest_generation_on(pod: Pod, is_wanted: bool) -> None:
    assert _WANTED.wants(pod) is is_wanted


def test_defaults_are_those_of_the_design() -> None:
    d = Desired(wanted=())
    assert (d.min_members, d.max_restarts, d.heartbeat_s) == (1, 10, 5.0)
    assert (d.crash_grace_s, d.last_call_s, d.startup_last_call_s) == (3.0, 30.0, 300.0)
    assert (d.cooldown_s, d.reset_after_s, d.api_grace_s) == (60.0, 3600.0, 1800.0)
