"""Wait for a condition that another thread, process or cluster brings about."""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

Result = TypeVar("Result")
_PAUSE = threading.Event()


def wait_until(
    condition: Callable[[], Result | None],
    *,
    what: str = "the condition",
    within_s: float = 20.0,
    every_s: float = 0.02,
    not_yet: tuple[type[Exception], ...] = (),
) -> Result:
    """Return the first true result of `condition`; raise TimeoutError that names `what`.

    An exception of a type in `not_yet` counts as a false result.
    """
    deadline = time.monotonic() + within_s
    last = ""
    while True:
        try:
            if result := condition():
                return result
        except not_yet as error:
            last = f" (last error: {error})"
        if time.monotonic() >= deadline:
            raise TimeoutError(f"waited {within_s:g} s in vain for {what}{last}")
        _PAUSE.wait(every_s)


async def wait_until_async(
    condition: Callable[[], Any],
    *,
    what: str = "the condition",
    within_s: float = 20.0,
    every_s: float = 0.02,
) -> Any:
    """Like wait_until, while the other tasks of the event loop run; `condition` may be async."""
    deadline = time.monotonic() + within_s
    while True:
        result = condition()
        if inspect.isawaitable(result):
            result = await result
        if result:
            return result
        if time.monotonic() >= deadline:
            raise TimeoutError(f"waited {within_s:g} s in vain for {what}")
        await asyncio.sleep(every_s)
