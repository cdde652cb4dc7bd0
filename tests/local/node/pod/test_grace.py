from __future__ import annotations

import asyncio

from elasticjob.local.node.pod.grace import Grace, wait_for_first


async def test_a_second_deletion_shortens_the_grace_period() -> None:
    grace = Grace()
    assert not grace.begun.is_set()
    grace.begin(30)
    assert grace.begun.is_set()
    assert not grace.expired.is_set()
    grace.begin(0)
    assert grace.expired.is_set()
    grace.cancel()


async def test_the_grace_period_expires() -> None:
    grace = Grace()
    grace.begin(0.001)
    await asyncio.wait_for(grace.expired.wait(), 5)


async def test_waiting_for_the_first_cancels_the_others() -> None:
    done, never = asyncio.Event(), asyncio.Event()
    done.set()
    await wait_for_first(done.wait(), never.wait())
    await wait_for_first(never.wait(), timeout_s=0.001)
    assert len(asyncio.all_tasks()) <= 3  # this one, and two that are being cancelled
