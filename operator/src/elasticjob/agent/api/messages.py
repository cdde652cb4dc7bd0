"""HTTP requests and responses as values, without a connection."""

from __future__ import annotations

import math
from typing import Any

from elasticjob.wire.dataclasses import dataclass
from elasticjob.wire.untrusted import WireError, decode_answer

LONGEST_WAIT_S = 60  # that a server may ask for


@dataclass(frozen=True)
class Address:
    """The address of the API server."""

    host: str  # a name or an IP address; IPv6 with or without brackets
    port: int

    @property
    def bare(self) -> str:
        """The host without brackets, as sockets need it."""
        return self.host.strip("[]")

    def __str__(self) -> str:
        host = f"[{self.bare}]" if ":" in self.bare else self.bare
        return f"{host}:{self.port}"


@dataclass(frozen=True)
class Request:
    """An HTTP request."""

    method: str
    path: str  # with the query
    body: bytes = b""
    content_type: str = "application/json"
    timeout_s: float = math.inf  # the shorter of this and http.Limits.request_s counts


@dataclass(frozen=True)
class Response:
    """A whole response."""

    status: int
    body: bytes = b""
    retry_after_s: float | None = None  # set by a busy server

    def json(self) -> dict[str, Any]:
        """Parse the body; return an empty object if it contains no JSON object."""
        try:
            found = decode_answer(self.body, "the answer")
        except WireError:
            return {}
        return found if isinstance(found, dict) else {}
