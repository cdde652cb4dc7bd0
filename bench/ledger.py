"""The file in which stub workers write down when they were exec'd, read piece by piece.

It is polled on the very cores that are measured, so nothing is read twice.
"""

from __future__ import annotations

import time
from pathlib import Path

from bench.lab import STUB, Line

PATIENCE_S = 120.0
EVERY_S = 0.01

LINE = 'echo "${ELASTICJOB_ROUND:-0} $RANK $EPOCHREALTIME $BASHPID"'
"""The shell command that writes a line, for workers that do something else besides."""

__all__ = ["LINE", "STUB", "Ledger", "Line"]


class Ledger:
    """The lines so far. file: made if it is not there."""

    def __init__(self, file: Path) -> None:
        file.touch()
        self.file = file
        self.lines: list[Line] = []
        self._offset = 0

    def read(self) -> list[Line]:
        """All lines, after a look for new ones; complete lines only."""
        with self.file.open() as file:
            file.seek(self._offset)
            text, newline, _ = file.read().rpartition("\n")
        self._offset += len(text) + len(newline)
        rows = [row.split() for row in text.splitlines()]
        self.lines += [Line(int(r[0]), int(r[1]), float(r[2]), int(r[3])) for r in rows]
        return self.lines

    def newest(self, after: float) -> list[Line]:
        """Of the newest round that was begun after a wall time: each rank's newest line."""
        fresh = [line for line in self.read() if line.at > after]
        newest = max((line.round for line in fresh), default=0)
        return list({line.rank: line for line in fresh if line.round == newest}.values())

    def wait(self, count: int, after: float) -> list[Line]:
        """Waits until `count` workers of one round were exec'd after a wall time."""
        deadline = time.monotonic() + PATIENCE_S
        while len(lines := self.newest(after)) < count:
            if time.monotonic() > deadline:
                found = f"{len(lines)} of {count} workers in {self.file}"
                raise TimeoutError(f"after {PATIENCE_S:.0f} s there are {found}")
            time.sleep(EVERY_S)
        return lines
