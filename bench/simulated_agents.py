"""Simulated agents: Leases, watches and heartbeats like those of real agents, from one process.

Two cores do not hold 1,000 agents next to the servers. Answers are not parsed.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

import aiohttp
from bench.agents import address
from bench.api_server import LEASES, ApiServer
from dev.kube_client import MERGE, Json

from elasticjob.wire import lease as leases
from elasticjob.wire.agent_state import AgentPhase, AgentState
from elasticjob.wire.desired import Desired
from elasticjob.wire.member import Member, Pod
from elasticjob.wire.names import LABEL_JOB_UID, pod_name, round_lease_name
from elasticjob.wire.report import Report
from elasticjob.wire.round import Endpoint, Phase, Round

HEARTBEAT_S = 10.0  # the operator's choice for 1,000 agents: 100 writes a second in all
AT_ONCE = 20
Item = TypeVar("Item")


@dataclass(frozen=True)
class SimulatedJob:
    """One job whose agents are all `running 1`; the agent of index 0 is the holder."""

    job: leases.JobIdentity
    agents: int

    @property
    def pods(self) -> tuple[Pod, ...]:
        """The pods of all agents."""
        return tuple(Pod(index, 0) for index in range(self.agents))

    @property
    def holder(self) -> str:
        """The holder's pod name."""
        return pod_name(self.job.name, 0, 0)

    @property
    def round_lease(self) -> str:
        """The path of the Round Lease."""
        return f"{LEASES}/{round_lease_name(self.job.name)}"

    @property
    def round(self) -> Round:
        """The first round, with all agents."""
        members = tuple(Member(pod, 1) for pod in self.pods)
        return Round(1, Phase.ACTIVE, members, Endpoint(address(0), 29500), starts=1)

    @property
    def report(self) -> Report:
        """The holder's report: all agents run round 1."""
        return Report(1, running=self.pods)

    def watches(self) -> Iterator[dict[str, str]]:
        """The queries of the watches: the holder watches all Leases, the others the Round Lease."""
        yield {"labelSelector": f"{LABEL_JOB_UID}={self.job.uid}"}
        for _ in range(1, self.agents):
            yield {"fieldSelector": f"metadata.name={round_lease_name(self.job.name)}"}

    def heartbeats(self) -> Iterator[tuple[str, Json]]:
        """Return path and patch of each write every T: the holder's pulse, the others' renewals."""
        yield self.round_lease, unversioned(leases.pulse_patch(self.report, now(), ""))
        for pod in self.pods[1:]:
            body = leases.agent_patch(self.state(pod), now(), "")
            yield f"{LEASES}/{pod_name(self.job.name, pod.index, 0)}", unversioned(body)

    def round_manifest(self) -> Json:
        """The Round Lease, Active."""
        desired = Desired(self.pods, heartbeat_s=HEARTBEAT_S)
        found = leases.round_manifest(self.job, desired, self.round)
        return without_owner({**found, "spec": {"holderIdentity": self.holder}})

    def agent_manifests(self) -> Iterator[Json]:
        """The agents' Leases."""
        for pod in self.pods:
            yield without_owner(
                leases.agent_manifest(
                    self.job, "none", pod, "nonce", self.state(pod), now(), HEARTBEAT_S
                )
            )

    def state(self, pod: Pod) -> AgentState:
        """Return a state with as many bytes as a real one."""
        node, host = f"node-{pod.index}", address(pod.index)
        return AgentState(AgentPhase.RUNNING, 1, pod_uid="0" * 36, node=node, address=host)

    def first_round_patch(self) -> Json:
        """The patch that turns a Round Lease of the operator into one whose agents have met."""
        notes = leases.round_patch(self.round, "")["metadata"]["annotations"]
        notes |= leases.pulse_patch(self.report, now(), "")["metadata"]["annotations"]
        spec = {"holderIdentity": self.holder, "renewTime": now()}
        return {"metadata": {"annotations": notes}, "spec": spec}


def unversioned(patch: Json) -> Json:
    """The patch without a resourceVersion, so that it needs no read before it."""
    metadata = {key: value for key, value in patch["metadata"].items() if key == "annotations"}
    return {**patch, "metadata": metadata}


