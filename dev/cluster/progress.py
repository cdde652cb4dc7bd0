"""Progress lines with the time since the start."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field


def duration(seconds: float) -> str:
    """Format as '4.2 s' or '3 min 05 s'."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{int(seconds) // 60} min {int(seconds) % 60:02} s"


@dataclass
class Progress:
    """Prints to standard error what a command does."""

    clock: Callable[[], float] = time.monotonic
    began: float = field(init=False)

    def __post_init__(self) -> None:
        self.began = self.clock()

    def elapsed_s(self) -> float:
        return self.clock() - self.began

    def print(self, text: str) -> None:
        """Print a line."""
        print(f"cluster: {text}", file=sys.stderr, flush=True)

    def done(self, text: str) -> None:
        """Print a line with the time since the start."""
        self.print(f"{text} ({duration(self.elapsed_s())})")
