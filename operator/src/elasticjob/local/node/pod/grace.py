"""The end of a pod, and waiting for it beside something else."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable


class Grace:
    """A pod's end: asked for, then over. A second deletion can only bring the end nearer."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.over = asyncio.Event()
        self._timers: list[asyncio.TimerHandle] = []

    def begin(self, seconds: float) -> None:
        """Ask for the end; 0 means at once."""
        self.begun.set()
        if seconds > 0:
            loop = asyncio.get_running_loop()
            self._timers.append(loop.call_later(seconds, self.over.set))
        else:
            self.over.set()

    def cancel(self) -> None:
        """Nothing is left to end."""
        for timer in self._timers:
            timer.cancel()


async def first(*waiting: Awaitable[object], timeout_s: float | None = None) -> None:
    """Until one of them is done or the time is up; the others are no longer waited for."""
    tasks = [asyncio.ensure_future(one) for one in waiting]
    await asyncio.wait(tasks, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
