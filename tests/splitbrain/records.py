"""What the workers have recorded: their starts and ends, by pod."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Start:
    """The start of one worker. at: of the monotonic clock, which all processes share."""

    pod: str
    n: int
    rank: int
    incarnation: str
    pid: int
    at: float
    world: int = 1
    master: str = ""
    is_alone: bool = True
    """Whether no other worker of its pod was alive."""
    ended_at: float | None = None
    """None: it was killed, or it is alive."""

    @property
    def name(self) -> str:
        """The words by which a violation names this worker."""
        return f"{self.pod} round {self.n} rank {self.rank} ({self.incarnation}, pid {self.pid})"


def parse(pod: str, lines: Iterable[str]) -> Iterator[Start]:
    """The starts of one pod in the order in which they were recorded."""
    rows = [line.split() for line in lines]
    ends = {tuple(row[1:5]): float(row[5]) for row in rows if row[0] == "end"}
    for row in rows:
        if row[0] == "start":
            n, rank, incarnation, pid, at, world, master, lock = row[1:]
            yield Start(
                pod, int(n), int(rank), incarnation, int(pid), float(at), int(world), master,
                lock == "alone", ends.get((n, rank, incarnation, pid)),
            )  # fmt: skip


def read(directory: Path) -> list[Start]:
    """All starts of a job: each file is named after its pod."""
    found = (parse(path.name, path.read_text().splitlines()) for path in directory.iterdir())
    return [start for starts in found for start in starts]
