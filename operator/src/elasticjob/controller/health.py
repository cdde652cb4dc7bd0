"""/livez, /readyz and /metrics, for the kubelet and Prometheus.

Liveness fails if a restart helps: the queue is stuck or watches deliver nothing. Readiness fails
until everything that existed at the start has been listed, and while jobs wait for long.

Every pod of the cluster may connect, so a connection has one short request, little time, and gives
its place to a newer one: else a client that sends nothing would keep the kubelet out.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus

from elasticjob.controller.report import metrics
from elasticjob.controller.report.metrics import Metrics

REQUEST_S = 5.0  # for a whole request and its answer
LONGEST_REQUEST = 8192  # bytes
MOST_CONNECTIONS = 64
METRICS_EVERY_S = 1.0  # more frequent requests get the same text again

Check = Callable[[], str]  # the problem in one line; empty if all is well
Checks = Mapping[str, Check]
Answer = Callable[[], tuple[int, str, bytes]]  # status, content type, body
_TEXT = "text/plain; charset=utf-8"


@asynccontextmanager
async def serve(
    host: str,
    port: int,
    live: Checks,
    ready: Checks,
    measured: Metrics,
    now: Callable[[], float] = time.monotonic,
    request_s: float = REQUEST_S,
) -> AsyncIterator[int]:
    """Serve while the block runs. Yields the port; 0 requests a free one."""
    answers: dict[str, Answer] = {
        "/livez": lambda: _report(live),
        "/readyz": lambda: _report({**live, **ready}),
        "/metrics": _Metrics(measured, now).answer,
    }
    server = _Server(answers, request_s)
    listening = await asyncio.start_server(server.handle, host or None, port, limit=LONGEST_REQUEST)
    try:
        yield int(listening.sockets[0].getsockname()[1])
    finally:
        listening.close()
        await server.end()


def report(checks: Checks) -> tuple[bool, str]:
    """Whether all is well, and a line for each check."""
    problems = {name: check() for name, check in checks.items()}
    lines = [f"{'-' if found else '+'} {name}: {found or 'ok'}" for name, found in problems.items()]
    return not any(problems.values()), "\n".join(lines) + "\n"


def _report(checks: Checks) -> tuple[int, str, bytes]:
    well, text = report(checks)
    return (200 if well else 503), _TEXT, text.encode()


@dataclass
class _Metrics:
    """The series as text."""

    measured: Metrics
    now: Callable[[], float]
    text: bytes = b""
    at: float = float("-inf")

    def answer(self) -> tuple[int, str, bytes]:
        """Make the text, at most once in METRICS_EVERY_S."""
        if self.now() - self.at >= METRICS_EVERY_S:
            self.text, self.at = self.measured.text(), self.now()
        return 200, metrics.CONTENT_TYPE, self.text


@dataclass
class _Server:
    """Answers one request of each connection, and closes it."""

    answers: Mapping[str, Answer]
    request_s: float
    tasks: dict[asyncio.Task[None], None] = field(default_factory=dict)  # oldest first

    def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Begin a connection, and end the oldest one of too many."""
        task = asyncio.create_task(self._handle(reader, writer))
        self.tasks[task] = None
        task.add_done_callback(lambda done: self._ended(done, writer))
        if len(self.tasks) > MOST_CONNECTIONS:
            oldest = next(iter(self.tasks))
            del self.tasks[oldest]  # it ends later, and many may be accepted before
            oldest.cancel()

    def _ended(self, task: asyncio.Task[None], writer: asyncio.StreamWriter) -> None:
        self.tasks.pop(task, None)
        writer.close()  # here, as a task that is cancelled before it starts runs no `finally`

    async def end(self) -> None:
        """End all connections."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(self.request_s):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(self._answer(head))
                await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # the client is gone, slow, or sends too much

    def _answer(self, head: bytes) -> bytes:
        method, _, rest = head.partition(b" ")
        path = rest.partition(b" ")[0].partition(b"?")[0].decode("ascii", "replace")
        answer = self.answers.get(path)
        if method not in (b"GET", b"HEAD"):
            return _response(405, _TEXT, b"only GET is supported\n", True)
        status, kind, body = answer() if answer else (404, _TEXT, b"no such page\n")
        return _response(status, kind, body, method == b"GET")


def _response(status: int, kind: str, body: bytes, has_body: bool) -> bytes:
    head = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nContent-Type: {kind}\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + (body if has_body else b"")
