from __future__ import annotations

import asyncio

from tests.support.store_api import StoreApi, store

from elasticjob.controller.kube import PODS
from elasticjob.controller.metered import AT_ONCE, Metered
from elasticjob.wire.codec import Json


class Slow(StoreApi):
    """Counts the requests that are under way."""

    now = most = 0

    async def create(self, resource: object, namespace: str, body: Json) -> Json:
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0)
        self.now -= 1
        return body


async def test_the_requests_of_a_pass_are_counted_also_those_of_its_tasks() -> None:
    api = Slow(store())
    metered = Metered(api)

    async def one_pass(requests: int) -> int:
        with metered.turn() as turn:
            await asyncio.gather(*(metered.create(PODS, "team", {}) for _ in range(requests)))
            async for _ in metered.list(PODS, "team", ""):
                pass
        return turn.requests

    assert await asyncio.gather(one_pass(3), one_pass(50)) == [4, 51]


async def test_a_job_with_many_pods_leaves_threads_to_others() -> None:
    api = Slow(store())
    metered = Metered(api)
    with metered.turn():
        await asyncio.gather(*(metered.create(PODS, "team", {}) for _ in range(100)))
    assert api.most == AT_ONCE
