"""The termination of a pod with its grace period."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable


class Grace:
    """The grace period of a pod. A second deletion can shorten it."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()  # the termination is requested
        self.expired = asyncio.Event()  # the grace period is over
        self._timers: list[asyncio.TimerHandle] = []

    def begin(self, seconds: float) -> None:
        """Begin the termination, or shorten it; 0 means at once."""
        self.begun.set()
        if seconds > 0:
            loop = asyncio.get_running_loop()
            self._timers.append(loop.call_later(seconds, self.expired.set))
        else:
            self.expired.set()

    def cancel(self) -> None:
        """Cancel the timers."""
        for timer in self._timers:
            timer.cancel()


async def wait_for_first(*waiting: Awaitable[object], timeout_s: float | None = None) -> None:
    """Wait until one of the awaitables is done or the timeout expires; cancel the others."""
    tasks = [asyncio.ensure_future(one) for one in waiting]
    await asyncio.wait(tasks, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
