"""Requests for one job: they are counted, and only a few of them are sent at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TypeVar

from elasticjob.controller.kube import Api, Page, Resource
from elasticjob.wire.codec import Json

T = TypeVar("T")

AT_ONCE = 8  # half of the client's threads, so that a job with many pods leaves the others


@dataclass
class Turn:
    """The requests of one pass."""

    requests: int = 0
    at_once: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))


class Metered:
    """kube.Api, whose requests belong to the pass that sends them."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._turn: ContextVar[Turn] = ContextVar("turn")

    @contextmanager
    def turn(self) -> Iterator[Turn]:
        """A pass: the requests of this task, and of tasks that it starts, are its requests."""
        turn = Turn()
        before = self._turn.set(turn)
        try:
            yield turn
        finally:
            self._turn.reset(before)

    async def get(self, resource: Resource, namespace: str, name: str) -> Json:
        """As in Api."""
        return await self._sent(self._api.get(resource, namespace, name))

    async def list(
        self,
        resource: Resource,
        namespace: str,
        selector: str = "",
        metadata: bool = False,
        fields: str = "",
    ) -> AsyncIterator[Page]:
        """As in Api."""
        async for page in self._api.list(resource, namespace, selector, metadata, fields):
            self._turn.get().requests += 1
            yield page

    async def create(self, resource: Resource, namespace: str, body: Json) -> Json:
        """As in Api."""
        return await self._sent(self._api.create(resource, namespace, body))

    async def patch(
        self, resource: Resource, namespace: str, name: str, body: Json, subresource: str = ""
    ) -> Json:
        """As in Api."""
        return await self._sent(self._api.patch(resource, namespace, name, body, subresource))

    async def delete(self, resource: Resource, namespace: str, name: str, uid: str) -> None:
        """As in Api."""
        await self._sent(self._api.delete(resource, namespace, name, uid))

    async def _sent(self, request: Awaitable[T]) -> T:
        turn = self._turn.get()
        turn.requests += 1
        async with turn.at_once:
            return await request
