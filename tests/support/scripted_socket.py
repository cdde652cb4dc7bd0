"""A TLS socket from which an agent reads what a test has written. Standard library, Python 3.9."""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from typing import Any, cast

from elasticjob.agent.api.connection import Connection
from elasticjob.agent.clock import SystemClock


class ScriptedSocket:
    """Returns the pieces one by one, then the end of the connection. early: before a request."""

    def __init__(self, pieces: Iterable[bytes], early: bytes = b"") -> None:
        self.sent = b""
        self._pieces = [piece for piece in pieces if piece]
        self._early = early
        self._blocks = True

    def settimeout(self, timeout_s: float) -> None:
        self._blocks = timeout_s > 0

    def sendall(self, message: bytes) -> None:
        self.sent += message

    def recv(self, size: int) -> bytes:
        if not self._blocks:
            if not self._early:
                raise ssl.SSLWantReadError
            found, self._early = self._early[:size], self._early[size:]
            return found
        if not self._pieces:
            return b""
        found, rest = self._pieces[0][:size], self._pieces[0][size:]
        self._pieces[:1] = [rest] if rest else []
        return found

    def close(self) -> None:
        """Do nothing."""


def connection(*pieces: bytes, early: bytes = b"") -> Connection:
    """A connection on which the server sends these pieces."""
    return Connection(cast(Any, ScriptedSocket(pieces, early)), SystemClock())
