"""The operator's clients and the proxy of the environment: all go through it, or none."""

from __future__ import annotations

import asyncio
import base64
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import pytest
from tests.support.following import DEADLINE_S, following
from tests.support.local_server import LocalServer, local_server
from tests.support.serving import serving

from elasticjob.controller.kube import PODS, Kube, RefusedError

pytestmark = pytest.mark.process

LOGIN = "Basic " + base64.b64encode(b"me:it's").decode()
VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


class Proxy(ThreadingHTTPServer):
    """Tunnels, and who asked for them."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Tunnel)
        self.asked: list[str | None] = []


class _Tunnel(BaseHTTPRequestHandler):
    server: Proxy

    def do_CONNECT(self) -> None:
        self.server.asked.append(self.headers.get("Proxy-Authorization"))
        host, _, port = self.path.rpartition(":")
        with socket.create_connection((host, int(port))) as upstream:
            self.send_response(200)
            self.end_headers()
            back = Thread(target=_copy, args=(upstream, self.connection))
            back.start()
            _copy(self.connection, upstream)
            back.join()

    def log_message(self, *args: Any) -> None:
        """Not to stderr."""


def _copy(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # the other end is gone


@contextmanager
def proxied(environment: pytest.MonkeyPatch, login: str = "", **variables: str) -> Iterator[Proxy]:
    """An environment with a proxy for everything, and these variables."""
    for name in VARIABLES:
        environment.delenv(name, raising=False)
        environment.delenv(name.upper(), raising=False)
    with serving(Proxy()) as proxy:
        environment.setenv("HTTPS_PROXY", f"http://{login}127.0.0.1:{proxy.server_port}")
        for name, value in variables.items():
            environment.setenv(name, value)
        yield proxy


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    with local_server(tmp_path_factory.mktemp("server")) as found:
        yield found


def tunnels(proxy: Proxy, server: LocalServer) -> tuple[int, int]:
    """How many were asked for by the client of the requests, and by that of the watches."""
    client = Kube(server.running.kubeconfig, threads=1)

    async def ask() -> None:
        await anext(client.list(PODS, "default", ""))

    asyncio.run(ask())
    client.close()
    by_requests = len(proxy.asked)
    with following(server.running.operator_kubeconfig) as found:
        assert found.ready.wait(DEADLINE_S)
    return by_requests, len(proxy.asked) - by_requests


@pytest.mark.parametrize(
    ("no_proxy", "is_used"),
    [
        ("", True),
        (".svc,.cluster.local,10.96.0.0/12,localhost", True),
        ("10.0.0.0/8, 127.0.0.0/8", False),
        ("127.0.0.1", False),
        ("127.0.0.1:PORT", False),
        ("127.0.0.1:1", True),
        ("*", False),
    ],
)
def test_each_client_goes_through_the_proxy_or_none(
    server: LocalServer, monkeypatch: pytest.MonkeyPatch, no_proxy: str, is_used: bool
) -> None:
    port = urlsplit(server.running.url).port
    with proxied(monkeypatch, NO_PROXY=no_proxy.replace("PORT", str(port))) as proxy:
        by_requests, by_watches = tunnels(proxy, server)
    assert (by_requests > 0, by_watches > 0) == (is_used, is_used)


def test_each_client_logs_in_to_the_proxy(
    server: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with proxied(monkeypatch, login="me:it%27s@") as proxy:
        assert min(tunnels(proxy, server)) > 0
    assert set(proxy.asked) == {LOGIN}


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:1080", "127.0.0.1:3128"])
def test_a_proxy_that_cannot_be_used_is_refused_with_the_cure(
    server: LocalServer, monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    with proxied(monkeypatch, HTTPS_PROXY=proxy), pytest.raises(RefusedError) as caught:
        Kube(server.running.kubeconfig, threads=1)
    assert "give HTTPS_PROXY, or proxy-url in the kubeconfig, as http://HOST:PORT" in str(caught)
