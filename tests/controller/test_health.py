from __future__ import annotations

import aiohttp

from elasticjob.api.v1alpha1 import ElasticJobStatus
from elasticjob.controller import health
from elasticjob.controller.observe.key import Key
from elasticjob.controller.report.metrics import Metrics
from elasticjob.controller.report.texts import State, Word


def test_a_report_names_every_check() -> None:
    assert health.report({"queue": str, "watches": lambda: "down"}) == (
        False,
        "+ queue: ok\n- watches: down\n",
    )


async def test_live_but_not_ready() -> None:
    answers = {}
    serve = health.serve("127.0.0.1", 0, {"a": str}, {"b": lambda: "not yet"}, Metrics())
    async with serve as port, aiohttp.ClientSession() as session:
        for path in ("livez", "readyz", "metrics"):
            async with session.get(f"http://127.0.0.1:{port}/{path}") as answer:
                answers[path] = (answer.status, await answer.text())
    assert answers["livez"] == (200, "+ a: ok\n")
    assert answers["readyz"] == (503, "+ a: ok\n- b: not yet\n")
    assert answers["metrics"][0] == 200
    assert "elasticjob_queue_depth" in answers["metrics"][1]


def test_jobs_are_counted_by_state_and_forgotten_when_they_are_gone() -> None:
    metrics, key = Metrics(), Key("a", "b")
    for state in (State(Word.PENDING, "1/2 pods running"), State(Word.RUNNING)):
        metrics.note_status(key, state, ElasticJobStatus(), ElasticJobStatus())
    found = metrics.registry.get_sample_value
    assert found("elasticjob_jobs", {"state": "Running"}) == 1
    assert found("elasticjob_jobs", {"state": "Pending"}) == 0
    metrics.note_gone(key)
    assert found("elasticjob_jobs", {"state": "Running"}) == 0
