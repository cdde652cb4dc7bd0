from __future__ import annotations

import pytest
from tests.support.jobs import elastic_job

from elasticjob.controller.observe import heartbeat


@pytest.mark.parametrize(
    ("agents", "expected"),
    [(0, 5.0), (4, 5.0), (500, 5.0), (501, 10.0), (1000, 10.0), (4000, 40.0), (99_999, 60.0)],
)
def test_needed(agents: int, expected: float) -> None:
    assert heartbeat.needed_s(agents, 100.0) == expected


@pytest.mark.parametrize(
    ("held", "needed", "expected"),
    [(5.0, 5.0, 5.0), (10.0, 5.0, 10.0), (15.0, 5.0, 5.0), (5.0, 10.0, 10.0)],
)
def test_a_change_is_made_only_when_it_matters(held: float, needed: float, expected: float) -> None:
    assert heartbeat.kept_s(held, needed) == expected


def test_agents_of_jobs_that_have_or_will_have_pods() -> None:
    ended = {**elastic_job(replicas=3), "status": {"completionTime": "2026-01-01T00:00:00Z"}}
    jobs = [elastic_job(replicas=4), elastic_job(replicas=9, suspend=True), ended]
    assert heartbeat.agents(jobs) == 4
