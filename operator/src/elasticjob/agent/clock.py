"""The agent's clocks: one that never goes back, to decide by, and the wall's, for people."""

from __future__ import annotations

import threading
import time
from typing import Protocol


class Clock(Protocol):
    """The seam: tests bring a clock of their own."""

    def now(self) -> float:
        """Seconds since some instant; never goes back."""

    def wall_at(self) -> float:
        """Seconds since 1970."""

    def pause(self, seconds: float) -> None:
        """Returns after so long."""


class SystemClock:
    """The machine's clocks."""

    def now(self) -> float:
        """Seconds since the machine's start."""
        return time.monotonic()

    def wall_at(self) -> float:
        """Seconds since 1970."""
        return time.time()

    def pause(self, seconds: float) -> None:
        """For the agent's threads; the loop itself never pauses."""
        threading.Event().wait(seconds)


def format_time(wall_at: float) -> str:
    """As a Lease's renewTime: an API server refuses any other number of digits than six."""
    seconds, micros = divmod(round(wall_at * 1_000_000), 1_000_000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{micros:06d}Z"