def without_owner(manifest: Json) -> Json:
    """The manifest without its owner, for which garbage collection would look."""
    manifest["metadata"].pop("ownerReferences", None)
    return manifest


def now() -> str:
    """The current time, in a Lease's format."""
    return time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime())


class Requests:
    """Concurrent requests as the administrator; a refused one raises AssertionError."""

    def __init__(self, server: ApiServer, session: aiohttp.ClientSession) -> None:
        self.server, self._session = server, session

    async def post(self, path: str, manifest: Json) -> None:
        """Create an object."""
        async with self._session.post(self.server.client.url + path, json=manifest) as reply:
            assert reply.status == 201, await reply.text()

    async def patch(self, path: str, body: Json) -> None:
        """Send a merge patch."""
        url, headers = self.server.client.url + path, {"Content-Type": MERGE}
        async with self._session.patch(url, data=json.dumps(body), headers=headers) as reply:
            assert reply.status == 200, await reply.text()
            await reply.read()

    async def delete(self, path: str) -> None:
        """Delete an object."""
        async with self._session.delete(self.server.client.url + path) as reply:
            assert reply.status in (200, 202), await reply.text()

    async def watch(self, path: str, query: dict[str, str]) -> None:
        """Read a watch until it is cancelled."""
        url = self.server.client.url + path
        async with self._session.get(url, params={**query, "watch": "true"}) as reply:
            async for _ in reply.content:
                pass


@asynccontextmanager
async def requests(server: ApiServer) -> AsyncIterator[Requests]:
    """Open a session without a limit of connections."""
    tls = ssl.create_default_context(cadata=server.client.ca.decode())
    tls.verify_flags &= ~ssl.VERIFY_X509_STRICT
    headers = {"Authorization": f"Bearer {server.client.token}"}
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=tls, limit=0),
        headers=headers,
        timeout=aiohttp.ClientTimeout(total=None),
    ) as session:
        yield Requests(server, session)


async def for_each(items: Iterable[Item], act: Callable[[Item], Awaitable[object]]) -> None:
    """Run an action for all items, a few at a time."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def gated(item: Item) -> None:
        async with gate:
            await act(item)

    await asyncio.gather(*map(gated, items))


class Lateness:
    """The delay of the latest heartbeat, which shows an overload."""

    def __init__(self) -> None:
        self.seconds = 0.0

    async def beat(self, api: Requests, path: str, body: Json, phase: float) -> None:
        """Send one agent's heartbeats until cancelled, each at its time."""
        due = time.monotonic() + phase * HEARTBEAT_S
        while True:
            await asyncio.sleep(due - time.monotonic())
            await api.patch(path, {**body, "spec": {**body["spec"], "renewTime": now()}})
            self.seconds = max(self.seconds, time.monotonic() - due)
            due += HEARTBEAT_S


@asynccontextmanager
async def beating(api: Requests, jobs: list[SimulatedJob]) -> AsyncIterator[Lateness]:
    """Send the heartbeats of all agents, evenly spread over T."""
    late, beats = Lateness(), [beat for job in jobs for beat in job.heartbeats()]
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(late.beat(api, path, body, place / len(beats)))
            for place, (path, body) in enumerate(beats)
        ]
        yield late
        for task in tasks:
            task.cancel()


@asynccontextmanager
async def watching(api: Requests, jobs: list[SimulatedJob]) -> AsyncIterator[None]:
    """Open the watches of all agents."""
    version = api.server.client.get(LEASES, limit=1).version
    queries = [query for job in jobs for query in job.watches()]
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(api.watch(LEASES, {**query, "resourceVersion": version}))
            for query in queries
        ]
        await asyncio.sleep(len(queries) / 100)
        yield
        for task in tasks:
            task.cancel()


async def create(api: Requests, jobs: list[SimulatedJob]) -> None:
    """Create all Leases."""
    manifests = [m for job in jobs for m in (job.round_manifest(), *job.agent_manifests())]
    await for_each(manifests, lambda manifest: api.post(LEASES, manifest))
