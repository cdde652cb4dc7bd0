"""Row 12: one agent is told to leave, and every worker of the job is told to save its state."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from bench.figure import Figure
from bench.ledger import LINE, Ledger
from bench.plain_job import PlainJob, plain_job, wanted
from bench.site import Site

AGENTS = 32
TOLD = ".told"
WORKER = (
    f"trap '{LINE} >> \"$BENCH_FILE{TOLD}\"; exit 0' TERM; "
    f'{LINE} >> "$BENCH_FILE"; sleep 900 & wait'
)
SETTLE_S = 4.0


def leaving(site: Site, samples: int, agent: Path, root: Path) -> Iterator[Figure]:
    """One agent after the other of one job."""
    with plain_job(site, "leaving", wanted(AGENTS), agent, root) as job:
        job.crew.worker = WORKER
        told = Ledger(Path(f"{job.crew.ledger.file}{TOLD}"))
        job.crew.ledger.wait(AGENTS, job.crew.start_all(AGENTS))
        alive = set(range(AGENTS))
        found = [leave(job, told, alive) * 1000 for _ in range(samples)]
    yield Figure(
        "12", f"SIGTERM to one agent -> the last of {AGENTS} workers has its SIGTERM", "ms",
        tuple(found), target=300.0, note=f"one agent fewer with each of the {samples}",
    )  # fmt: skip


def leave(job: PlainJob, told: Ledger, alive: set[int]) -> float:
    """Seconds until every worker was told, the leaver's too."""
    time.sleep(SETTLE_S)
    index = random.choice(sorted(alive))
    pid, count = job.crew.agent_pid(index), len(alive)
    alive.remove(index)
    at = time.time()
    os.kill(pid, signal.SIGTERM)
    last = max(line.at for line in told.wait(count, at)) - at
    job.crew.ledger.wait(len(alive), at)
    return last
