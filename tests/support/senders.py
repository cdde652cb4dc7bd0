"""Transports of the agent's API client without a network: a script gives the answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Union

from elasticjob.agent.api.connection import Response, UnreachableError
from elasticjob.agent.api.http import Request

Script = Union[Response, UnreachableError]
DARK = UnreachableError("timed out")


def answer(status: int, found: Any = None, retry_after_s: float | None = None) -> Response:
    """A JSON answer."""
    return Response(status, json.dumps({} if found is None else found).encode(), retry_after_s)


class ScriptedTransport:
    """Gives out answers in order; the last one again and again."""

    def __init__(self, *script: Script) -> None:
        self.asked: list[Request] = []
        self._script = list(script)

    def send(self, request: Request) -> Response:
        self.asked.append(request)
        following = self._script.pop(0) if len(self._script) > 1 else self._script[0]
        if isinstance(following, UnreachableError):
            raise following
        return following

    def close(self) -> None:
        """There is nothing to close."""

    @property
    def verbs(self) -> list[str]:
        return [request.method for request in self.asked]


class ScriptedStream:
    """One watch: a status, lines, and how it ends."""

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

    def response(self) -> Response:
        return answer(self.status, self._body, self._retry_after_s)

    def lines(self) -> Iterator[bytes]:
        for line in self._lines:
            yield line if isinstance(line, bytes) else json.dumps(line).encode()
        if self._cut:
            raise UnreachableError("the connection was closed")

    def close(self) -> None:
        self.closed = True


ScriptedStreamOrError = Union[ScriptedStream, UnreachableError]


class ScriptedStreamTransport:
    """Opens watches in order. `over` is called once there are no more."""

    def __init__(self, *script: ScriptedStreamOrError) -> None:
        self.asked: list[Request] = []
        self.over = lambda: None
        self._script = list(script)

    def stream(self, request: Request) -> ScriptedStream:
        self.asked.append(request)
        if len(self._script) == 1:
            self.over()
        following = self._script.pop(0)
        if isinstance(following, UnreachableError):
            raise following
        return following
