"""The agent's clocks: the monotonic one for decisions, the wall clock for times in records."""

from __future__ import annotations

import threading
import time
from typing import Protocol


class Clock(Protocol):
    """What the agent needs of a clock; tests provide their own."""

    def now(self) -> float:
        """Return monotonic seconds."""

    def wall_at(self) -> float:
        """Return seconds since 1970."""

    def pause(self, seconds: float, until: threading.Event | None = None) -> bool:
        """Wait for this many seconds, or until an event is set. Whether it is set."""


class SystemClock:
    """The machine's clocks."""

    def now(self) -> float:
        """Return monotonic seconds since the machine's start."""
        return time.monotonic()

    def wall_at(self) -> float:
        """Return seconds since 1970."""
        return time.time()

    def pause(self, seconds: float, until: threading.Event | None = None) -> bool:
        """Wait for this many seconds, or until an event is set. Whether it is set.

        Only threads call this; the loop never pauses.
        """
        return (until or threading.Event()).wait(seconds)


def format_time(wall_at: float) -> str:
    """Format a Lease's renewTime; the API server accepts exactly six digits of a second."""
    seconds, micros = divmod(round(wall_at * 1_000_000), 1_000_000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{micros:06d}Z"
