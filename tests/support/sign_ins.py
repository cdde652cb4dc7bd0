"""Read the file in which stub workers (`signs_in`) record their round, rank, pid and start time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class SignIn:
    """One worker that was started. at: of the monotonic clock, which all processes share."""

    n: int
    rank: int
    pid: int
    at: float


def read(path: Path) -> list[SignIn]:
    """All that have signed in, by round and rank."""
    lines = path.read_text().splitlines() if path.exists() else []
    found = [SignIn(int(a), int(b), int(c), float(d)) for a, b, c, d in map(str.split, lines)]
    return sorted(found, key=lambda each: (each.n, each.rank))
