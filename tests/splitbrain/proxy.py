"""A proxy in front of API servers that injects faults into the requests of agents.

It ends TLS with a certificate of a separate CA, so that it can read and answer requests.
"""

from __future__ import annotations

import itertools
import select
import socket
import ssl
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from socketserver import BaseRequestHandler, ThreadingTCPServer
from threading import Event, Lock

import trustme
from tests.splitbrain import messages
from tests.splitbrain.faults import Fate, Fault, Mood
from tests.splitbrain.messages import EndedError, Reader
from tests.support.serving import serving

HALF_OPEN_S = 120.0  # the agent gives up earlier
CONNECT_S = 5.0
Moods = Callable[[int], Mood]
END_OF_EVENT = b"\n\r\n"


@dataclass(frozen=True)
class Upstream:
    """An API server."""

    host: str
    port: int
    ca: bytes

    def connect(self) -> ssl.SSLSocket:
        """Open a connection. Raises OSError."""
        context = ssl.create_default_context(cadata=self.ca.decode())
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        raw = socket.create_connection((self.host, self.port), CONNECT_S)
        raw.settimeout(None)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return context.wrap_socket(raw, server_hostname=self.host)


class FaultyProxy(ThreadingTCPServer):
    """Relays requests, with the faults of each connection's mood until it is calm.

    moods: returns the mood of a connection by its number. The first API server is up to date; the
    second one, if there is one, may lag.
    """

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, moods: Moods, *upstreams: Upstream) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        authority = trustme.CA()
        self.ca = authority.cert_pem.bytes()
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(self.context)
        self.port = int(self.server_address[1])
        self.calm = Event()
        self.counts: Counter[str] = Counter()
        self._lock = Lock()
        self._moods = moods
        self._numbers = itertools.count()
        self._upstreams = upstreams

    def next_mood(self) -> Mood:
        """The mood of the next connection."""
        with self._lock:
            return self._moods(next(self._numbers))

    def upstream(self, mood: Mood) -> Upstream:
        """The API server of a connection."""
        return self._upstreams[-1 if mood.lags and not self.calm.is_set() else 0]

    def count(self, kind: Fault | Fate) -> None:
        """Count a fault for the summary."""
        if kind not in (Fault.NONE, Fate.NONE):
            with self._lock:
                self.counts[kind.value] += 1

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore what ends a connection: both ends may close it at any time."""


class _Connection(BaseRequestHandler):
    """One connection of an agent, and one to an API server for it."""

    server: FaultyProxy
    request: socket.socket

    def handle(self) -> None:
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.mood = self.server.next_mood()
        with suppress(OSError, EndedError):
            agent = self.server.context.wrap_socket(self.request, server_side=True)
            with agent, self.server.upstream(self.mood).connect() as api:
                self._serve(agent, api)

    def _serve(self, agent: ssl.SSLSocket, api: ssl.SSLSocket) -> None:
        requests, responses = Reader(agent), Reader(api)
        while True:
            head = requests.head()
            data = head.raw + requests.body(head.length or 0)
            fault = Fault.NONE if self.server.calm.is_set() else self.mood.fault(head.method)
            self.server.count(fault)
            if answer := self._answer_instead(fault):
                agent.sendall(answer)
                continue
            if fault is Fault.CUT_BEFORE:
                return
            if fault is Fault.HALF_OPEN:
                return _hold_open(agent)
            if fault is Fault.DELAY:
                time.sleep(self.mood.delay_s())
            api.sendall(data)
            if head.is_watch:
                return self._watch(agent, api, responses)
            answer = responses.message()
            if fault is Fault.CUT_AFTER:
                return
            if fault is Fault.HALF_OPEN_AFTER:
                return _hold_open(agent)
            if fault is Fault.ERROR_AFTER:
                answer = messages.response(messages.status(504))
            agent.sendall(answer)

    def _answer_instead(self, fault: Fault) -> bytes:
        """What the proxy answers without an API server; empty: nothing."""
        if fault is Fault.CONFLICT:
            return messages.response(messages.status(409))
        if fault is Fault.EXPIRED:
            return messages.response(messages.status(410))
        if fault is Fault.THROTTLED:
            return messages.response(messages.status(429), Retry_After="1")
        if fault is Fault.SERVER_ERROR:
            return messages.response(messages.status(self.mood.error()))
        if fault is Fault.TOO_LARGE:
            return messages.response(messages.too_large(), Retry_After="1")
        return b""

    def _watch(self, agent: ssl.SSLSocket, api: ssl.SSLSocket, responses: Reader) -> None:
        """Relay a response without an end, until its fate."""
        head = responses.head()
        agent.sendall(head.raw + responses.take())
        fate, left = self.mood.fate() if head.is_ok else (Fate.NONE, 0)
        while _arrives(api, unless=agent) and (piece := api.recv(65536)):
            if fate is Fate.SLOW:
                self.server.count(fate)
                time.sleep(self.mood.delay_s())
            agent.sendall(piece)
            left -= 1
            is_due = left < 0 and fate not in (Fate.NONE, Fate.SLOW)
            if is_due and piece.endswith(END_OF_EVENT) and not self.server.calm.is_set():
                self.server.count(fate)
                return self._end_watch(agent, fate)

    def _end_watch(self, agent: ssl.SSLSocket, fate: Fate) -> None:
        """End a watch between two events."""
        if fate is Fate.HALF_OPEN:
            _hold_open(agent)
        elif fate is Fate.CUT:
            part = messages.chunk(messages.error_event(messages.too_large()))
            agent.sendall(part[: self.mood.rng.randrange(len(part))])
        else:
            expired = messages.status(410, "too old resource version: 1 (7)")
            body = expired if fate is Fate.EXPIRED else messages.too_large()
            agent.sendall(messages.chunk(messages.error_event(body)) + messages.LAST_CHUNK)


def _arrives(source: ssl.SSLSocket, unless: ssl.SSLSocket) -> bool:
    """Wait for bytes from a socket. False: the other one has something first, which is its end."""
    if source.pending():
        return True
    poll = select.poll()
    for each in (source, unless):
        poll.register(each, select.POLLIN)
    return all(fd != unless.fileno() for fd, _ in poll.poll())


def _hold_open(agent: ssl.SSLSocket) -> None:
    """Send nothing until the agent closes the connection."""
    poll = select.poll()
    poll.register(agent, select.POLLIN)
    poll.poll(HALF_OPEN_S * 1000)


@contextmanager
def faulty_proxy(moods: Moods, *upstreams: Upstream) -> Iterator[FaultyProxy]:
    """Run the proxy while the context lasts."""
    with serving(FaultyProxy(moods, *upstreams)) as found:
        yield found
