"""HTTP/1.1 messages as the proxy relays them, and the Status objects of an API server."""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass

END = b"\r\n\r\n"


class EndedError(Exception):
    """The peer has closed the connection."""


@dataclass(frozen=True)
class Head:
    """The head of a request or a response."""

    raw: bytes

    @property
    def method(self) -> str:
        """The method of a request."""
        return self.raw.split(b" ", 1)[0].decode()

    @property
    def is_watch(self) -> bool:
        """Whether this request opens a watch."""
        return b"watch=true" in self.raw.split(b"\r\n", 1)[0]

    @property
    def is_ok(self) -> bool:
        """Whether this response has the status 200."""
        return self.raw.startswith(b"HTTP/1.1 200")

    @property
    def length(self) -> int | None:
        """The bytes of the body; None: it has chunks."""
        for line in self.raw.split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                return int(value)
        return None


class Reader:
    """Reads messages from a socket."""

    def __init__(self, source: socket.socket) -> None:
        self._source = source
        self._buffer = b""

    def head(self) -> Head:
        """Read a head. Raises EndedError."""
        while END not in self._buffer:
            self._fill()
        head, _, self._buffer = self._buffer.partition(END)
        return Head(head + END)

    def body(self, size: int) -> bytes:
        """Read a body of this size. Raises EndedError."""
        while len(self._buffer) < size:
            self._fill()
        found, self._buffer = self._buffer[:size], self._buffer[size:]
        return found

    def message(self) -> bytes:
        """Read a whole message with a length or chunks. Raises EndedError."""
        head = self.head()
        if head.length is not None:
            return head.raw + self.body(head.length)
        found = head.raw
        while True:
            line = self._line()
            size = int(line, 16)
            found += line + self.body(size + 2)
            if size == 0:
                return found

    def take(self) -> bytes:
        """What has arrived and was not read."""
        found, self._buffer = self._buffer, b""
        return found

    def _line(self) -> bytes:
        while b"\r\n" not in self._buffer:
            self._fill()
        line, _, self._buffer = self._buffer.partition(b"\r\n")
        return line + b"\r\n"

    def _fill(self) -> None:
        piece = self._source.recv(65536)
        if not piece:
            raise EndedError
        self._buffer += piece


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body."""
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


LAST_CHUNK = b"0\r\n\r\n"

REASONS = {
    409: "Conflict",
    410: "Expired",
    429: "TooManyRequests",
    500: "InternalError",
    502: "BadGateway",
    503: "ServiceUnavailable",
    504: "Timeout",
}


def status(code: int, message: str = "", **details: object) -> dict[str, object]:
    """A Status object of a failure."""
    found = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
    return {
        **found, "message": message or f"injected: {REASONS[code]}", "reason": REASONS[code],
        "details": details, "code": code,
    }  # fmt: skip


def too_large() -> dict[str, object]:
    """What kube-apiserver answers if its watch cache lags behind the requested version."""
    cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
    message = "Too large resource version: 1000000000, current: 7"
    return status(504, message, causes=[cause], retryAfterSeconds=1)


def response(body: dict[str, object], **headers: str) -> bytes:
    """A whole response with this Status object."""
    data, code = json.dumps(body).encode(), body["code"]
    named = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    length = f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n"
    return f"HTTP/1.1 {code} Injected\r\n{named}{length}\r\n".encode() + data


def error_event(body: dict[str, object]) -> bytes:
    """A watch event that reports an error."""
    return json.dumps({"type": "ERROR", "object": body}).encode() + b"\n"
