"""Row 7: the operator with 1,000 jobs of one pod; kubelets and agents are simulated."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

from bench import pods
from bench.crowd import Crowd, beating
from bench.figure import Figure
from bench.lab import cpu_s, rss_mib
from bench.operator_process import Operator, operator
from bench.requests import Requests, each, requests
from bench.site import LEASES, NAMESPACE, PODS, Site, jobs_path

from elasticjob.wire import lease as wire

SPREAD_S = 60.0  # a restarted operator looks at all jobs within so long
QUIET_S = 15.0  # without a write, it has nothing more to do
PATIENCE_S = 400.0


def fleet(site: Site, jobs: int, seconds: float, root: Path) -> Iterator[Figure]:
    """All of it."""
    yield from asyncio.run(measured(site, jobs, seconds, root))


async def measured(site: Site, jobs: int, seconds: float, root: Path) -> list[Figure]:
    """Makes the jobs, waits until nothing moves but heartbeats, measures, restarts the operator."""
    manifests = [pods.job(f"fleet-{number}", 1) for number in range(jobs)]
    async with requests(site) as api:
        with operator(site, root, "fleet") as first:
            began = time.monotonic()
            await each(manifests, lambda manifest: api.post(jobs_path(), manifest))
            await until(lambda: has(api, PODS, jobs))
            made_s = time.monotonic() - began
            crowds = [crowd(job) for job in await api.list(jobs_path())]
            await each(crowds, lambda found: start(api, found))
            async with beating(api, crowds):
                await until(lambda: is_quiet(first))
                found = await idle(api, first, jobs, seconds)
        async with beating(api, crowds):
            second = Operator(site, root / "fleet-again.log")
            try:
                found += await again(second, jobs)
            finally:
                second.end()
        await each(manifests, lambda m: api.delete(f"{jobs_path()}/{m['metadata']['name']}"))
    return [
        Figure("7", f"{jobs} jobs created -> all their pods made", "s", (made_s,),
               note="operator, API server and etcd share these cores"),
        *found,
    ]  # fmt: skip


def crowd(job: pods.Json) -> Crowd:
    """The one agent of a job."""
    return Crowd(wire.Job(NAMESPACE, job["metadata"]["name"], job["metadata"]["uid"]), 1)


async def start(api: Requests, found: Crowd) -> None:
    """What kubelet and agent would write: the pod runs, the agent runs the first round."""
    await api.patch(f"{PODS}/{found.holder}/status", pods.running(0))
    for manifest in found.agent_manifests():
        await api.post(LEASES, manifest)
    await api.patch(found.round_lease, found.taken_over())


async def idle(api: Requests, found: Operator, jobs: int, seconds: float) -> list[Figure]:
    """Nothing happens but a pulse of each job every T."""
    cpu, writes = cpu_s(found.pid), found.writes()
    await asyncio.sleep(seconds)
    share, wrote = (cpu_s(found.pid) - cpu) / seconds, found.writes() - writes
    label = f"operator, {jobs} jobs"
    phases = [job.get("status", {}).get("phase") for job in await api.list(jobs_path())]
    return [
        Figure(
            "7", f"{label}, idle: CPU", "cores", (share,), target=0.05,
            note=f"{phases.count('Running')} are Running; a pulse of each every 10 s reaches it",
        ),
        Figure("7", f"{label}, idle: writes", "1/s", (wrote / seconds,), target=0.0),
        Figure("7", f"{label}, idle: RSS", "MiB", (rss_mib(found.pid),), target=200.0),
    ]  # fmt: skip


async def again(found: Operator, jobs: int) -> list[Figure]:
    """The same jobs, a fresh operator. It spreads its first look at them on purpose."""
    await asyncio.to_thread(found.wait_ready)
    await asyncio.sleep(SPREAD_S + 5)
    label = f"operator restarted, {jobs} jobs"
    return [
        Figure("7", f"{label}: exec -> ready", "s", (found.ready_s,), target=20.0),
        Figure(
            "7", f"{label}: CPU until each was looked at", "core-s", (cpu_s(found.pid),),
            note=f"it spreads that over {SPREAD_S:.0f} s on purpose",
        ),
        Figure(
            "7", f"{label}: writes meanwhile", "writes", (float(found.writes()),), target=0.0,
            note=", ".join(f"{count} {what}" for what, count in found.written().items()),
        ),
        Figure("7", f"{label}: RSS", "MiB", (rss_mib(found.pid),), target=200.0),
    ]  # fmt: skip


async def has(api: Requests, path: str, count: int) -> bool:
    """Whether there are so many objects."""
    return len(await api.list(path)) >= count


async def is_quiet(found: Operator) -> bool:
    """Whether it writes nothing for a while."""
    before = found.writes()
    await asyncio.sleep(QUIET_S)
    return found.writes() == before


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Looks every three seconds; raises TimeoutError."""
    deadline = time.monotonic() + PATIENCE_S
    while not await holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {PATIENCE_S:.0f} s in vain")
        await asyncio.sleep(3)
