from __future__ import annotations

import asyncio

from elasticjob.local.node.pod.grace import Grace, first


def test_a_second_deletion_brings_the_end_nearer() -> None:
    async def scenario() -> None:
        grace = Grace()
        assert not grace.begun.is_set()
        grace.begin(30)
        assert grace.begun.is_set()
        assert not grace.over.is_set()
        grace.begin(0)
        assert grace.over.is_set()
        grace.cancel()

    asyncio.run(scenario())


def test_the_end_comes_when_the_grace_is_over() -> None:
    async def scenario() -> None:
        grace = Grace()
        grace.begin(0.001)
        await asyncio.wait_for(grace.over.wait(), 5)

    asyncio.run(scenario())


def test_who_waits_for_the_first_leaves_the_others_alone() -> None:
    async def scenario() -> None:
        done, never = asyncio.Event(), asyncio.Event()
        done.set()
        await first(done.wait(), never.wait())
        await first(never.wait(), timeout_s=0.001)
        assert len(asyncio.all_tasks()) <= 3  # this one, and two that are being cancelled

    asyncio.run(scenario())
