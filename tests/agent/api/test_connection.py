"""What a broken or hostile server sends ends in UnreachableError, and never in a wrong answer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import pytest
from tests.support.clocks import VirtualClock
from tests.support.scripted_socket import ScriptedSocket, connection

from elasticjob.agent.api.connection import Connection, Head, UnreachableError, parse_head
from elasticjob.agent.api.http import LIMITS, Stream
from elasticjob.agent.api.messages import Response
from elasticjob.agent.clock import SystemClock

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
FOREVER_S = 1e9


def respond(*pieces: bytes) -> tuple[Response, bool]:
    """The response to a request, and whether the connection can be used again."""
    opened = connection(*pieces)
    opened.send(b"GET / HTTP/1.1\r\n\r\n", far_at())
    found = opened.response(opened.head(far_at()), far_at())
    return found, opened.reusable


def far_at() -> float:
    return SystemClock().now() + FOREVER_S


@pytest.mark.parametrize(
    ("raw", "body", "is_reusable"),
    [
        (OK + b"Content-Length: 2\r\n\r\n{}", b"{}", True),
        (OK + b"content-length:2\r\nContent-Length: 2 \r\n\r\n{}", b"{}", True),
        (OK + b"Content-Length: 2\r\nConnection: close\r\n\r\n{}", b"{}", False),
        (OK + b"\r\n{}", b"{}", False),
        (CHUNKED + b"2;x=y\r\n{}\r\n0\r\nTrailer: x\r\n\r\n", b"{}", True),
        (CHUNKED + b"1\r\n{\r\n01\r\n}\r\n0\r\n\r\n", b"{}", True),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b"", True),
        (b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", b"", True),
        (b"HTTP/1.0 200 \r\nContent-Length: 0\r\n\r\n", b"", True),
        # Bytes after a body would be the next response.
        (OK + b"Content-Length: 2\r\n\r\n{}HTTP/1.1 200 OK\r\n", b"{}", False),
        (CHUNKED + b"2\r\n{}\r\n0\r\n\r\nx", b"{}", False),
    ],
)
def test_a_response(raw: bytes, body: bytes, is_reusable: bool) -> None:
    for pieces in ([raw], [raw[i : i + 1] for i in range(len(raw))]):
        found, reusable = respond(*pieces)
        assert found.body == body
        assert reusable == is_reusable or len(pieces) > 1


@pytest.mark.parametrize(
    "head",
    [
        "",
        "HTTP/1.1",
        "HTTP/1.1 ",
        "HTTP/1.1 20",
        "HTTP/1.1 2000 OK",
        "HTTP/1.1 \u00b2\u00b9\u00b3 OK",
        "HTTP/1.1 \u0662\u0660\u0660 OK",
        "HTTP/1.1 099 OK",
        "HTTP/1.1 100 Continue",
        "HTTP/1.1 +20 OK",
        "HTTP/2 200 OK",
        "HTTP/1.10 200 OK",
        "http/1.1 200 OK",
        "220 mail.example.com ESMTP",
        "HTTP/1.1 200 OK\r\nno colon",
        "HTTP/1.1 200 OK\r\n: no name",
        "HTTP/1.1 200 OK\r\nA name: x",
        "HTTP/1.1 200 OK\r\n continued: x",
        "HTTP/1.1 200 OK\r\nContent-Length: \u00b2",
        "HTTP/1.1 200 OK\r\nContent-Length: -1",
        "HTTP/1.1 200 OK\r\nContent-Length: +1",
        "HTTP/1.1 200 OK\r\nContent-Length: 1_0",
        "HTTP/1.1 200 OK\r\nContent-Length: 0x3",
        "HTTP/1.1 200 OK\r\nContent-Length: 2, 2",
        "HTTP/1.1 200 OK\r\nContent-Length:",
        "HTTP/1.1 200 OK\r\nContent-Length: " + "9" * 5000,
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity",
    ],
)
def test_a_head_that_is_not_clear_is_refused(head: str) -> None:
    with pytest.raises(UnreachableError, match="not an API server"):
        parse_head(head)


def test_a_head_in_other_letters_is_read() -> None:
    found = parse_head("HTTP/1.1 200 OK\r\nX-\u00e9: x\r\ncontent-LENGTH: 3".replace("\u00e9", "E"))
    assert found == Head(200, {"x-e": "x", "content-length": "3"}, 3)


def test_spaces_in_a_header_cost_little() -> None:
    """A pattern that tries each of them as the end of the value would need half a minute."""
    value = "x" + " " * 65000 + "y"
    assert parse_head(f"HTTP/1.1 200 OK\r\nX:\t{value} \t").headers == {"x": value}


@pytest.mark.parametrize(
    "body",
    [
        b"\r\n",
        b"0x3\r\nabc\r\n0\r\n\r\n",
        b"+3\r\nabc\r\n0\r\n\r\n",
        b"-3\r\nabc\r\n0\r\n\r\n",
        b"1_0\r\nabc\r\n0\r\n\r\n",
        b" 3\r\nabc\r\n0\r\n\r\n",
        b"\xb2\r\nab\r\n0\r\n\r\n",
        b"fffffffff\r\n",
        b"ffffffff\r\n",
        b"9" * 5000 + b"\r\n",
        b"3\r\nabcd\r\n0\r\n\r\n",  # longer than its size
        b"3\r\nab\r\n\r\n0\r\n\r\n",  # shorter
        b"3\r\nab",  # the end of the connection
        b"3\r\nabc\r\n",
        b"3\r\nabc\r\n0\r\n",
        b"x" * 100_000,
        b"0\r\n" + b"x" * 100_000,
    ],
)
def test_chunks_that_are_not_clear_are_refused(body: bytes) -> None:
    with pytest.raises(UnreachableError):
        respond(CHUNKED + body)


def test_chunks_together_have_a_limit() -> None:
    """One chunk is sent for ever: it costs the limit and no more."""
    chunk = b"100000\r\n" + bytes(1 << 20) + b"\r\n"
    with pytest.raises(UnreachableError, match="more than"):
        respond(CHUNKED, *[chunk] * 66)


def test_a_body_until_the_end_of_the_connection_has_a_limit() -> None:
    with pytest.raises(UnreachableError, match="more than"):
        respond(OK + b"\r\n", *[bytes(1 << 20)] * 66)


def test_a_body_that_is_too_long_is_refused_before_it_is_read() -> None:
    with pytest.raises(UnreachableError, match="more than"):
        respond(OK + b"Content-Length: 9007199254740992\r\n\r\n")


@pytest.mark.parametrize(
    ("text", "wait_s"),
    [(b"7", 7.0), (b"0", 0.0), (b"100000000", 60.0), (b"9" * 400, None), (b"\xb2", None)],
)
def test_a_server_cannot_ask_for_a_wait_of_years(text: bytes, wait_s: float | None) -> None:
    raw = b"HTTP/1.1 429 Busy\r\nContent-Length: 0\r\nRetry-After: " + text + b"\r\n\r\n"
    assert respond(raw)[0].retry_after_s == wait_s


def test_bytes_before_a_request_are_not_its_response() -> None:
    opened = connection(OK + b"Content-Length: 0\r\n\r\n", early=OK)
    with pytest.raises(UnreachableError, match="bytes before a request"):
        opened.send(b"GET / HTTP/1.1\r\n\r\n", far_at())


def test_an_event_without_an_end_has_a_limit() -> None:
    chunk = b"100000\r\n" + b"x" * (1 << 20) + b"\r\n"
    opened = connection(CHUNKED + b"3\r\na\nb\r\n", *[chunk] * 20)
    lines = Stream(opened, opened.head(far_at()), SystemClock(), LIMITS).lines()
    assert next(lines) == b"a"
    with pytest.raises(UnreachableError, match="an event has more than"):
        next(lines)


@pytest.mark.parametrize("piece", [b"1\r\n\n\r\n", b"1\r\nx\r\n"])
def test_bytes_that_are_no_event_do_not_keep_a_watch_open(piece: bytes) -> None:
    """A proxy that has lost its server may send empty lines for ever."""
    clock = VirtualClock()
    slow = cast(Any, SlowSocket(clock, [CHUNKED, b"2\r\na\n\r\n", *[piece] * 100]))
    opened = Connection(slow, clock)
    lines = Stream(opened, opened.head(clock.now() + 1), clock, LIMITS).lines()
    assert next(lines) == b"a"
    began_at = clock.now()
    with pytest.raises(UnreachableError, match="timed out"):
        next(lines)
    assert clock.now() - began_at <= LIMITS.idle_s + SlowSocket.EACH_S


class SlowSocket(ScriptedSocket):
    """Waits before each piece."""

    EACH_S = 30.0

    def __init__(self, clock: VirtualClock, pieces: Iterable[bytes]) -> None:
        super().__init__(pieces)
        self._clock = clock

    def recv(self, size: int) -> bytes:
        self._clock.pause(self.EACH_S)
        return super().recv(size)
