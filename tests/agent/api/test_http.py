from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.scripted_api import (
    TLS,
    Cut,
    Reply,
    ScriptedApi,
    Silence,
    Stream,
    reply,
    scripted_api,
    token_directory,
)

from elasticjob.agent.api.connection import UnreachableError
from elasticjob.agent.api.credentials import Credentials
from elasticjob.agent.api.http import LIMITS, Client, Limits, Session, render
from elasticjob.agent.api.messages import Address, Request
from elasticjob.agent.clock import SystemClock

GET = Request("GET", "/apis")
IMPATIENT = Limits(connect_s=1.0, request_s=0.2, idle_s=0.2)


@pytest.fixture
def api() -> Iterator[ScriptedApi]:
    with scripted_api() as running:
        yield running


@pytest.fixture
def client(api: ScriptedApi, tmp_path: Path) -> Client:
    return client_of(api, token_directory(tmp_path))


@pytest.fixture
def session(client: Client) -> Iterator[Session]:
    with closing(client.session()) as opened:
        yield opened


def client_of(api: ScriptedApi, directory: Path, limits: Limits = LIMITS) -> Client:
    return Client(Address(api.host, api.port), Credentials(str(directory)), SystemClock(), limits)


# ---- requests ------------------------------------------------------------------------------------


def test_a_request_carries_the_token_and_its_body_in_one_piece() -> None:
    request = Request("PATCH", "/a?b=c", b"{}", "application/merge-patch+json")
    head, _, body = render(request, Address("10.0.0.1", 443), "secret").partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == "PATCH /a?b=c HTTP/1.1"
    assert "Host: 10.0.0.1:443" in lines
    assert "Authorization: Bearer secret" in lines
    assert "Content-Type: application/merge-patch+json" in lines
    assert "Content-Length: 2" in lines
    assert body == b"{}"


@pytest.mark.parametrize(
    ("host", "bare", "text"),
    [
        ("10.96.0.1", "10.96.0.1", "10.96.0.1:443"),
        ("fd00::1", "fd00::1", "[fd00::1]:443"),
        ("[fd00::1]", "fd00::1", "[fd00::1]:443"),
        ("kubernetes.default", "kubernetes.default", "kubernetes.default:443"),
    ],
)
def test_ipv6_has_brackets_in_names_and_none_in_sockets(host: str, bare: str, text: str) -> None:
    address = Address(host, 443)
    assert (address.bare, str(address)) == (bare, text)


def test_a_response_has_status_body_and_retry_after(api: ScriptedApi, session: Session) -> None:
    api.answer(reply(429, {"message": "busy"}, Retry_After="7"))
    response = session.send(GET)
    assert (response.status, response.retry_after_s) == (429, 7.0)
    assert response.json() == {"message": "busy"}
    assert api.requests[0].headers["authorization"] == "Bearer a-token"


def test_a_body_without_an_object_counts_as_empty(api: ScriptedApi, session: Session) -> None:
    api.answer(Reply(200, b"<html>"), Reply(200, b"[1]"))
    assert session.send(GET).json() == {}
    assert session.send(GET).json() == {}


# ---- the connection ------------------------------------------------------------------------------


def test_one_connection_serves_many_requests(api: ScriptedApi, session: Session) -> None:
    api.answer(*[reply(200)] * 3)
    for _ in range(3):
        session.send(Request("POST", "/", b'{"a":1}'))
    assert {request.connection for request in api.requests} == {1}
    assert [request.json for request in api.requests] == [{"a": 1}] * 3


def test_bodies_by_length_chunks_and_end(api: ScriptedApi, session: Session) -> None:
    chunked = Stream()
    chunked.raw(b'{"a"')
    chunked.raw(b":1}")
    chunked.end()
    until_end = Reply(200, b'{"a":1}', length=False)
    api.answer(Reply(200, b'{"a":1}'), chunked, until_end)
    assert [session.send(GET).json() for _ in range(3)] == [{"a": 1}] * 3


@pytest.mark.parametrize("ending", [Reply(200, b"{}", close=True), Reply(200, b"{}", length=False)])
def test_a_connection_that_the_server_ends_is_not_used_again(
    api: ScriptedApi, session: Session, ending: Reply
) -> None:
    api.answer(ending, reply(200))
    session.send(GET)
    session.send(GET)
    assert [request.connection for request in api.requests] == [1, 2]


