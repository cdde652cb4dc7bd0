"""What the agent reads: answers of a server and files of its workers, damaged in a few places."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tests.support.clocks import VirtualClock
from tests.support.mutations import damaged, damaged_json, damaged_text, texts
from tests.support.protocol import JOB, active, agent_object, identity, parsed_round, round_object
from tests.support.scripted_socket import connection
from tests.support.transports import ScriptedStream, ScriptedStreamTransport, ScriptedTransport

from elasticjob.agent.api.calls import Call, perform
from elasticjob.agent.api.connection import UnreachableError, parse_head
from elasticjob.agent.api.conversation import Context
from elasticjob.agent.api.drivers import CallDriver, Machine, WatchDriver
from elasticjob.agent.api.http import LIMITS, Stream
from elasticjob.agent.api.messages import Address, Response
from elasticjob.agent.api.watch import Watch, WatchScope
from elasticjob.agent.clock import SystemClock
from elasticjob.agent.inbox import SetupFailed
from elasticjob.agent.log import Log, line
from elasticjob.agent.termination import LONGEST, termination_message
from elasticjob.agent.workers.exits import read_error_file, timer_failure
from elasticjob.agent.workers.failure_message import of_exit, of_report
from elasticjob.agent.workers.file_timer import Timers
from elasticjob.agent.workers.progress import parse
from elasticjob.rendezvous.actions import CasRound, CreateLease, Exit, GetLease, Pulse, WriteState
from elasticjob.wire.agent_state import AgentPhase, AgentState
from elasticjob.wire.report import Report
from elasticjob.wire.untrusted import plain

HEADS = [
    "HTTP/1.1 200 OK\r\nContent-Length: 2",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: application/json",
    "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 3\r\nConnection: close",
    "HTTP/1.1 204 No Content",
]
BODIES = ["{}", "2\r\n{}\r\n0\r\n\r\n", "1;x=y\r\n{\r\n01\r\n}\r\n0\r\nTrailer: x\r\n\r\n", ""]
wire_signs = texts | st.sampled_from(
    ["\r\n", "\r", "\n", ":", ";", "0", "f", "0x", "ffffffff", "-", "Content-Length: 3\r\n",
     "Transfer-Encoding: identity\r\n", "\xb2", "HTTP/1.1 200 OK\r\n\r\n", " ", "\t", ","]
)  # fmt: skip


@given(damaged_text(HEADS, junk=wire_signs))
def test_a_head(text: str) -> None:
    with contextlib.suppress(UnreachableError):
        found = parse_head(text)
        assert 200 <= found.status <= 599
        assert found.length is None or (found.length >= 0 and not found.is_chunked)


@given(
    damaged_text(HEADS, junk=wire_signs, most=1),
    damaged_text(BODIES, junk=wire_signs, most=2),
    st.lists(st.integers(1, 40), min_size=1, max_size=5),
)
def test_a_response(head: str, body: str, sizes: list[int]) -> None:
    raw = f"{head}\r\n\r\n{body}".encode("utf-8", "replace")
    pieces, begin = [], 0
    while begin < len(raw):
        size = sizes[len(pieces) % len(sizes)]
        pieces.append(raw[begin : begin + size])
        begin += size
    far_at = SystemClock().now() + 1e9
    with contextlib.suppress(UnreachableError):
        opened = connection(*pieces)
        opened.send(b"GET", far_at)
        opened.response(opened.head(far_at), far_at).json()
    with contextlib.suppress(UnreachableError):
        opened = connection(*pieces)
        list(Stream(opened, opened.head(far_at), SystemClock(), LIMITS).lines())


def bookmark(version: int, ends: bool = False) -> Any:
    notes = {"annotations": {"k8s.io/initial-events-end": "true"}} if ends else {}
    return {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": str(version), **notes}}}


EVENTS = [
    {"type": "ADDED", "object": round_object(3)},
    {"type": "MODIFIED", "object": round_object(6, round_=active(1))},
    {"type": "ADDED", "object": agent_object(4)},
    {"type": "DELETED", "object": agent_object(7, "B")},
    bookmark(8),
    bookmark(5, ends=True),
    {"type": "ERROR", "object": {"code": 410, "message": "too old"}},
]


CONTEXT = Context(JOB, identity(), Address("10.96.0.1", 443))


def machine(lines: list[str], messages: list[Any]) -> Machine:
    return Machine(VirtualClock(), Log(lines.append), lambda: 0.5, messages.append)


@given(
    st.lists(damaged_json(EVENTS, most=2), max_size=4), damaged([{"items": [round_object(3)]}]),
    st.booleans(), st.booleans(), st.sampled_from([200, 403, 410, 422, 500]),
)  # fmt: skip
def test_a_watch(lines: list[str], listed: Any, wide: bool, first: bool, status: int) -> None:
    messages: list[Any] = []
    begin = [json.dumps(EVENTS[0]), json.dumps(bookmark(5, ends=True))] if first else []
    raw = [each.encode("utf-8", "replace") for each in (*begin, *lines)]
    streams = [ScriptedStream(*raw), ScriptedStream(status=status, body=listed), ScriptedStream()]
    transport = ScriptedStreamTransport(*streams)
    log: list[str] = []
    scope = WatchScope(wide, "demo-round", JOB.uid)
    driver = WatchDriver(machine(log, messages), transport, 1)
    transport.at_end = driver.close
    driver.run(Watch(CONTEXT, scope, True).conversation(), "a watch")
    failures = [each.reason for each in messages if isinstance(each, SetupFailed)]
    assert not any("internal" in reason for reason in failures)
    assert not any(set("\x1b\x07\r\u202e\u2028") & set(text) for text in log)


STATE = AgentState(AgentPhase.READY, 0).to_json()
ACTIONS = [
    WriteState(STATE, "7"), CreateLease(STATE), GetLease("demo-1-0"), Pulse("7", Report(1)),
    CasRound("7", round=active(2)),
]  # fmt: skip


@given(
    st.sampled_from(ACTIONS),
    st.lists(
        st.tuples(
            st.sampled_from([200, 201, 404, 409, 403, 500]),
            damaged_json([agent_object(8), agent_object(8, "B"), round_object(6), {"message": 1}]),
        ),
        min_size=1, max_size=3,
    ),
)  # fmt: skip
def test_a_call(action: Any, answers: list[tuple[int, str]]) -> None:
    responses = [Response(code, body.encode("utf-8", "replace")) for code, body in answers]
    last = Response(200, json.dumps(agent_object(8)).encode())
    messages: list[Any] = []
    driver = CallDriver(machine([], messages), ScriptedTransport(*responses, last), lambda: None)
    driver.run(perform(Call(CONTEXT, parsed_round(3)), action), "a call")
    failures = [each.reason for each in messages if isinstance(each, SetupFailed)]
    assert not any("internal" in reason for reason in failures)


@given(damaged_json([{"step": 120, "total": 400}]))
def test_progress(text: str) -> None:
    parse(text.encode("utf-8", "surrogatepass"))


TIMERS = [
    {"version": 1, "pid": 12, "scope_id": "train.py#7", "expiration_time": 1.7e9, "signal": 9},
    {"version": 1, "pid": 12, "scope_id": "train.py#7", "expiration_time": -1, "signal": 0},
]


@given(st.lists(damaged_json(TIMERS, most=2), max_size=4), st.integers(1, 40))
def test_timers(lines: list[str], size: int) -> None:
    clock = VirtualClock()
    timers = Timers(None, clock)
    raw = "\n".join([*lines, ""]).encode("utf-8", "surrogatepass")
    for begin in range(0, len(raw), size):
        timers.receive(raw[begin : begin + size])
    assert timers.next_at() >= clock.now()
    for timer in timers.take_expired(clock.now() + 1e13):
        message = timer_failure(0, timer, clock.wall_at()).message
        assert plain(message) == message
        assert "\n" not in message
        assert message.encode()


REPORTS = [
    {"message": {"message": "ValueError: nan", "extraInfo": {"py_callstack": "Traceback:\n x"}}},
    {"message": "a string", "timestamp": 1},
]


@given(damaged_json(REPORTS))
def test_an_error_file(text: str) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "error.json")
        with open(path, "wb") as file:
            file.write(text.encode("utf-8", "surrogatepass"))
        found = read_error_file(path)
    assert found is None or found.message.encode()


@given(texts | st.text(max_size=6000))
def test_texts_of_an_agent(text: str) -> None:
    for message in (of_exit(1, text), of_exit(-6, text), of_report(text, text)):
        assert plain(message) == message
    assert len(termination_message(Exit(1, text)).encode()) <= LONGEST
    written = line(text, {"message": text})
    assert "\n" not in written
    assert written.encode()
