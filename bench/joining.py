"""Row 8: one agent at a time, on a machine that does nothing else."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from bench.arrivals import arrivals
from bench.figure import Figure
from bench.plain_job import plain_job, wanted
from bench.site import Site

from elasticjob.wire.names import pod_name


def joining(site: Site, samples: int, agent: Path, root: Path) -> Iterator[Figure]:
    """Just before the fork -> the agent's Lease has reached a watcher; the namespace included."""
    found = []
    with (
        plain_job(site, "joining", wanted(samples), agent, root) as job,
        arrivals(site, job.name) as joined,
    ):
        for index in range(samples):
            time.sleep(0.5)
            at = job.crew.start(index)
            found.append(joined.wait(index + 1)[pod_name(job.name, index, 0)] - at)
    yield Figure(
        "8", "agent: exec -> joined", "ms", tuple(value * 1000 for value in found), target=250.0
    )
