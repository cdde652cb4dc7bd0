"""The HTTP session of the watches: what one of kopf's own lacks.

A connection that a NAT has forgotten, or whose other end died without closing it, stays open and
silent for ever. An API server sends a bookmark about once a minute, so a watch that is silent for
longer is opened again, at the version where it was. Where a server sends none, that is one request.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from typing import Any, cast

import aiohttp

from elasticjob.controller import untrusted
from elasticjob.controller.kube import READ_TIMEOUT_S

BOOKMARKS_S = 60.0
SILENCE_S = BOOKMARKS_S + READ_TIMEOUT_S


def session(
    tls: ssl.SSLContext, headers: Mapping[str, str], proxy: str | None, silence_s: float
) -> aiohttp.ClientSession:
    """A session as kopf makes it, that also waits no longer than silence_s for an answer and for
    each next part of it, and replaces what is nested too deep for json.loads."""

    async def send_on(
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
        trust_env=False,  # whether there is a proxy is decided in kube alone
        middlewares=(send_on,),
    )


class _Content:
    """The body of an answer, an object or one in each line, as `untrusted.shallow` leaves it."""

    def __init__(self, content: aiohttp.StreamReader, silence_s: float) -> None:
        self._content = content
        self._silence_s = silence_s

    def __getattr__(self, name: str) -> Any:
        return getattr(self._content, name)

    async def read(self) -> bytes:
        return untrusted.shallow(await self._content.read())

    async def iter_chunked(self, size: int) -> AsyncIterator[bytes]:
        rest = b""
        while data := await self._next(size):
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                yield untrusted.shallow(line) + b"\n"
        if rest:
            yield untrusted.shallow(rest)

    async def _next(self, size: int) -> bytes:
        """Raises TimeoutError, upon which kopf opens the watch again. Nothing is yielded within the
        time limit: it would cancel whoever works on what was yielded."""
        try:
            async with asyncio.timeout(self._silence_s):
                return await self._content.read(size)
        except RuntimeError as error:  # kopf closed the session, because its token was refused
            raise aiohttp.ClientConnectionError(str(error)) from error
