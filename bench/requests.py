"""Many requests at once to the measured API server, by one process and without parsing answers."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import aiohttp
from bench.site import Site

AT_ONCE = 20
MERGE = {"Content-Type": "application/merge-patch+json"}
Item = TypeVar("Item")


class Requests:
    """As the administrator. Each method raises AssertionError when it is refused."""

    def __init__(self, site: Site, session: aiohttp.ClientSession) -> None:
        self.site, self._session = site, session

    async def post(self, path: str, manifest: dict[str, Any]) -> None:
        """Creates an object."""
        async with self._session.post(self.site.client.url + path, json=manifest) as reply:
            assert reply.status == 201, await reply.text()

    async def patch(self, path: str, body: dict[str, Any]) -> None:
        """A merge patch."""
        url, data = self.site.client.url + path, json.dumps(body)
        async with self._session.patch(url, data=data, headers=MERGE) as reply:
            assert reply.status == 200, await reply.text()
            await reply.read()

    async def delete(self, path: str) -> None:
        """Deletes an object."""
        async with self._session.delete(self.site.client.url + path) as reply:
            assert reply.status in (200, 202), await reply.text()

    async def list(self, path: str) -> list[dict[str, Any]]:
        """All objects of a kind."""
        async with self._session.get(self.site.client.url + path) as reply:
            found: list[dict[str, Any]] = (await reply.json())["items"]
            return found

    async def watch(self, path: str, query: dict[str, str]) -> None:
        """Reads a watch to its end, which does not come."""
        url = self.site.client.url + path
        async with self._session.get(url, params={**query, "watch": "true"}) as reply:
            async for _ in reply.content:
                pass


@asynccontextmanager
async def requests(site: Site) -> AsyncIterator[Requests]:
    """With as many connections as are needed."""
    tls = ssl.create_default_context(cadata=site.client.ca.decode())
    tls.verify_flags &= ~ssl.VERIFY_X509_STRICT
    headers = {"Authorization": f"Bearer {site.client.token}"}
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=tls, limit=0),
        headers=headers,
        timeout=aiohttp.ClientTimeout(total=None),
    ) as session:
        yield Requests(site, session)


async def each(items: Iterable[Item], act: Callable[[Item], Awaitable[object]]) -> None:
    """For all of them, a few at a time."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def gated(item: Item) -> None:
        async with gate:
            await act(item)

    await asyncio.gather(*map(gated, items))
