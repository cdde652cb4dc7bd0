"""Each fault of the proxy, as an agent's client meets it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.splitbrain.faults import FATES, READS, WRITES, Fate, Fault, Mood, mood
from tests.splitbrain.proxy import FaultyProxy, Upstream, faulty_proxy
from tests.support.scripted_api import TLS, ScriptedApi, Stream, reply, scripted_api

from elasticjob.agent.api.connection import UnreachableError
from elasticjob.agent.api.credentials import Credentials
from elasticjob.agent.api.http import Address, Client, Limits, Request
from elasticjob.agent.clock import SystemClock

pytestmark = pytest.mark.slow

PATCH = Request("PATCH", "/leases/demo-round", b"{}")
WATCH = Request("GET", "/leases?watch=true")
PATIENT, IMPATIENT = Limits(request_s=20.0, idle_s=20.0), Limits(request_s=0.2, idle_s=0.2)
EVENT = {"type": "MODIFIED", "object": {"metadata": {"name": "demo-round"}}}


class Chosen(Mood):
    """A mood with a chosen fault for each request, and a chosen fate for each watch."""

    def __init__(self, fault: Fault, fate: Fate) -> None:
        super().__init__(random.Random(1), is_bad=True, lags=False)
        self._fault, self._fate = fault, fate

    def fault(self, method: str) -> Fault:
        return self._fault

    def fate(self) -> tuple[Fate, int]:
        return self._fate, 0


Through = Callable[..., tuple[ScriptedApi, FaultyProxy, Client]]


@pytest.fixture
def through(tmp_path: Path) -> Iterator[Through]:
    """A function that returns an API server, a proxy with a fault, and a client of the proxy."""
    with ExitStack() as stack:

        def start(
            fault: Fault = Fault.NONE, fate: Fate = Fate.NONE
        ) -> tuple[ScriptedApi, FaultyProxy, Client]:
            api = stack.enter_context(scripted_api())
            upstream = Upstream(api.host, api.port, (TLS / "ca.crt").read_bytes())
            proxy = stack.enter_context(faulty_proxy(lambda _: Chosen(fault, fate), upstream))
            (tmp_path / "token").write_text("token")
            (tmp_path / "ca.crt").write_bytes(proxy.ca)
            address = Address("127.0.0.1", proxy.port)
            limits = IMPATIENT if "half-open" in f"{fault.value} {fate.value}" else PATIENT
            return api, proxy, Client(address, Credentials(str(tmp_path)), SystemClock(), limits)

        yield start


@pytest.mark.parametrize(("fault", "status", "received"), [
    (Fault.NONE, 200, 1),
    (Fault.DELAY, 200, 1),
    (Fault.CUT_BEFORE, None, 0),
    (Fault.CUT_AFTER, None, 1),
    (Fault.HALF_OPEN, None, 0),
    (Fault.HALF_OPEN_AFTER, None, 1),
    (Fault.CONFLICT, 409, 0),
    (Fault.EXPIRED, 410, 0),
    (Fault.THROTTLED, 429, 0),
    (Fault.ERROR_AFTER, 504, 1),
    (Fault.TOO_LARGE, 504, 0),
])  # fmt: skip
def test_a_request_meets_its_fault(
    through: Through, fault: Fault, status: int | None, received: int
) -> None:
    """received: the requests that the API server has received."""
    api, proxy, client = through(fault)
    api.otherwise = lambda _: reply(200)
    session = client.session()
    try:
        found: int | None = session.send(PATCH).status
    except UnreachableError:
        found = None
    session.close()
    assert (found, len(api.requests)) == (status, received)
    assert proxy.counts == ({} if fault is Fault.NONE else {fault.value: 1})


def test_a_server_error_has_one_of_four_codes(through: Through) -> None:
    _, _, client = through(Fault.SERVER_ERROR)
    session = client.session()
    assert session.send(PATCH).status in (500, 502, 503, 504)
    session.close()


@pytest.mark.parametrize(("fate", "expected"), [
    (Fate.NONE, b"MODIFIED"),
    (Fate.SLOW, b"MODIFIED"),
    (Fate.CUT, None),
    (Fate.HALF_OPEN, None),
    (Fate.EXPIRED, b'"code": 410'),
    (Fate.TOO_LARGE, b"Too large resource version"),
])  # fmt: skip
def test_a_watch_meets_its_fate(through: Through, fate: Fate, expected: bytes | None) -> None:
    """The second line of the watch; None: the watch ends without one."""
    api, _, client = through(fate=fate)
    events = Stream()
    events.send(EVENT)
    api.otherwise = lambda _: events
    lines = client.stream(WATCH).lines()
    assert b"MODIFIED" in next(lines)
    events.send(EVENT)
    try:
        second = next(lines, None)
    except UnreachableError:
        second = None
    events.end()
    assert (second is None) == (expected is None)
    assert expected is None or expected in (second or b"")


def test_a_calm_proxy_has_no_faults(through: Through) -> None:
    api, proxy, client = through(Fault.CUT_BEFORE)
    api.otherwise = lambda _: reply(200)
    proxy.calm.set()
    session = client.session()
    assert session.send(PATCH).status == 200
    session.close()


def test_a_seed_repeats_the_faults_of_each_connection() -> None:
    def faults(seed: int) -> list[Fault]:
        return [found.fault("PATCH") for found in (mood(seed, number) for number in range(200))]

    assert faults(1) == faults(1) != faults(2)


def test_every_fault_is_chosen() -> None:
    assert {*READS, *WRITES} == {*Fault} - {Fault.NONE}
    assert {*FATES} == {*Fate} - {Fate.NONE}
