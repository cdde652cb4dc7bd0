"""Waiting for what another thread or process will bring about, never longer than a deadline."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

PAUSE = threading.Event()


def eventually(holds: Callable[[], bool], *, within_s: float = 20, every_s: float = 0.02) -> None:
    """Return as soon as it holds; fail when the time is over."""
    end = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < end, f"it did not come true within {within_s} s"
        PAUSE.wait(every_s)
