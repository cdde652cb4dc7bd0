"""The HTTP session of the watches, with a limit of silence and of nesting that kopf's lacks.

A connection that a NAT has forgotten, or whose other end died without closing it, stays open and
silent for ever. The API server sends a bookmark about once a minute, so kopf opens a watch that is
silent for longer again, at its last version. If a server sends no bookmarks this costs one request.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from typing import Any, cast

import aiohttp

from elasticjob.controller.kube import READ_TIMEOUT_S
from elasticjob.wire import untrusted

BOOKMARKS_S = 60.0
SILENCE_S = BOOKMARKS_S + READ_TIMEOUT_S


def session(
    tls: ssl.SSLContext, headers: Mapping[str, str], proxy: str | None, silence_s: float
) -> aiohttp.ClientSession:
    """A session as kopf creates it, which also waits at most silence_s for an answer and for each
    part of it, and replaces values that kopf could not read."""

    async def send_with_limits(
        request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        async with asyncio.timeout(silence_s):
            response = await send(request)
        response.content = cast(Any, _Content(response.content, silence_s))
        return response

    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ssl=tls),
        headers=headers,
        proxy=proxy,
        trust_env=False,  # kube alone chooses the proxy
        middlewares=(send_with_limits,),
    )


class _Content:
    """The body of an answer, one object or one per line, passed through `untrusted.harmless`."""

    def __init__(self, content: aiohttp.StreamReader, silence_s: float) -> None:
        self._content = content
        self._silence_s = silence_s

    def __getattr__(self, name: str) -> Any:
        return getattr(self._content, name)

    async def read(self) -> bytes:
        return untrusted.harmless(await self._content.read())

    async def iter_chunked(self, size: int) -> AsyncIterator[bytes]:
        rest = b""
        while data := await self._next(size):
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                yield untrusted.harmless(line) + b"\n"
        if rest:
            yield untrusted.harmless(rest)

    async def _next(self, size: int) -> bytes:
        """Read the next part. Raises TimeoutError, after which kopf opens the watch again. The time
        limit ends before a part is yielded: else it would cancel the work on it."""
        try:
            async with asyncio.timeout(self._silence_s):
                return await self._content.read(size)
        except RuntimeError as error:  # kopf closed the session, because its token was refused
            raise aiohttp.ClientConnectionError(str(error)) from error
