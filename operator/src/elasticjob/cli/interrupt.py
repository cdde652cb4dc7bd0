"""Ctrl-C and SIGTERM: the first one cancels the work, the second one also its cleanup."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Coroutine


def until_interrupted(work: Coroutine[None, None, int]) -> int:
    """Run the work until it ends or a signal cancels it; returns its result or 128 + the signal."""
    received: list[signal.Signals] = []

    async def run() -> int:
        loop, task = asyncio.get_running_loop(), asyncio.ensure_future(work)

        def interrupt(number: signal.Signals) -> None:
            if not received:
                print("ending all processes; again: at once", file=sys.stderr, flush=True)
            received.append(number)
            task.cancel()

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, interrupt, number)
        try:
            return await task
        except asyncio.CancelledError:
            if not received:
                raise
            return 128 + received[0]

    return asyncio.run(run())
