from __future__ import annotations

import pytest
from tests.support.jobs import elastic_job

from elasticjob.controller.observe import parse
from elasticjob.controller.report.pods.names import listed
from elasticjob.wire.member import Pod


@pytest.mark.parametrize(
    ("pods", "expected"),
    [
        ([], ""),
        ([(3, 1)], "demo-3-1"),
        ([(1, 0), (0, 0)], "demo-0-0, demo-1-0"),
        ([(0, 0), (1, 0), (2, 0)], "demo-0-0 to demo-2-0"),
        ([(0, 0), (1, 0), (2, 1), (3, 1), (4, 1)], "demo-0-0, demo-1-0, demo-2-1 to demo-4-1"),
        ([(index, 0) for index in range(1000)], "demo-0-0 to demo-999-0"),
        (
            [(index, 0) for index in range(0, 20, 2)],
            "demo-0-0, demo-2-0, demo-4-0, demo-6-0, demo-8-0 and 5 more",
        ),
        (
            [
                *((2 * index, 0) for index in range(4)),
                (8, 0),
                (9, 0),
                *((i, 0) for i in (20, 21, 22)),
            ],
            "demo-0-0, demo-2-0, demo-4-0, demo-6-0, demo-8-0 and 4 more",
        ),
    ],
)
def test_pods_are_listed_as_ranges_of_full_names(
    pods: list[tuple[int, int]], expected: str
) -> None:
    job = parse.job(elastic_job())
    assert listed(job, (Pod(*each) for each in pods)) == expected