def test_a_connection_that_ended_while_idle_is_replaced(api: ScriptedApi, session: Session) -> None:
    api.answer(reply(200), Cut(), reply(200))
    assert session.send(GET).status == 200
    assert session.send(GET).status == 200
    assert [request.connection for request in api.requests] == [1, 1, 2]


def test_a_new_connection_that_ends_is_unreachable(api: ScriptedApi, session: Session) -> None:
    api.answer(Cut(), reply(200))
    with pytest.raises(UnreachableError, match="closed"):
        session.send(GET)
    assert session.send(GET).status == 200


def test_a_silent_server_costs_no_more_than_the_limit(api: ScriptedApi, tmp_path: Path) -> None:
    client = client_of(api, token_directory(tmp_path), IMPATIENT)
    over = threading.Event()
    api.answer(Silence(over))
    with pytest.raises(UnreachableError, match="timed out"):
        client.session().send(GET)
    over.set()


def test_a_request_may_have_a_shorter_timeout(api: ScriptedApi, session: Session) -> None:
    over = threading.Event()
    api.answer(Silence(over))
    with pytest.raises(UnreachableError, match="timed out"):
        session.send(replace(GET, timeout_s=0.2))
    over.set()


def test_a_closed_port_is_unreachable(tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    credentials = Credentials(str(token_directory(tmp_path)))
    client = Client(Address("127.0.0.1", port), credentials, SystemClock())
    with pytest.raises(UnreachableError, match="refused"):
        client.session().send(GET)


@pytest.mark.skipif(
    not os.path.exists("/proc/net/if_inet6"), reason="no IPv6: enable it in the kernel"
)
def test_ipv6(tmp_path: Path) -> None:
    with scripted_api("::1") as api:
        api.answer(reply(200))
        with closing(client_of(api, token_directory(tmp_path)).session()) as session:
            assert session.send(GET).status == 200
        assert api.requests[0].headers["host"] == f"[::1]:{api.port}"


# ---- trust ---------------------------------------------------------------------------------------


def test_a_certificate_of_another_ca_is_not_trusted(api: ScriptedApi, tmp_path: Path) -> None:
    directory = token_directory(tmp_path)
    (directory / "ca.crt").write_bytes((TLS / "stranger.crt").read_bytes())
    with pytest.raises(UnreachableError, match="certificate is not trusted"):
        client_of(api, directory).session().send(GET)


def test_without_a_token_the_server_is_unreachable(api: ScriptedApi, tmp_path: Path) -> None:
    directory = token_directory(tmp_path)
    (directory / "token").unlink()
    with pytest.raises(UnreachableError, match="cannot read the token"):
        client_of(api, directory).session().send(GET)


# ---- streams -------------------------------------------------------------------------------------


def test_a_stream_yields_lines_across_chunks(api: ScriptedApi, client: Client) -> None:
    stream = Stream()
    for piece in (b'{"a":', b'1}\n{"b":2}\n\n{"c"', b":3}\n"):
        stream.raw(piece)
    stream.end()
    api.answer(stream)
    opened = client.stream(GET)
    assert opened.status == 200
    assert list(opened.lines()) == [b'{"a":1}', b'{"b":2}', b'{"c":3}']
    opened.close()


def test_a_refused_stream_has_a_response(api: ScriptedApi, client: Client) -> None:
    api.answer(reply(403, {"message": "no"}))
    opened = client.stream(GET)
    assert opened.status == 403
    assert opened.response().json() == {"message": "no"}


def test_a_stream_can_be_closed_by_another_thread(api: ScriptedApi, client: Client) -> None:
    stream = Stream()
    stream.send({"a": 1})
    api.answer(stream)
    opened = client.stream(GET)
    seen: list[object] = []
    first = threading.Event()

    def read() -> None:
        try:
            for line in opened.lines():
                seen.append(line)
                first.set()
        except UnreachableError as error:
            seen.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    assert first.wait(5)
    opened.close()
    reader.join(5)
    assert not reader.is_alive()
    assert seen[0] == b'{"a": 1}'
    assert isinstance(seen[1], UnreachableError)
    stream.end()


def test_a_silent_stream_is_unreachable(api: ScriptedApi, tmp_path: Path) -> None:
    stream = Stream()
    api.answer(stream)
    opened = client_of(api, token_directory(tmp_path), IMPATIENT).stream(GET)
    with pytest.raises(UnreachableError, match="timed out"):
        list(opened.lines())
    opened.close()
    stream.end()
