"""Clients without a valid token hold few connections for a short time; others have no limit."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from dev.kube_client import Client
from tests.support.local_server import LocalServer, local_server

from elasticjob.local.api.connections import Limits

CONFIGMAPS = "/api/v1/namespaces/default/configmaps"
DEADLINE_S = 10.0  # a test fails then
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


def connect(server: LocalServer) -> ssl.SSLSocket:
    """A connection after its handshake, without a request."""
    context = ssl.create_default_context(cafile=server.running.ca_file)
    port = urlsplit(server.running.url).port or 0
    plain = socket.create_connection(("127.0.0.1", port), DEADLINE_S)
    return context.wrap_socket(plain, server_hostname="127.0.0.1")


def is_closed(connection: socket.socket) -> bool:
    """Wait until the server closes the connection. Raises TimeoutError if it does not."""
    try:
        return connection.recv(1) == b""
    except (ConnectionError, ssl.SSLError):
        return True


@contextmanager
def limited(root: Path, **limits: Any) -> Iterator[LocalServer]:
    options: dict[str, Any] = {"definitions": [], "admission": [], "limits": Limits(**limits)}
    with local_server(root, **options) as found:
        yield found


@pytest.mark.parametrize("sent", [b"", b"GET /api HTTP/1.1\r\n", HEALTH])
def test_an_anonymous_connection_is_closed_in_time(tmp_path: Path, sent: bytes) -> None:
    with limited(tmp_path, time_s=0.1) as server:
        try:
            with connect(server) as connection:
                connection.sendall(sent)
                while not is_closed(connection):
                    pass  # a byte of the response
        except (ConnectionError, ssl.SSLError):
            pass  # closed already during the handshake: this machine is slow


def test_a_connection_without_a_handshake_is_closed_in_time(tmp_path: Path) -> None:
    with limited(tmp_path, time_s=0.1) as server:
        port = urlsplit(server.running.url).port or 0
        with socket.create_connection(("127.0.0.1", port), DEADLINE_S) as connection:
            assert is_closed(connection)


def test_the_oldest_of_too_many_anonymous_connections_is_closed(tmp_path: Path) -> None:
    with limited(tmp_path, anonymous=3) as server, ExitStack() as stack:
        first, *others = [stack.enter_context(connect(server)) for _ in range(4)]
        assert is_closed(first)
        for connection in others:
            connection.sendall(HEALTH)
            assert connection.recv(15) == b"HTTP/1.1 200 OK"


@pytest.mark.slow
def test_a_watch_with_a_valid_token_has_no_limit(tmp_path: Path) -> None:
    with (
        limited(tmp_path, anonymous=1, time_s=2.0) as server,
        closing(Client.from_kubeconfig(server.running.kubeconfig)) as api,
        api.watch(CONFIGMAPS, resourceVersion=api.get(CONFIGMAPS).version) as watch,
    ):
        with connect(server) as later:  # closed after the watch would be
            assert is_closed(later)
        api.post(CONFIGMAPS, {"metadata": {"name": "c"}})
        assert next(iter(watch)).object["metadata"]["name"] == "c"


@pytest.mark.slow
def test_a_body_that_does_not_arrive_is_refused(tmp_path: Path) -> None:
    with limited(tmp_path, time_s=2.0) as server, connect(server) as connection:
        head = f"POST {CONFIGMAPS} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 10\r\n"
        connection.sendall(f"{head}Authorization: Bearer {server.running.token}\r\n\r\n".encode())
        assert connection.recv(12) == b"HTTP/1.1 408"
