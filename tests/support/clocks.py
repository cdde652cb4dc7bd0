"""A clock that moves only when it is told to, or when somebody waits."""

from __future__ import annotations


class VirtualClock:
    """Pausing costs no time but the clock's own; every pause is remembered."""

    def __init__(self, now: float = 1000.0) -> None:
        self.time = now
        self.pauses: list[float] = []

    def now(self) -> float:
        return self.time

    def wall_at(self) -> float:
        return 1_700_000_000.0 + self.time

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.time += seconds
