"""Rows 6 and 7: the API server with 1,000 agents, and the operator with 1,000 jobs of one pod.

The agents are simulated; so are the kubelets.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.api_server import JOBS, LEASES, NAMESPACE, PODS, ApiServer, Cpu
from bench.operator_process import Operator, job_manifest, operator, running_status
from bench.results import Figure
from bench.simulated_agents import (
    HEARTBEAT_S,
    Requests,
    SimulatedJob,
    beating,
    create,
    for_each,
    requests,
    unversioned,
    watching,
)
from dev.kube_client import Json
from dev.proc import cpu_s, rss_mib
from dev.wait import wait_until

from elasticjob.wire import lease as leases
from elasticjob.wire.names import LABEL_JOB_UID

AGENTS = 1000
RESTARTS = 10
RESTART_EVERY_S = 2.0
SPREAD_S = 60.0  # a restarted operator reconciles all jobs within this time
QUIET_S = 15.0  # an operator without a write for this time is idle
WITHIN_S = 400.0


# ---- row 6: the API server -----------------------------------------------------------------------


@dataclass(frozen=True)
class Cost:
    """What the API server and etcd have used."""

    quiet: Cpu
    """In `seconds` without a restart."""
    seconds: float
    restart_s: float
    """CPU seconds of one restart, without the heartbeats."""
    late_s: float


def api_load(server: ApiServer, jobs: int, seconds: float) -> Iterator[Figure]:
    """Measure 1,000 agents in `jobs` jobs."""
    size = AGENTS // jobs
    names = [f"load-{jobs}-{number}" for number in range(jobs)]
    simulated = [SimulatedJob(leases.JobIdentity(NAMESPACE, name, name), size) for name in names]
    cost = asyncio.run(api_cost(server, simulated, seconds))
    for job in simulated:
        server.client.delete(LEASES, labelSelector=f"{LABEL_JOB_UID}={job.job.uid}")
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


async def api_cost(server: ApiServer, jobs: list[SimulatedJob], seconds: float) -> Cost:
    """Measure a time without restarts, then some restarts of the first job."""
    async with requests(server) as api:
        await create(api, jobs)
        async with watching(api, jobs), beating(api, jobs) as late:
            await asyncio.sleep(HEARTBEAT_S)
            late.seconds, before = 0.0, server.cpu()
            await asyncio.sleep(seconds)
            quiet, late_s = server.cpu() - before, late.seconds
            before, began = server.cpu(), time.monotonic()
            for number in range(RESTARTS):
                await restart(api, jobs[0], number)
                await asyncio.sleep(RESTART_EVERY_S)
            spent, window_s = server.cpu() - before, time.monotonic() - began
    restart_s = (spent.total - quiet.total / seconds * window_s) / RESTARTS
    return Cost(quiet, seconds, restart_s, late_s)


async def restart(api: Requests, job: SimulatedJob, number: int) -> None:
    """Send the only write of a crash; the added annotation makes it a change."""
    body = unversioned(leases.round_patch(job.round, ""))
    body["metadata"]["annotations"]["bench"] = str(number)
    await api.patch(job.round_lease, body)


# ---- row 7: the operator -------------------------------------------------------------------------


def operator_load(server: ApiServer, jobs: int, seconds: float, root: Path) -> Iterator[Figure]:
    """Measure the operator with `jobs` jobs: first start, idle, restart."""
    yield from asyncio.run(operator_figures(server, jobs, seconds, root))


async def operator_figures(
    server: ApiServer, jobs: int, seconds: float, root: Path
) -> list[Figure]:
    """Create the jobs, wait until only heartbeats are left, measure, restart the operator."""
    manifests = [job_manifest(f"operated-{number}", 1) for number in range(jobs)]
    async with requests(server) as api:
        with operator(server, root / "first-operator.log") as first:
            began = time.monotonic()
            await for_each(manifests, lambda manifest: api.post(JOBS, manifest))
            await wait(lambda: len(listed(server, PODS)) >= jobs, f"{jobs} pods")
            created_s = time.monotonic() - began
            simulated = [simulated_job(job) for job in listed(server, JOBS)]
            await for_each(simulated, lambda job: start(api, job))
            async with beating(api, simulated):
                await wait(lambda: is_idle(first), "an operator that writes nothing")
                found = await idle(first, server, jobs, seconds)
        async with beating(api, simulated):
            found += await asyncio.to_thread(restarted, server, jobs, root)
        await for_each(manifests, lambda m: api.delete(f"{JOBS}/{m['metadata']['name']}"))
    return [
        Figure("7", f"{jobs} jobs created -> all their pods made", "s", (created_s,),
               note="operator, API server and etcd share these cores"),
        *found,
    ]  # fmt: skip


def simulated_job(job: Json) -> SimulatedJob:
    """The only agent of an ElasticJob."""
    return SimulatedJob(
        leases.JobIdentity(NAMESPACE, job["metadata"]["name"], job["metadata"]["uid"]), 1
    )


async def start(api: Requests, job: SimulatedJob) -> None:
    """Write what kubelet and agent write until the first round runs."""
    await api.patch(f"{PODS}/{job.holder}/status", running_status(0))
    for manifest in job.agent_manifests():
        await api.post(LEASES, manifest)
    await api.patch(job.round_lease, job.first_round_patch())


async def idle(found: Operator, server: ApiServer, jobs: int, seconds: float) -> list[Figure]:
    """Measure while each job sends a pulse every T and nothing else happens."""
    cpu, writes = cpu_s(found.pid), found.writes()
    await asyncio.sleep(seconds)
    share, wrote = (cpu_s(found.pid) - cpu) / seconds, found.writes() - writes
    label = f"operator, {jobs} jobs"
    phases = [job.get("status", {}).get("phase") for job in listed(server, JOBS)]
    return [
        Figure(
            "7", f"{label}, idle: CPU", "cores", (share,), target=0.05,
            note=f"{phases.count('Running')} are Running; each sends it a pulse every 10 s",
        ),
        Figure("7", f"{label}, idle: writes", "1/s", (wrote / seconds,), target=0.0),
        Figure("7", f"{label}, idle: RSS", "MiB", (rss_mib(found.pid),), target=200.0),
    ]  # fmt: skip


def restarted(server: ApiServer, jobs: int, root: Path) -> list[Figure]:
    """Measure a new operator for the same jobs; it spreads its first reconciles on purpose."""
    label = f"operator restarted, {jobs} jobs"
    with operator(server, root / "second-operator.log") as found:
        time.sleep(SPREAD_S + 5)
        return [
            Figure("7", f"{label}: exec -> ready", "s", (found.ready_s,), target=20.0),
            Figure(
                "7", f"{label}: CPU until each was reconciled", "core-s", (cpu_s(found.pid),),
                note=f"it spreads that over {SPREAD_S:.0f} s on purpose",
            ),
            Figure(
                "7", f"{label}: writes meanwhile", "writes", (float(found.writes()),), target=0.0,
                note=", ".join(f"{n} {kind}" for kind, n in found.writes_by_kind().items()),
            ),
            Figure("7", f"{label}: RSS", "MiB", (rss_mib(found.pid),), target=200.0),
        ]  # fmt: skip


def listed(server: ApiServer, path: str) -> list[Json]:
    """Return all objects at a path."""
    items: list[Json] = server.client.get(path).accepted()["items"]
    return items


def is_idle(found: Operator) -> bool:
    """Whether the operator writes nothing for a while."""
    before = found.writes()
    time.sleep(QUIET_S)
    return found.writes() == before


async def wait(condition: Callable[[], bool], what: str) -> None:
    """Wait in a thread, so that heartbeats continue."""
    await asyncio.to_thread(wait_until, condition, what=what, within_s=WITHIN_S, every_s=3.0)
