"""Simulated agents: their Leases, watches and heartbeats, in the shape and at the pace of real."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from bench.crew import address
from bench.requests import Requests, each
from bench.site import LEASES

from elasticjob.wire import lease as wire
from elasticjob.wire.agent_state import AgentPhase, AgentState
from elasticjob.wire.desired import Desired
from elasticjob.wire.member import Member, Pod
from elasticjob.wire.names import LABEL_JOB_UID, pod_name, round_lease_name
from elasticjob.wire.report import Report
from elasticjob.wire.round import Endpoint, Phase, Round

HEARTBEAT_S = 10.0  # what the operator gives to 1,000 agents: 100 writes a second in all
Json = dict[str, Any]


@dataclass(frozen=True)
class Crowd:
    """One job of simulated agents, all `running 1`; the agent of index 0 is the holder."""

    job: wire.Job
    agents: int

    @property
    def pods(self) -> tuple[Pod, ...]:
        return tuple(Pod(index, 0) for index in range(self.agents))

    @property
    def holder(self) -> str:
        return pod_name(self.job.name, 0, 0)

    @property
    def round_lease(self) -> str:
        """Its path."""
        return f"{LEASES}/{round_lease_name(self.job.name)}"

    @property
    def round(self) -> Round:
        """The first, of all agents."""
        members = tuple(Member(pod, 1) for pod in self.pods)
        return Round(1, Phase.ACTIVE, members, Endpoint(address(0), 29500), starts=1)

    @property
    def report(self) -> Report:
        """All run it."""
        return Report(1, running=self.pods)

    def queries(self) -> Iterator[dict[str, str]]:
        """Of the watches: the holder's wide one, and the others' of the Round."""
        yield {"labelSelector": f"{LABEL_JOB_UID}={self.job.uid}"}
        for _ in range(1, self.agents):
            yield {"fieldSelector": f"metadata.name={round_lease_name(self.job.name)}"}

    def beats(self) -> Iterator[tuple[str, Json]]:
        """What is written every T: the holder's pulse, and the others' renewals. Path and patch."""
        yield self.round_lease, unversioned(wire.pulse_patch(self.report, now(), ""))
        for pod in self.pods[1:]:
            body = wire.agent_patch(self.state(pod), now(), "")
            yield f"{LEASES}/{pod_name(self.job.name, pod.index, 0)}", unversioned(body)

    def round_manifest(self) -> Json:
        """The Round Lease, Active."""
        desired = Desired(self.pods, heartbeat_s=HEARTBEAT_S)
        found = wire.round_manifest(self.job, desired, self.round)
        return unowned({**found, "spec": {"holderIdentity": self.holder}})

    def agent_manifests(self) -> Iterator[Json]:
        """The agents' Leases."""
        for pod in self.pods:
            yield unowned(
                wire.agent_manifest(
                    self.job, "none", pod, "nonce", self.state(pod), now(), HEARTBEAT_S
                )
            )

    def state(self, pod: Pod) -> AgentState:
        """As long as a real one."""
        node, where = f"node-{pod.index}", address(pod.index)
        return AgentState(AgentPhase.RUNNING, 1, pod_uid="0" * 36, node=node, address=where)

    def taken_over(self) -> Json:
        """Patch of a Round Lease that the operator has made: the agents have met."""
        notes = wire.round_patch(self.round, "")["metadata"]["annotations"]
        notes |= wire.pulse_patch(self.report, now(), "")["metadata"]["annotations"]
        spec = {"holderIdentity": self.holder, "renewTime": now()}
        return {"metadata": {"annotations": notes}, "spec": spec}


def unversioned(patch: Json) -> Json:
    """Without compare-and-swap: who only counts requests need not read first."""
    metadata = {key: value for key, value in patch["metadata"].items() if key == "annotations"}
    return {**patch, "metadata": metadata}


def unowned(manifest: Json) -> Json:
    """The collector would look for the owner."""
    manifest["metadata"].pop("ownerReferences", None)
    return manifest


def now() -> str:
    """As Leases have it."""
    return time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime())


class Hearts:
    """How late the latest heartbeat was, so that a load that cannot be kept up shows."""

    def __init__(self) -> None:
        self.late_s = 0.0

    async def beat(self, api: Requests, path: str, body: Json, phase: float) -> None:
        """One agent's heartbeats, for ever, each at its time."""
        due = time.monotonic() + phase * HEARTBEAT_S
        while True:
            await asyncio.sleep(due - time.monotonic())
            await api.patch(path, {**body, "spec": {**body["spec"], "renewTime": now()}})
            self.late_s = max(self.late_s, time.monotonic() - due)
            due += HEARTBEAT_S


@asynccontextmanager
async def beating(api: Requests, crowds: list[Crowd]) -> AsyncIterator[Hearts]:
    """The heartbeats of all, evenly spread over T."""
    hearts, beats = Hearts(), [beat for crowd in crowds for beat in crowd.beats()]
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(hearts.beat(api, path, body, place / len(beats)))
            for place, (path, body) in enumerate(beats)
        ]
        yield hearts
        for task in tasks:
            task.cancel()


@asynccontextmanager
async def watching(api: Requests, crowds: list[Crowd]) -> AsyncIterator[None]:
    """The watches of all, once they are open."""
    version = api.site.client.get(LEASES, limit=1).version
    queries = [query for crowd in crowds for query in crowd.queries()]
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(api.watch(LEASES, {**query, "resourceVersion": version}))
            for query in queries
        ]
        await asyncio.sleep(len(queries) / 100)
        yield
        for task in tasks:
            task.cancel()


async def create(api: Requests, crowds: list[Crowd]) -> None:
    """All Leases."""
    manifests = [m for crowd in crowds for m in (crowd.round_manifest(), *crowd.agent_manifests())]
    await each(manifests, lambda manifest: api.post(LEASES, manifest))
