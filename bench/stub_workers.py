"""Stub workers: each appends one line to a file when it starts, and sleeps."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dev.wait import wait_until

WITHIN_S = 120.0
LINE = 'echo "${ELASTICJOB_ROUND:-0} $RANK $EPOCHREALTIME $BASHPID"'
"""The shell command that prints a line; the files' names are in the environment as BENCH_FILE."""
STUB = f'{LINE} >> "$BENCH_FILE"; exec sleep 900'


@dataclass(frozen=True)
class Start:
    """One start of a stub worker."""

    round: int
    rank: int
    at: float
    """Wall time in seconds."""
    pid: int


class StartLog:
    """The starts in a file, read incrementally: polling costs time on the measured cores."""

    def __init__(self, file: Path) -> None:
        file.touch()
        self.file = file
        self.starts: list[Start] = []
        self._offset = 0

    def read(self) -> list[Start]:
        """Return all starts so far; an incomplete last line is left for the next call."""
        with self.file.open() as file:
            file.seek(self._offset)
            text, newline, _ = file.read().rpartition("\n")
        self._offset += len(text) + len(newline)
        rows = [row.split() for row in text.splitlines()]
        self.starts += [Start(int(r[0]), int(r[1]), float(r[2]), int(r[3])) for r in rows]
        return self.starts

    def newest(self, after: float) -> list[Start]:
        """The last start of each rank in the newest round that began after a wall time."""
        recent = [start for start in self.read() if start.at > after]
        newest = max((start.round for start in recent), default=0)
        return list({start.rank: start for start in recent if start.round == newest}.values())

    def wait(self, count: int, after: float) -> list[Start]:
        """Wait until `count` workers of one round have started after a wall time."""

        def complete() -> list[Start]:
            starts = self.newest(after)
            return starts if len(starts) >= count else []

        what = f"{count} workers in {self.file}"
        return wait_until(complete, what=what, within_s=WITHIN_S, every_s=0.01)

    def last(self, count: int, after: float) -> float:
        """Return the seconds from a wall time to the last of the `count` starts after it."""
        return max(start.at for start in self.wait(count, after)) - after
