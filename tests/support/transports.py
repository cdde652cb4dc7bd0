"""Transports without a network, which answer requests with a list of responses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Union

from elasticjob.agent.api.connection import UnreachableError
from elasticjob.agent.api.messages import Request, Response

Script = Union[Response, UnreachableError]
NO_RESPONSE = UnreachableError("timed out")


def answer(status: int, found: Any = None, retry_after_s: float | None = None) -> Response:
    """Return a JSON response."""
    return Response(status, json.dumps({} if found is None else found).encode(), retry_after_s)


class ScriptedTransport:
    """Returns the responses in order, then repeats the last one."""

    def __init__(self, *script: Script) -> None:
        self.requests: list[Request] = []
        self._script = list(script)

    def send(self, request: Request) -> Response:
        self.requests.append(request)
        following = self._script.pop(0) if len(self._script) > 1 else self._script[0]
        if isinstance(following, UnreachableError):
            raise following
        return following

    def close(self) -> None:
        """Do nothing: there is no connection."""

    @property
    def methods(self) -> list[str]:
        return [request.method for request in self.requests]


class ScriptedStream:
    """One watch: a status, then lines, then a regular end or a cut connection."""

    def __init__(
        self, *lines: Any, status: int = 200, body: Any = None, retry_after_s: float | None = None,
        cut: bool = False,
    ) -> None:  # fmt: skip
        self.status = status
        self._retry_after_s = retry_after_s
        self._lines = lines
        self._body = body
        self._cut = cut
        self.closed = False
        self.at_end = lambda: None

    def response(self) -> Response:
        self.at_end()
        return answer(self.status, self._body, self._retry_after_s)

    def lines(self) -> Iterator[bytes]:
        for line in self._lines:
            yield line if isinstance(line, bytes) else json.dumps(line).encode()
        self.at_end()
        if self._cut:
            raise UnreachableError("the connection was closed")

    def close(self) -> None:
        self.closed = True


ScriptedStreamOrError = Union[ScriptedStream, Exception]


class ScriptedStreamTransport:
    """Opens watches in order, and calls at_end at the end of the last one."""

    def __init__(self, *script: ScriptedStreamOrError) -> None:
        self.requests: list[Request] = []
        self.at_end = lambda: None
        self._script = list(script)

    def stream(self, request: Request) -> ScriptedStream:
        self.requests.append(request)
        following = self._script.pop(0)
        if not self._script and isinstance(following, ScriptedStream):
            following.at_end = self.at_end
        elif not self._script:
            self.at_end()
        if isinstance(following, Exception):
            raise following
        return following
