"""Row 2: an agent that is gone without a word, on nodes of their own."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path

from bench.figure import Figure
from bench.plain_job import HEARTBEAT_S, PlainJob, plain_job, wanted
from bench.site import Site

AGENTS = 8
D_S = 3 * HEARTBEAT_S


def silence(site: Site, samples: int, agent: Path, root: Path) -> Iterator[Figure]:
    """One agent after the other of one job; at last the one that judges the others."""
    with plain_job(site, "silence", wanted(AGENTS), agent, root) as job:
        began = job.crew.start_all(AGENTS)
        job.crew.ledger.wait(AGENTS, began)
        alive = set(range(AGENTS))
        found = [lose(job, alive, holder=False) for _ in range(samples)]
        yield Figure(
            "2", f"agent killed without a word -> survivors of {AGENTS} in the next round", "s",
            tuple(found), target=D_S + 1, note=f"D = 3T = {D_S:.0f} s",
        )  # fmt: skip
        yield Figure(
            "2", "the same, the holder killed", "s", (lose(job, alive, holder=True),),
            note="another claims after three beats without a pulse",
        )  # fmt: skip


def lose(job: PlainJob, alive: set[int], holder: bool) -> float:
    """Seconds until all others run without it."""
    # All have said `running`; and not always at the same moment of a beat.
    time.sleep((2 + random.random()) * HEARTBEAT_S)
    holds = job.holder
    index = holds if holder else min(alive - {holds})
    alive.remove(index)
    at = time.time()
    job.crew.kill(index)
    return max(line.at for line in job.crew.ledger.wait(len(alive), at)) - at
