"""An HTTP or HTTPS server that answers each request with the next reply that a test has queued.

It knows nothing of Kubernetes and records every request. Standard library only, Python 3.9.
"""

from __future__ import annotations

import json
import queue
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Union

TLS = Path(__file__).parent / "tls"
PATIENCE_S = 10.0
STREAM_S = 60.0  # for the next piece of an open watch


@dataclass(frozen=True)
class ReceivedRequest:
    """One request, and the number of the connection that it came on."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    connection: int

    @property
    def json(self) -> Any:
        """The parsed body; None if there is none."""
        return json.loads(self.body) if self.body else None


@dataclass(frozen=True)
class Reply:
    """A whole response."""

    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    close: bool = False  # the server closes the connection after it
    length: bool = True  # False: without Content-Length; the end of the connection ends it


@dataclass(frozen=True)
class Cut:
    """The server closes the connection without a response."""


@dataclass(frozen=True)
class Silence:
    """The server waits for an event, then closes the connection without a response."""

    until: threading.Event


class Stream:
    """A chunked response that the test writes."""

    def __init__(self) -> None:
        self.pieces: queue.Queue[bytes | None] = queue.Queue()

    def send(self, *objects: Any) -> None:
        """Send one line for each object."""
        for found in objects:
            self.pieces.put(json.dumps(found).encode() + b"\n")

    def raw(self, piece: bytes) -> None:
        self.pieces.put(piece)

    def end(self) -> None:
        self.pieces.put(None)


Answer = Union[Reply, Cut, Silence, Stream]


def reply(status: int, found: Any = None, **headers: str) -> Reply:
    """Return a JSON response."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, json.dumps(found if found is not None else {}).encode(), named)


class ScriptedApi:
    """Answers requests with queued replies, in order.

    While none is queued, `otherwise` answers if it is set; if not, the request waits for a reply.
    """

    def __init__(self, server: _Server) -> None:
        self.requests: list[ReceivedRequest] = []
        self.otherwise: Callable[[ReceivedRequest], Answer] | None = None
        self.host, self.port = server.server_address[:2]
        self.url = f"{server.scheme}://{self.host}:{self.port}"
        self._replies: queue.Queue[Answer] = queue.Queue()
        self._arrived = threading.Condition()

    def answer(self, *replies: Answer) -> None:
        for each in replies:
            self._replies.put(each)

    def wait_for(self, count: int) -> list[ReceivedRequest]:
        """Wait for this number of requests, and return them."""
        with self._arrived:
            arrived = self._arrived.wait_for(lambda: len(self.requests) >= count, PATIENCE_S)
        assert arrived, self.requests
        return self.requests

    def take(self, request: ReceivedRequest) -> Answer:
        with self._arrived:
            self.requests.append(request)
            self._arrived.notify_all()
        if self.otherwise is not None and self._replies.empty():
            return self.otherwise(request)
        return self._replies.get(timeout=PATIENCE_S)


@contextmanager
def scripted_api(host: str = "127.0.0.1", scheme: str = "https") -> Iterator[ScriptedApi]:
    """Serve on loopback until the context ends. scheme: `https`, or `http` without TLS."""
    server = _Server((host, 0), _Handler)
    server.scheme = scheme
    server.context.load_cert_chain(TLS / "server.crt", TLS / "server.key")
    server.api = api = ScriptedApi(server)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield api
    finally:
        server.shutdown()
        server.server_close()
        thread.join(PATIENCE_S)


def token_directory(root: Path, token: str = "a-token") -> Path:
    """Write the files of a pod's projected volume."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "token").write_text(token)
    (root / "ca.crt").write_bytes((TLS / "ca.crt").read_bytes())
    return root


def kubeconfig(directory: Path, url: str) -> Path:
    """Write a kubeconfig for the server at this address, with the token `secret`."""
    path = directory / "kubeconfig"
    found = {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
        "clusters": [{"name": "k", "cluster": {"server": url}}],
        "users": [{"name": "u", "user": {"token": "secret"}}],
    }
    path.write_text(json.dumps(found))
    return path


class _Server(ThreadingHTTPServer):
    api: ScriptedApi
    scheme: str
    daemon_threads = True
    block_on_close = False

    @property
    def address_family(self) -> int:  # type: ignore[override]
        return socket.AF_INET6 if ":" in self._host else socket.AF_INET

    def __init__(self, address: tuple[str, int], handler: Callable[..., Any]) -> None:
        self._host = address[0]
        self._connections = 0
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        super().__init__(address, handler)

    def next_connection(self) -> int:
        self._connections += 1
        return self._connections

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore errors: many tests end a connection early."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def setup(self) -> None:
        if self.server.scheme == "https":
            self.request = self.server.context.wrap_socket(self.request, server_side=True)
        self.number = self.server.next_connection()
        super().setup()

    def finish(self) -> None:
        try:
            super().finish()
        finally:
            self.request.close()

    def handle_one_request(self) -> None:
        self.raw_requestline = self.rfile.readline(65537)
        if not self.raw_requestline or not self.parse_request():
            self.close_connection = True
            return
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = ReceivedRequest(self.command, self.path, headers, body, self.number)
        self._respond(self.server.api.take(request))
        self.wfile.flush()

    def _respond(self, answer: Answer) -> None:
        if isinstance(answer, Reply):
            self._whole(answer)
        elif isinstance(answer, Stream):
            self._stream(answer)
        else:
            if isinstance(answer, Silence):
                answer.until.wait(PATIENCE_S)
            self.close_connection = True

    def _whole(self, answer: Reply) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.length:
            self.send_header("Content-Length", str(len(answer.body)))
        if answer.close or not answer.length:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(answer.body)
        self.close_connection = answer.close or not answer.length

    def _stream(self, answer: Stream) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        while (piece := answer.pieces.get(timeout=STREAM_S)) is not None:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""
