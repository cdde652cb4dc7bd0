"""A TCP relay in front of an API server that can drop its connections silently, as a NAT does."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from socketserver import BaseRequestHandler, ThreadingTCPServer
from threading import Event, Thread
from urllib.parse import urlsplit

import yaml
from tests.support.serving import serving


class Relay(ThreadingTCPServer):
    """Each connection is relayed to the server of a kubeconfig until it is forgotten."""

    daemon_threads = True

    def __init__(self, kubeconfig: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self._config = yaml.safe_load(kubeconfig.read_text())
        cluster = self._config["clusters"][0]["cluster"]
        self.server = urlsplit(cluster["server"])
        cluster["server"] = f"{self.server.scheme}://127.0.0.1:{self.server_address[1]}"
        self.forgotten = Event()

    def kubeconfig(self, root: Path) -> Path:
        """How to reach the server through it."""
        path = root / "relayed"
        path.write_text(yaml.safe_dump(self._config))
        return path

    def forget(self) -> None:
        """The connections that exist stay open at both ends, and carry nothing any more."""
        self.forgotten.set()
        self.forgotten = Event()


class _Connection(BaseRequestHandler):
    server: Relay
    request: socket.socket

    def handle(self) -> None:
        forgotten, to = self.server.forgotten, self.server.server
        with socket.create_connection((str(to.hostname), int(to.port or 443))) as upstream:
            back = Thread(target=_copy, args=(upstream, self.request, forgotten))
            back.start()
            _copy(self.request, upstream, forgotten)
            back.join()


def _copy(source: socket.socket, target: socket.socket, forgotten: Event) -> None:
    with suppress(OSError):  # the other end is gone
        while data := source.recv(65536):
            if not forgotten.is_set():
                target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)


@contextmanager
def relay(kubeconfig: Path) -> Iterator[Relay]:
    """The relay while the context lasts."""
    with serving(Relay(kubeconfig)) as found:
        yield found
