"""A second kube-apiserver on the same etcd, which receives from etcd with a delay.

A relay between the two delays everything that etcd sends: so the watch cache of this API server
lags behind, and its answers are late.
"""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from queue import SimpleQueue
from socketserver import BaseRequestHandler, ThreadingTCPServer
from threading import Thread

from dev import proc
from dev.cluster.bare import ADDRESS, WITH_US, free_ports
from dev.cluster.processes import Processes
from dev.kube_client import Client
from dev.wait import wait_until
from tests.support.serving import serving

FIRST, SECOND = "kube-apiserver", "kube-apiserver-2"
READY_S = 60.0
CHANGE_S = 3.0  # between two lags
LAGS_S = (0.0, 0.05, 0.3, 1.0, 2.5)


Arrived = SimpleQueue[tuple[float, bytes]]
"""Pieces with the time at which etcd sent them."""


class LaggingRelay(ThreadingTCPServer):
    """Relays connections to etcd, and delays what etcd sends by `lag_s`."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, etcd_port: int) -> None:
        super().__init__((ADDRESS, 0), _Connection)
        self.etcd = (ADDRESS, etcd_port)
        self.lag_s = 0.0

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore what ends a connection."""


class _Connection(BaseRequestHandler):
    server: LaggingRelay
    request: socket.socket

    def handle(self) -> None:
        with socket.create_connection(self.server.etcd) as etcd:
            arrived: Arrived = SimpleQueue()
            for target in (lambda: _copy(self.request, etcd), lambda: _collect(etcd, arrived)):
                Thread(target=target, daemon=True).start()
            self._send_late(arrived)

    def _send_late(self, arrived: Arrived) -> None:
        """Send each piece once it is as old as the lag, in order; an empty one is the end."""
        while True:
            at, data = arrived.get()
            if not data:
                return
            while (left_s := at + self.server.lag_s - time.monotonic()) > 0:
                time.sleep(left_s)
            self.request.sendall(data)


def _collect(source: socket.socket, arrived: Arrived) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            arrived.put((time.monotonic(), data))
    arrived.put((0.0, b""))


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)


class LaggingServer:
    """The second API server and its relay."""

    def __init__(self, port: int, relay: LaggingRelay, rng: random.Random) -> None:
        self.port = port
        self._relay = relay
        self._rng = rng
        self._change_at = 0.0

    def change_lag(self) -> float | None:
        """Choose another lag, if it is time to. Returns it."""
        now = time.monotonic()
        if now < self._change_at:
            return None
        self._change_at = now + self._rng.expovariate(1 / CHANGE_S)
        self._relay.lag_s = self._rng.choice(LAGS_S)
        return self._relay.lag_s

    def catch_up(self) -> None:
        """End the lag for good."""
        self._change_at, self._relay.lag_s = float("inf"), 0.0


@contextmanager
def lagging_server(processes: Processes, admin: Client, seed: int) -> Iterator[LaggingServer]:
    """Start it with the flags of the first one, but for its port and etcd."""
    first = processes.find(FIRST)
    assert first is not None, f"{FIRST} does not run"
    flags = dict(word.split("=", 1) for word in proc.command_line(first.pid) if "=" in word)
    port = free_ports()[0]
    with serving(LaggingRelay(int(flags["--etcd-servers"].rpartition(":")[2]))) as relay:
        flags["--etcd-servers"] = f"http://{ADDRESS}:{relay.server_address[1]}"
        flags["--secure-port"] = str(port)
        words = [word for word in proc.command_line(first.pid) if "=" not in word]
        words += [f"{name}={value}" for name, value in flags.items()]
        processes.start(SECOND, [*WITH_US, *words])
        client = Client(f"https://{ADDRESS}:{port}", admin.ca, admin.token)
        try:
            wait_until(
                lambda: client.get("/readyz").code == 200,
                what=SECOND, within_s=READY_S, every_s=0.1, not_yet=(OSError,),
            )  # fmt: skip
            yield LaggingServer(port, relay, random.Random(f"{seed}/lag"))
        finally:
            client.close()
            processes.stop(SECOND)
