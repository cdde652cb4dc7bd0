from __future__ import annotations

import asyncio
import socket

import aiohttp
import pytest

from elasticjob.api.v1alpha1 import ElasticJobStatus
from elasticjob.controller import health
from elasticjob.controller.observe.key import Key
from elasticjob.controller.report.metrics import Metrics
from elasticjob.controller.report.state import State
from elasticjob.controller.report.texts import Word


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


async def test_connections_that_send_half_a_request_occupy_nothing_for_ever() -> None:
    serve = health.serve("127.0.0.1", 0, {}, {}, Metrics(), request_s=0.05)
    async with serve as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /livez HTTP/1.1\r\n")
        assert await reader.read() == b""  # the server closes it
        writer.close()


async def test_more_connections_than_there_are_places_keep_no_client_out() -> None:
    serve = health.serve("127.0.0.1", 0, {"a": str}, {}, Metrics(), request_s=3600.0)
    async with serve as port:
        held = [
            await asyncio.open_connection("127.0.0.1", port)
            for _ in range(health.MOST_CONNECTIONS + 1)
        ]
        url = f"http://127.0.0.1:{port}/livez"
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            assert answer.status == 200
        assert await held[0][0].read() == b""  # the oldest one gave its place
        for _, writer in held:
            writer.close()


async def test_many_connections_at_once_end_as_many_of_the_oldest() -> None:
    """The loop accepts many of them before it ends one."""
    most, more = health.MOST_CONNECTIONS, 30
    async with health.serve("127.0.0.1", 0, {}, {}, Metrics(), request_s=3600.0) as port:
        held = [socket.create_connection(("127.0.0.1", port)) for _ in range(most + more)]
        streams = [await asyncio.open_connection(sock=each) for each in held]
        ends = [await reader.read() for reader, _ in streams[:more]]
        assert ends == [b""] * more
        for _, writer in streams:
            writer.close()


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET /none HTTP/1.1\r\n\r\n", b"404"),
        (b"POST /livez HTTP/1.1\r\n\r\n", b"405"),
        (b"HEAD /livez?verbose HTTP/1.1\r\n\r\n", b"200"),
        (b"\xff" * 64 + b"\r\n\r\n", b"405"),
    ],
)
async def test_other_requests(sent: bytes, status: bytes) -> None:
    async with health.serve("127.0.0.1", 0, {"a": str}, {}, Metrics()) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        assert (await reader.readline())[9:12] == status
        writer.close()


async def test_the_series_are_made_once_a_second_at_most() -> None:
    at, measured = [0.0], Metrics()
    serve = health.serve("127.0.0.1", 0, {}, {}, measured, now=lambda: at[0])
    async with serve as port, aiohttp.ClientSession() as session:

        async def text() -> str:
            async with session.get(f"http://127.0.0.1:{port}/metrics") as answer:
                return await answer.text()

        first = await text()
        measured.postponed.inc()
        assert await text() == first
        at[0] = health.METRICS_EVERY_S
        assert await text() != first
