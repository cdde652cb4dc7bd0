"""Row 6 at 1,000 agents: what they ask of the API server, without the agents.

Two cores do not hold 1,000 agents beside the servers. So one process opens their watches and writes
their heartbeats, in the shape and at the pace of real ones; what comes back is not parsed.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
from bench.crew import address
from bench.figure import Figure
from bench.site import LEASES, NAMESPACE, Cpu, Site

from elasticjob.wire import lease as wire
from elasticjob.wire.agent_state import AgentState, Word
from elasticjob.wire.desired import Desired
from elasticjob.wire.member import Member, Pod
from elasticjob.wire.names import LABEL_JOB_UID, pod_name, round_lease_name
from elasticjob.wire.report import Report
from elasticjob.wire.round import Endpoint, Phase, Round

AGENTS = 1000
HEARTBEAT_S = 10.0  # what the operator gives to 1,000 agents: 100 writes a second in all
RESTARTS = 10
MERGE = {"Content-Type": "application/merge-patch+json"}


@dataclass(frozen=True)
class Crowd:
    """One job of simulated agents, all `running 1`; the agent of index 0 is the holder."""

    job: wire.Job
    agents: int

    @property
    def round(self) -> Round:
        members = tuple(Member(Pod(index, 0), 1) for index in range(self.agents))
        return Round(1, Phase.ACTIVE, members, Endpoint(address(0), 29500), starts=1)

    @property
    def names(self) -> list[str]:
        """What is written at every beat: the holder's pulse, and the others' Leases."""
        others = [pod_name(self.job.name, index, 0) for index in range(1, self.agents)]
        return [round_lease_name(self.job.name), *others]

    @property
    def queries(self) -> list[dict[str, str]]:
        """Of the watches: the holder's wide one, and the others' of the Round."""
        narrow = {"fieldSelector": f"metadata.name={round_lease_name(self.job.name)}"}
        return [{"labelSelector": f"{LABEL_JOB_UID}={self.job.uid}"}, *[narrow] * (self.agents - 1)]

    def manifests(self) -> Iterator[dict[str, Any]]:
        """The Round, then the agents' Leases."""
        wanted = tuple(Pod(index, 0) for index in range(self.agents))
        first = wire.round_manifest(self.job, Desired(wanted, heartbeat_s=HEARTBEAT_S), self.round)
        first["spec"] = {"holderIdentity": pod_name(self.job.name, 0, 0)}
        yield first
        for index in range(self.agents):
            yield wire.agent_manifest(
                self.job, "none", Pod(index, 0), "nonce", self.state(index), now(), HEARTBEAT_S
            )

    def state(self, index: int) -> AgentState:
        """As long as a real one."""
        return AgentState(
            Word.RUNNING, 1, pod_uid="0" * 36, node=f"node-{index}", address=address(index)
        )

    def beat(self, name: str) -> dict[str, Any]:
        """A heartbeat. Without a version: who counts them need not read first."""
        if name == round_lease_name(self.job.name):
            body = wire.pulse_patch(Report(1), now(), "")
        else:
            body = wire.agent_patch(self.state(1), now(), "")
        del body["metadata"]["resourceVersion"]
        return body


def now() -> str:
    """As Leases have it."""
    return time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime())


