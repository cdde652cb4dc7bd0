"""A TLS connection and HTTP/1.1 over it: heads, lengths and chunks; each read has a deadline.

UnreachableError    no response: refused, reset, timed out, bad certificate, no token, not HTTP
"""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterator
from typing import Callable

from elasticjob.agent.api.messages import LONGEST_WAIT_S, Response
from elasticjob.agent.clock import Clock
from elasticjob.wire.codec import whole_number
from elasticjob.wire.dataclasses import dataclass

_LONGEST_HEAD = 65536
_LONGEST_BODY = 64 << 20
_PIECE = 65536
_FRAMING = ("transfer-encoding", "content-length")
_STATUS_LINE = re.compile(r"HTTP/1\.[01] ([1-5][0-9]{2})(?: .*)?", re.ASCII | re.DOTALL)
_HEADER = re.compile(r"([!#-'*+.0-9A-Z^-z|~-]+):(.*)", re.DOTALL)
_CHUNK = re.compile(rb"([0-9a-fA-F]{1,8})[ \t]*(?:;.*)?", re.DOTALL)


class UnreachableError(Exception):
    """The API server sent no response; the text is the reason."""


@dataclass(frozen=True)
class Head:
    """The status and headers of a response."""

    status: int
    headers: dict[str, str]  # names in lower case
    length: int | None = None  # bytes of the body. None: it has chunks, or ends with the connection

    @property
    def is_chunked(self) -> bool:
        """Whether the body has chunks."""
        return self.length is None and "transfer-encoding" in self.headers

    @property
    def keeps_alive(self) -> bool:
        """Whether the connection can be used again after this response."""
        ends = self.headers.get("connection", "").lower() == "close"
        return not ends and (self.is_chunked or self.length is not None)


class Connection:
    """A connection. Each method raises UnreachableError, after which it cannot be used again."""

    def __init__(self, wrapped: ssl.SSLSocket, clock: Clock) -> None:
        self.reusable = False
        self._socket = wrapped
        self._clock = clock
        self._buffer = bytearray()

    def send(self, message: bytes, deadline: float) -> None:
        """Send a message, if the server has sent nothing since the last response."""
        self.reusable = False
        self._check_is_quiet()
        try:
            self._socket.settimeout(self._left(deadline))
            self._socket.sendall(message)
        except OSError as error:
            raise UnreachableError(error_text(error)) from None

    def head(self, deadline: float) -> Head:
        """Read the status line and headers of a response."""
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            if len(self._buffer) > _LONGEST_HEAD:
                raise UnreachableError("not an API server: its headers have no end")
            self._fill(deadline)
        text = bytes(self._buffer[:end]).decode("latin-1")
        del self._buffer[: end + 4]
        return parse_head(text)

    def response(self, head: Head, deadline: float) -> Response:
        """Read the body, and return the whole response."""
        body = bytearray()
        for piece in self.pieces(head, lambda: deadline):
            body += piece
            _check_size(len(body))
        self.reusable = head.keeps_alive and not self._buffer
        wait_s = whole_number(head.headers.get("retry-after", ""))
        retry_after_s = None if wait_s is None else float(min(wait_s, LONGEST_WAIT_S))
        return Response(head.status, bytes(body), retry_after_s)

    def pieces(self, head: Head, deadline: Callable[[], float]) -> Iterator[bytes]:
        """Yield the body in pieces as they come. deadline: returns that of the next piece."""
        if head.is_chunked:
            yield from self._chunks(deadline)
        elif head.length is not None:
            yield self._exactly(head.length, deadline())
        else:
            yield from self._until_end(deadline)

    def close(self) -> None:
        """Close the socket, without a TLS shutdown."""
        self._socket.close()

    def abort(self) -> None:
        """End the connection while another thread may read from it.

        SSLSocket.shutdown would remove the TLS layer that this thread uses; socket.shutdown
        does not.
        """
        try:
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)
        except OSError:
            pass  # it has ended already

    def _chunks(self, deadline: Callable[[], float]) -> Iterator[bytes]:
        while True:
            size = _chunk_size(self._line(deadline()))
            if size == 0:
                end = deadline()
                while self._line(end):
                    pass  # trailers
                return
            yield self._exactly(size, deadline())
            if self._exactly(2, deadline()) != b"\r\n":
                raise UnreachableError("not an API server: a chunk has another size")

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
        _check_size(size)
        while len(self._buffer) < size:
            self._fill(deadline)
        found = bytes(self._buffer[:size])
        del self._buffer[:size]
        return found

    def _fill(self, deadline: float, may_end: bool = False) -> bool:
        """Read more bytes into the buffer. False: the server has ended the connection."""
        try:
            self._socket.settimeout(self._left(deadline))
            piece = self._socket.recv(_PIECE)
        except (OSError, ValueError) as error:
            raise UnreachableError(error_text(error)) from None
        if not piece and not may_end:
            raise UnreachableError("the connection was closed")
        self._buffer += piece
        return bool(piece)

    def _check_is_quiet(self) -> None:
        """Raise UnreachableError if the connection has ended, or has bytes before a request: they
        would be read as its response."""
        try:
            self._socket.settimeout(0.0)
            found = bytes(self._buffer) or self._socket.recv(1)
        except ssl.SSLWantReadError:
            return
        except (OSError, ValueError) as error:
            raise UnreachableError(error_text(error)) from None
        what = "it sent bytes before a request" if found else "the connection was closed"
        raise UnreachableError(what)

    def _left(self, deadline: float) -> float:
        left_s = deadline - self._clock.now()
        if left_s <= 0:
            raise UnreachableError("timed out")
        return left_s


def parse_head(text: str) -> Head:
    """Parse a status line and headers. Raises UnreachableError if they are not HTTP."""
    first, *lines = text.split("\r\n")
    status = _STATUS_LINE.fullmatch(first)
    if status is None:
        raise UnreachableError(f"not an API server: it sent {first[:40]!r}")
    headers: dict[str, str] = {}
    for line in lines:
        header = _HEADER.fullmatch(line)
        if header is None:
            raise UnreachableError(f"not an API server: it sent the header {line[:40]!r}")
        name, value = header[1].lower(), header[2].strip(" \t")
        if headers.setdefault(name, value) != value and name in _FRAMING:
            raise UnreachableError(f"not an API server: it sent two headers {name}")
    code = int(status[1])
    return Head(code, headers, _body_length(code, headers))


def _body_length(status: int, headers: dict[str, str]) -> int | None:
    """The bytes of the body; None if it has chunks or no length. Raises UnreachableError."""
    encoding, length = (headers.get(name) for name in _FRAMING)
    if status < 200 or (encoding is not None and (encoding.lower() != "chunked" or length)):
        raise UnreachableError("not an API server: its answer has no clear end")
    if status in (204, 304):
        return 0
    if length is None:
        return None
    size = whole_number(length)
    if size is None:
        raise UnreachableError(f"not an API server: a body has {length[:40]!r} bytes")
    return size


def _check_size(size: int) -> None:
    if size > _LONGEST_BODY:
        raise UnreachableError(f"the answer has more than {_LONGEST_BODY} bytes")


def _chunk_size(line: bytes) -> int:
    found = _CHUNK.fullmatch(line)
    if found is None:
        raise UnreachableError("not an API server: a chunk has no size")
    return int(found[1], 16)


def error_text(error: Exception) -> str:
    """Return the reason of an error, without numbers and types."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    if isinstance(error, (socket.timeout, TimeoutError)):
        return "timed out"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
