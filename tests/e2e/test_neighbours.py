"""Code in one job attacks another job of its namespace, without an admission policy."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from dev.kube_client import Client, Reply
from tests.support.local_cluster import LocalCluster
from tests.support.local_job import LocalJob
from tests.support.survivors import is_dead

from elasticjob.local.api.objects.builtins import LEASES
from elasticjob.wire import names
from elasticjob.wire.agent_state import AgentPhase, AgentState
from elasticjob.wire.lease import LEASE_API

pytestmark = pytest.mark.e2e


class Intruder:
    """Code in a worker: it reads the token of its pod, and writes its pod's own Lease."""

    def __init__(self, worker_pid: int, namespace: str) -> None:
        text = Path(f"/proc/{worker_pid}/environ").read_text()
        env = dict(entry.split("=", 1) for entry in text.split("\0") if entry)
        token = Path(env["ELASTICJOB_TOKEN_DIR"])
        url = f"https://{env['KUBERNETES_SERVICE_HOST']}:{env['KUBERNETES_SERVICE_PORT']}"
        self.client = Client(url, (token / "ca.crt").read_bytes(), (token / "token").read_text())
        self.leases = f"/apis/{LEASE_API}/namespaces/{namespace}/leases"
        self.own = f"{self.leases}/{env['ELASTICJOB_POD_NAME']}"

    async def uid_of(self, job: str) -> str:
        """The UID of another job, as every Lease of that job shows it."""
        found = await asyncio.to_thread(self.client.get, self.leases)
        labels = [item["metadata"]["labels"] for item in found.body["items"]]
        return next(each[names.LABEL_JOB_UID] for each in labels if each[names.LABEL_JOB] == job)

    async def write(self, job_uid: str, state: str) -> None:
        """Write the own Lease as one of another job; the API server accepts that."""
        change = {
            "labels": {names.LABEL_JOB_UID: job_uid},
            "annotations": {names.ANNOTATION_AGENT: state},
        }
        await self._done(self.client.patch, self.own, {"metadata": change})

    async def _done(self, call: Any, *arguments: Any) -> None:
        reply: Reply = await asyncio.to_thread(call, *arguments)
        assert reply.code == 200, reply.body


def hostile(n: int) -> list[str]:
    """States of a Lease that could take over a round: the pod leaves, then is ready again."""
    newcomer = AgentState(AgentPhase.READY, n, address="127.66.66.66", port_base=6666, workers=30)
    fields = json.loads(newcomer.to_json())
    return [
        AgentState(AgentPhase.RUNNING, n, leaving=True, address="127.66.66.66").to_json(),
        newcomer.to_json(),
        json.dumps({**fields, "address": "127.0.0.1\0"}),
        AgentState(AgentPhase.DONE, n, address="127.66.66.66").to_json(),
        "not a record",
    ]


async def test_a_lease_with_the_labels_of_another_job_changes_nothing_there(
    cluster: LocalCluster,
) -> None:
    victim, evil = cluster.apply("victim", replicas=2), cluster.apply("evil", replicas=1)
    await victim.runs(1, pods=2)
    await evil.runs(1, pods=1)
    before, pods, workers = victim.round, victim.pods, victim.workers(1)
    cluster.kubelet.freeze(cluster.namespace, "evil-0-0")  # its agent would correct the Lease
    intruder = Intruder(evil.workers(1)[0].pid, cluster.namespace)
    try:
        uid = await intruder.uid_of("victim")
        for state in hostile(before.n):
            await intruder.write(uid, state)
            await check_undisturbed(victim)
        cluster.store.delete(LEASES, cluster.namespace, "evil-0-0")  # as the operator may
        await check_undisturbed(victim)
    finally:
        intruder.client.close()
        cluster.kubelet.thaw(cluster.namespace, "evil-0-0")
    ignored = "Lease evil-0-0 is ignored: the Lease 'evil-0-0' is not named like a pod of victim"
    await cluster.prints(victim.pod(victim.lease.holder.removeprefix("victim-")), ignored)
    assert [victim.round, victim.pods, victim.workers(1)] == [before, pods, workers]
    assert not any(is_dead(each.pid) for each in workers)

    os.kill(workers[1].pid, signal.SIGKILL)
    await victim.runs(2, pods=2)
    assert (victim.round.members, victim.round.master) == (before.members, before.master)
    assert (victim.pods, len(victim.workers(2))) == (pods, 2)
    assert (victim.status["restarts"], victim.status["counted"]) == (1, 1)
    assert victim.failure["pod"] == "victim-1-0"


async def test_a_round_that_gives_a_pod_other_workers_costs_that_pod_and_starts_none(
    cluster: LocalCluster,
) -> None:
    """Code in the job may write the Round Lease, but must not choose how many workers pods run."""
    job = cluster.apply("job", replicas=3, minReplicas=2)
    await job.hurry()
    await job.runs(1, pods=3)
    before = job.round
    members = tuple(replace(m, workers=30 if m.pod.index == 1 else 1) for m in before.members)
    job.write_round(replace(before, n=2, members=members, starts=2))
    await job.runs_again(pods=3, after=2)
    assert [(m.pod.generation, m.workers) for m in job.round.members] == [(0, 1), (1, 1), (0, 1)]
    assert {each.rank for each in job.workers(2)} <= {0, 31}
    ended = job.ended("1-0")
    assert ended["exitCode"] == 75
    assert "round 2 gives this pod 30 workers; its spec has 1 (nprocPerNode)" in ended["message"]
    assert (job.failure["reason"], job.failure["pod"]) == ("PodEnded", "job-1-0")
    assert "gives this pod 30 workers" in job.failure["message"]


async def check_undisturbed(job: LocalJob) -> None:
    """Check that a job is unchanged after two pulses of its holder.

    The holder writes a pulse only after its stream has delivered the previous pulse, and so every
    earlier change of a Lease.
    """
    await job.renews(2)
    assert [round_.n for round_ in job.rounds] == [0, 1]