class Load:
    """The watches and heartbeats of some crowds."""

    def __init__(self, site: Site, session: aiohttp.ClientSession, crowds: list[Crowd]) -> None:
        self.site, self.session, self.crowds = site, session, crowds
        self.url = site.client.url + LEASES
        self.delivered = 0
        self.late_s = 0.0

    async def create(self) -> None:
        """All Leases, a few at a time."""
        gate = asyncio.Semaphore(20)

        async def post(manifest: dict[str, Any]) -> None:
            manifest["metadata"].pop("ownerReferences", None)  # the collector would look
            async with gate, self.session.post(self.url, json=manifest) as reply:
                assert reply.status == 201, await reply.text()

        await asyncio.gather(*(post(m) for crowd in self.crowds for m in crowd.manifests()))

    async def patch(self, name: str, body: dict[str, Any]) -> None:
        """One write."""
        data = json.dumps(body)
        async with self.session.patch(f"{self.url}/{name}", data=data, headers=MERGE) as reply:
            await reply.read()
            assert reply.status == 200, reply.status

    async def watch(self, query: dict[str, str], version: str) -> None:
        """One watch; counts its events."""
        words = {**query, "watch": "true", "resourceVersion": version}
        async with self.session.get(self.url, params=words) as reply:
            async for _ in reply.content:
                self.delivered += 1

    async def beat(self, crowd: Crowd, name: str, phase: float) -> None:
        """Heartbeats for ever, each at its time; how late the latest was is kept."""
        due = time.monotonic() + phase * HEARTBEAT_S
        while True:
            await asyncio.sleep(due - time.monotonic())
            await self.patch(name, crowd.beat(name))
            self.late_s = max(self.late_s, time.monotonic() - due)
            due += HEARTBEAT_S

    async def restart(self, crowd: Crowd) -> None:
        """The one write of a crash."""
        body = wire.round_patch(crowd.round, "")
        del body["metadata"]["resourceVersion"]
        body["metadata"]["annotations"] |= {"bench": str(time.time())}
        await self.patch(round_lease_name(crowd.job.name), body)


@asynccontextmanager
async def running(site: Site, crowds: list[Crowd]) -> AsyncIterator[Load]:
    """The load, once every watch is open."""
    tls = ssl.create_default_context(cadata=site.client.ca.decode())
    tls.verify_flags &= ~ssl.VERIFY_X509_STRICT
    connector = aiohttp.TCPConnector(ssl=tls, limit=0)
    headers = {"Authorization": f"Bearer {site.client.token}"}
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(
        connector=connector, headers=headers, timeout=timeout
    ) as session:
        load = Load(site, session, crowds)
        await load.create()
        version = site.client.get(LEASES, limit=1).version
        queries = [query for crowd in crowds for query in crowd.queries]
        beats = [(crowd, name) for crowd in crowds for name in crowd.names]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(load.watch(query, version)) for query in queries]
            await asyncio.sleep(len(queries) / 100)
            tasks += [
                group.create_task(load.beat(crowd, name, place / len(beats)))
                for place, (crowd, name) in enumerate(beats)
            ]
            try:
                yield load
            finally:
                for task in tasks:
                    task.cancel()


async def measured(site: Site, crowds: list[Crowd], seconds: float) -> tuple[Cpu, float, float]:
    """CPU of a quiet time; core seconds of one restart; how late the latest heartbeat was."""
    async with running(site, crowds) as load:
        await asyncio.sleep(HEARTBEAT_S)
        before = site.cpu()
        await asyncio.sleep(seconds)
        quiet = site.cpu() - before
        late_s, before, began = load.late_s, site.cpu(), time.monotonic()
        for _ in range(RESTARTS):
            await load.restart(crowds[0])
            await asyncio.sleep(2)
        spent, window_s = site.cpu() - before, time.monotonic() - began
    return quiet, (spent.total - quiet.total / seconds * window_s) / RESTARTS, late_s


def load(site: Site, jobs: int, seconds: float) -> Iterator[Figure]:
    """So many jobs that share 1,000 agents."""
    crowds = [
        Crowd(wire.Job(NAMESPACE, f"load-{jobs}-{number}", f"load-{jobs}-{number}"), AGENTS // jobs)
        for number in range(jobs)
    ]
    quiet, restart_s, late_s = asyncio.run(measured(site, crowds, seconds))
    for crowd in crowds:
        site.client.delete(LEASES, labelSelector=f"{LABEL_JOB_UID}={crowd.job.uid}")
    shape = "in one job" if jobs == 1 else f"in {jobs} jobs of {AGENTS // jobs}"
    etcd = f"etcd {quiet.etcd / seconds:.3f} of it"
    yield Figure(
        "6", f"API server + etcd, steady, {AGENTS} agents {shape}, T = {HEARTBEAT_S:.0f} s",
        "cores", (quiet.total / seconds,), target=0.4,
        note=f"simulated load; {etcd}; latest heartbeat {late_s * 1000:.0f} ms late",
    )  # fmt: skip
    yield Figure(
        "6", f"API server + etcd, one restart of a job of {AGENTS // jobs}, {AGENTS} agents",
        "core-s", (max(restart_s, 0.0),), target=0.1, note="simulated load",
    )  # fmt: skip
