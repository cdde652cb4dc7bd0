"""A clock that only a test or a pause advances."""

from __future__ import annotations

import threading


class VirtualClock:
    """A pause advances the clock at once, and is recorded."""

    def __init__(self, now: float = 1000.0) -> None:
        self.time = now
        self.pauses: list[float] = []

    def now(self) -> float:
        return self.time

    def wall_at(self) -> float:
        return 1_700_000_000.0 + self.time

    def pause(self, seconds: float, until: threading.Event | None = None) -> bool:
        if until is not None and until.is_set():
            return True
        self.pauses.append(seconds)
        self.time += seconds
        return False
