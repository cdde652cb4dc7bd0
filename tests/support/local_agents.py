"""Run one job's agents on the local mode without an operator: the test creates the objects."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.support.jobs import elastic_job, worker
from tests.support.local_job import LocalJob, LocalNamespace
from tests.support.sign_ins import SignIn
from tests.support.supervised import stub

from elasticjob.controller.act import manifests
from elasticjob.controller.act.bundle import Bundle, build
from elasticjob.local.api.objects.builtins import (
    CONFIGMAPS,
    LEASES,
    PODS,
    ROLEBINDINGS,
    SERVICEACCOUNTS,
)
from elasticjob.local.node.process_table import pids_with_env
from elasticjob.local.node.processes import MARKER
from elasticjob.local.up import Local, up
from elasticjob.wire.agent_state import AgentState
from elasticjob.wire.desired import Desired
from elasticjob.wire.lease import JobIdentity, round_manifest
from elasticjob.wire.member import Pod
from elasticjob.wire.round import Phase, Round

NAMESPACE = "team"
KINDS = {"ServiceAccount": SERVICEACCOUNTS, "RoleBinding": ROLEBINDINGS}


class Agents(LocalNamespace):
    """The namespace of a job `demo`, whose objects the test creates in place of an operator."""

    patience_s = 30.0
    look_every_s = 0.003

    def __init__(self, local: Local, root: Path, bundle: Bundle, desired: Desired) -> None:
        super().__init__(local, NAMESPACE, root)
        self.desired = desired
        self.job = LocalJob(self, "demo", signs_in=True)
        self._hash = bundle.hash
        self._body: dict[str, Any] = {}

    # ---- what an operator would do ---------------------------------------------------------------

    def create(self, count: int, bundle: Bundle, command: tuple[str, ...], workers: int) -> None:
        """The job, the rights, the agent, the Round Lease, then the pods."""
        pod = {"containers": [worker(command=list(command))]}
        job = elastic_job(pod=pod, replicas=count, nprocPerNode=workers)
        del job["metadata"]["uid"]
        self._body = self.store.create(self.jobs, NAMESPACE, job)
        for found in manifests.rights(self._body):
            self.store.create(KINDS[found["kind"]], NAMESPACE, found)
        self.store.create(CONFIGMAPS, NAMESPACE, manifests.agent_config_map(NAMESPACE, bundle))
        record = JobIdentity(NAMESPACE, "demo", self._body["metadata"]["uid"])
        self.store.create(LEASES, NAMESPACE, round_manifest(record, self.desired, Round()))
        for index in range(count):
            self.add(index)

    def add(self, index: int, generation: int = 0) -> None:
        """One more pod."""
        pod = manifests.pod(self._body, index, generation, self._hash)
        self.store.create(PODS, NAMESPACE, pod)

    def delete(self, index: int, generation: int = 0) -> None:
        """As `kubectl delete pod`: SIGTERM, then the pod's grace."""
        self.store.delete(PODS, NAMESPACE, f"demo-{index}-{generation}")

    def kill_all(self) -> None:
        """Every agent, at once."""
        for pod in self.store.list(PODS, NAMESPACE):
            self.local.kubelet.kill(NAMESPACE, pod["metadata"]["name"])

    # ---- what there is to see --------------------------------------------------------------------

    @property
    def round(self) -> Round:
        """The current round."""
        return self.job.round

    @property
    def holder(self) -> int:
        """The holder's index; -1: there is none."""
        name = self.job.lease.holder
        return int(name.split("-")[1]) if name else -1

    def state(self, index: int, generation: int = 0) -> AgentState:
        """The state in the agent's Lease."""
        return self.job.agents[f"demo-{index}-{generation}"].state

    def pod(self, index: int, generation: int = 0) -> dict[str, Any]:
        """The pod's status and what its worker container ended with; {}: it is gone."""
        return self.store.find(PODS, NAMESPACE, f"demo-{index}-{generation}") or {}

    def ended(self, index: int, generation: int = 0) -> dict[str, Any]:
        """How the worker container ended; {} if it has not ended."""
        return self.job.ended(f"{index}-{generation}")

    def sign_ins(self, n: int) -> list[SignIn]:
        """The workers of round n that were started, in the order of their ranks."""
        return self.job.workers(n)

    # ---- waiting ---------------------------------------------------------------------------------

    async def run(self, n: int, count: int) -> list[SignIn]:
        """Wait until this number of workers of round n runs; return them."""
        await self.until(lambda: len(self.sign_ins(n)) >= count, f"round {n} with {count} workers")
        return self.sign_ins(n)

    async def settled(self, n: int, *indexes: int) -> None:
        """Wait until the Leases of these members report that they run round n."""
        await self.until(
            lambda: all(
                (s := self.state(i)).n == n and s.phase.value == "running" for i in indexes
            ),
            f"running {n}",
        )

    async def next_round(self, after: int) -> Round:
        """Wait for a round after this one; return it."""
        await self.until(lambda: self.round.n > after, f"a round after {after}")
        return self.round


@asynccontextmanager
async def agents_on_local(
    root: Path, count: int = 4, *, min_members: int = 3, heartbeat_s: float = 0.5,
    command: tuple[str, ...] | None = None, workers: int = 1, **desired: Any,
) -> AsyncIterator[Agents]:  # fmt: skip
    """Start this number of pods; check at the end that no process of them is left."""
    bundle = build()
    wanted = Desired(
        wanted=tuple(Pod(index, 0) for index in range(count)),
        min_members=min_members,
        heartbeat_s=heartbeat_s,
        **{"cooldown_s": 0.2, "last_call_s": 1.0, "stop_grace_s": 5.0, **desired},
    )
    local_root = root / "local"
    async with up(local_root, python=Path(sys.executable)) as local:
        agents = Agents(local, root, bundle, wanted)
        agents.create(count, bundle, command or stub("signs_in", str(agents.job.register)), workers)
        try:
            yield agents
        finally:
            agents.kill_all()  # none of them need leave in order
    left = pids_with_env(MARKER, str(local_root.resolve()))
    assert not left, f"processes are left: {left}"


async def active(agents: Agents, n: int = 1, count: int = 4) -> None:
    """Wait until the first round runs and every member has reported it."""
    await agents.run(n, count)
    await agents.settled(n, *range(4))
    assert agents.round.phase is Phase.ACTIVE
