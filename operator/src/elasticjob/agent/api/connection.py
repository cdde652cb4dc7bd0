"""One TLS connection and HTTP/1.1 over it: heads, lengths, chunks; every read has a deadline.

UnreachableError    no answer: refused, reset, timed out, bad certificate, no token, not HTTP
"""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Iterator
from typing import Any, Callable

from elasticjob.agent.clock import Clock
from elasticjob.wire.dataclasses import dataclass

_LONGEST_HEAD = 65536
_LONGEST_BODY = 64 << 20
_PIECE = 65536


class UnreachableError(Exception):
    """The API server gave no answer; the text says why."""


@dataclass(frozen=True)
class Response:
    """A whole answer. retry_after_s: what the server asks for when it is busy."""

    status: int
    body: bytes = b""
    retry_after_s: float | None = None

    def json(self) -> dict[str, Any]:
        """The body, if it is an object; else an empty one."""
        try:
            found = json.loads(self.body)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}


@dataclass(frozen=True)
class Head:
    """Status and headers, their names in lower case."""

    status: int
    headers: dict[str, str]

    @property
    def length(self) -> int | None:
        """Bytes of the body, if it is said; None: chunked, or until the connection ends."""
        if self.status in (204, 304):
            return 0
        text = self.headers.get("content-length", "")
        return int(text) if text.isdigit() and not self.is_chunked else None

    @property
    def is_chunked(self) -> bool:
        """Whether the body comes in chunks."""
        return self.headers.get("transfer-encoding", "").lower() == "chunked"

    @property
    def keeps_alive(self) -> bool:
        """Whether the connection can be used again after this answer."""
        ends = self.headers.get("connection", "").lower() == "close"
        return not ends and (self.is_chunked or self.length is not None)


class Connection:
    """One connection. Every method raises UnreachableError, and then it is of no more use."""

    def __init__(self, wrapped: ssl.SSLSocket, clock: Clock) -> None:
        self.reusable = False
        self._socket = wrapped
        self._clock = clock
        self._buffer = bytearray()

    def send(self, message: bytes, deadline: float) -> None:
        """The whole message."""
        self.reusable = False
        try:
            self._socket.settimeout(self._left(deadline))
            self._socket.sendall(message)
        except OSError as error:
            raise UnreachableError(error_text(error)) from None

    def head(self, deadline: float) -> Head:
        """Status line and headers."""
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            if len(self._buffer) > _LONGEST_HEAD:
                raise UnreachableError("not an API server: its headers have no end")
            self._fill(deadline)
        text = bytes(self._buffer[:end]).decode("latin-1")
        del self._buffer[: end + 4]
        return parse_head(text)

    def response(self, head: Head, deadline: float) -> Response:
        """The whole body."""
        body = b"".join(self.pieces(head, lambda: deadline))
        self.reusable = head.keeps_alive
        wait = head.headers.get("retry-after", "")
        return Response(head.status, body, float(wait) if wait.isdigit() else None)

    def pieces(self, head: Head, deadline: Callable[[], float]) -> Iterator[bytes]:
        """The body in pieces as they come; deadline: of the next one."""
        if head.is_chunked:
            yield from self._chunks(deadline)
        elif head.length is not None:
            yield self._exactly(head.length, deadline())
        else:
            yield from self._until_end(deadline)

    def close(self) -> None:
        """Ends it without ceremony."""
        self._socket.close()

    def abort(self) -> None:
        """Ends it under a thread that may be reading: SSLSocket.shutdown would pull the TLS layer
        from under that thread's feet, so the plain one is used.
        """
        try:
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)
        except OSError:
            pass  # it has ended by itself

    def _chunks(self, deadline: Callable[[], float]) -> Iterator[bytes]:
        while True:
            size = _chunk_size(self._line(deadline()))
            if size == 0:
                while self._line(deadline()):
                    pass  # trailers
                return
            yield self._exactly(size, deadline())
            self._line(deadline())

    def _until_end(self, deadline: Callable[[], float]) -> Iterator[bytes]:
        while True:
            if self._buffer:
                piece = bytes(self._buffer)
                self._buffer.clear()
                yield piece
            if not self._fill(deadline(), may_end=True):
                return

    def _line(self, deadline: float) -> bytes:
        while (end := self._buffer.find(b"\r\n")) < 0:
            if len(self._buffer) > _LONGEST_HEAD:
                raise UnreachableError("not an API server: a chunk has no size")
            self._fill(deadline)
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 2]
        return line

    def _exactly(self, size: int, deadline: float) -> bytes:
        if size > _LONGEST_BODY:
            raise UnreachableError(f"the answer has {size} bytes, more than {_LONGEST_BODY}")
        while len(self._buffer) < size:
            self._fill(deadline)
        found = bytes(self._buffer[:size])
        del self._buffer[:size]
        return found

    def _fill(self, deadline: float, may_end: bool = False) -> bool:
        """More bytes into the buffer; False: the server has ended the connection."""
        try:
            self._socket.settimeout(self._left(deadline))
            piece = self._socket.recv(_PIECE)
        except (OSError, ValueError) as error:
            raise UnreachableError(error_text(error)) from None
        if not piece and not may_end:
            raise UnreachableError("the connection was closed")
        self._buffer += piece
        return bool(piece)

    def _left(self, deadline: float) -> float:
        left_s = deadline - self._clock.now()
        if left_s <= 0:
            raise UnreachableError("timed out")
        return left_s


def parse_head(text: str) -> Head:
    """Raises UnreachableError for what is not HTTP."""
    first, *lines = text.split("\r\n")
    protocol, _, rest = first.partition(" ")
    status = rest[:3]
    if not protocol.startswith("HTTP/1.") or not status.isdigit():
        raise UnreachableError(f"not an API server: it sent {first[:40]!r}")
    pairs = (line.partition(":") for line in lines)
    return Head(int(status), {name.strip().lower(): value.strip() for name, _, value in pairs})


def _chunk_size(line: bytes) -> int:
    try:
        return int(line.split(b";")[0], 16)
    except ValueError:
        raise UnreachableError("not an API server: a chunk has no size") from None


def error_text(error: Exception) -> str:
    """The reason in words, without what only a programmer needs."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    if isinstance(error, (socket.timeout, TimeoutError)):
        return "timed out"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
