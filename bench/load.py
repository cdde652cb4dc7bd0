"""Row 6 at 1,000 agents: what they ask of the API server, without the agents.

Two cores do not hold 1,000 agents beside the servers. So one process opens their watches and writes
their heartbeats; what comes back is not parsed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass

from bench.crowd import HEARTBEAT_S, Crowd, beating, create, unversioned, watching
from bench.figure import Figure
from bench.requests import Requests, requests
from bench.site import LEASES, NAMESPACE, Cpu, Site

from elasticjob.wire import lease as wire
from elasticjob.wire.names import LABEL_JOB_UID

AGENTS = 1000
RESTARTS = 10
APART_S = 2.0


@dataclass(frozen=True)
class Cost:
    """quiet: of `seconds` without a restart. restart_s: core seconds of one above that."""

    quiet: Cpu
    seconds: float
    restart_s: float
    late_s: float


def load(site: Site, jobs: int, seconds: float) -> Iterator[Figure]:
    """So many jobs that share 1,000 agents."""
    size = AGENTS // jobs
    names = [f"load-{jobs}-{number}" for number in range(jobs)]
    crowds = [Crowd(wire.Job(NAMESPACE, name, name), size) for name in names]
    cost = asyncio.run(measured(site, crowds, seconds))
    for crowd in crowds:
        site.client.delete(LEASES, labelSelector=f"{LABEL_JOB_UID}={crowd.job.uid}")
    shape = "in one job" if jobs == 1 else f"in {jobs} jobs of {size}"
    etcd = f"etcd {cost.quiet.etcd / cost.seconds:.3f} of it"
    yield Figure(
        "6", f"API server + etcd, steady, {AGENTS} agents {shape}, T = {HEARTBEAT_S:.0f} s",
        "cores", (cost.quiet.total / cost.seconds,), target=0.4,
        note=f"simulated load; {etcd}; latest heartbeat {cost.late_s * 1000:.0f} ms late",
    )  # fmt: skip
    yield Figure(
        "6", f"API server + etcd, one restart of a job of {size}, {AGENTS} agents in all",
        "core-s", (max(cost.restart_s, 0.0),), target=0.1,
        note="simulated load: the write and its deliveries",
    )  # fmt: skip


async def measured(site: Site, crowds: list[Crowd], seconds: float) -> Cost:
    """A quiet time, then some restarts of the first job."""
    async with requests(site) as api:
        await create(api, crowds)
        async with watching(api, crowds), beating(api, crowds) as hearts:
            await asyncio.sleep(HEARTBEAT_S)
            hearts.late_s, before = 0.0, site.cpu()
            await asyncio.sleep(seconds)
            quiet, late_s = site.cpu() - before, hearts.late_s
            before, began = site.cpu(), time.monotonic()
            for number in range(RESTARTS):
                await restart(api, crowds[0], number)
                await asyncio.sleep(APART_S)
            spent, window_s = site.cpu() - before, time.monotonic() - began
    restart_s = (spent.total - quiet.total / seconds * window_s) / RESTARTS
    return Cost(quiet, seconds, restart_s, late_s)


async def restart(api: Requests, crowd: Crowd, number: int) -> None:
    """The one write of a crash; the added annotation makes it a change."""
    body = unversioned(wire.round_patch(crowd.round, ""))
    body["metadata"]["annotations"]["bench"] = str(number)
    await api.patch(crowd.round_lease, body)
