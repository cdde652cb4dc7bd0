"""What `kubectl describe` shows of a job after ten incidents of different kinds."""

from __future__ import annotations

import os
import signal
from collections.abc import Awaitable, Callable

import pytest
from tests.support.jobs import worker
from tests.support.local_cluster import LocalCluster
from tests.support.local_job import LocalJob
from tests.support.supervised import stub

pytestmark = pytest.mark.e2e


class History:
    """A job, and what happens to it."""

    def __init__(self, cluster: LocalCluster, job: LocalJob) -> None:
        self.cluster = cluster
        self.job = job
        self.n = 1

    async def runs(self, pods: int = 3) -> None:
        """Wait until all pods run a later round, which its event reports."""
        self.n = await self.job.runs_again(pods=pods, after=self.n)
        await self.job.starts(self.n, pods)

    def newest(self, index: int) -> str:
        """The pod of an index, as index and generation."""
        pod = next(pod for pod in self.job.round.pods if pod.index == index)
        return f"{pod.index}-{pod.generation}"

    def kill_worker(self, rank: int, number: int) -> None:
        workers = [each for each in self.job.workers(self.n) if each.rank == rank]
        os.kill(workers[0].pid, number)

    def kill_pod(self, index: int, number: int = signal.SIGKILL) -> None:
        self.cluster.kubelet.kill(self.cluster.namespace, f"job-{self.newest(index)}", number)

    def freeze_pod(self, index: int) -> None:
        self.cluster.kubelet.freeze(self.cluster.namespace, f"job-{self.newest(index)}")

    async def suspend(self) -> None:
        self.job.edit(suspend=True)
        await self.job.is_("Suspended")
        self.job.edit(suspend=False)

    def change_template(self) -> None:
        command = ["env", "NEW=1", *stub("signs_in", str(self.job.register))]
        self.job.edit(template={"spec": {"containers": [worker(command=command)]}})


PLANNED = ("MembersScaled", "WorkersStopped")
RUNS = "(without job-{0}-0, with job-{0}-1) after"


async def test_each_incident_is_one_line_with_its_pod_and_its_end(cluster: LocalCluster) -> None:
    job = cluster.apply("job", replicas=4)
    await job.hurry()
    await job.runs(1, pods=4)
    history = History(cluster, job)
    incidents: list[tuple[int, Callable[[], Awaitable[None] | None]]] = [
        (4, lambda: history.kill_worker(0, signal.SIGKILL)),
        (4, lambda: history.kill_worker(1, signal.SIGSEGV)),
        (4, lambda: history.kill_pod(2)),
        (4, lambda: job.delete_pod(history.newest(1))),
        (4, lambda: history.kill_pod(0, signal.SIGTERM)),
        (4, lambda: history.freeze_pod(3)),
        (5, lambda: job.edit(replicas=5)),
        (4, lambda: job.edit(replicas=4)),
        (4, history.suspend),
        (4, history.change_template),
    ]
    for pods, happens in incidents:
        waiting = happens()
        if waiting is not None:
            await waiting
        await history.runs(pods)
    await job.reports("Running", f"all 4 members are running round {history.n}")
    lines = [(e["reason"], e["message"]) for e in job.event_objects() if " ended: " in e["message"]]
    expected = [
        ("WorkersFailed", "job-0-0 (rank 0) on local: WorkerSignaled", "counted: 1 of", "after"),
        ("WorkersFailed", "job-1-0 (rank 1) on local: WorkerSignaled", "counted: 2 of", "after"),
        ("PodsLost", "job-2-0 on local: ", "exit code 137; counted: 3 of", RUNS.format(2)),
        ("PodsLeft", "job-1-0 on local: Leaving", "not counted: the pod was", RUNS.format(1)),
        ("PodsLeft", "job-0-0 on local: Leaving", "counted: 4 of", RUNS.format(0)),
        ("PodsLost", "job-3-0 on local: PodSilent", "counted: 5 of", RUNS.format(3)),
        ("MembersScaled", "(4 members) ended: 1 pod added", "5 members (with job-4-0)", "after"),
        ("MembersScaled", "(5 members) ended: ", "4 members (without job-4-0)", "after"),
        ("WorkersStopped", "the job is suspended; no round is active until the job is resumed"),
        ("WorkersStopped", "the template has changed", "no round", "4 pods are ready"),
    ]
    lines.sort(key=lambda line: int(line[1].split()[1]))
    assert len(lines) == len(expected), lines
    for (reason, message), (kind, *texts) in zip(lines, expected, strict=True):
        assert reason == kind, message
        assert [text for text in texts if text not in message] == [], message
    failures = job.status["recentFailures"]
    unplanned = [texts[0].split()[0] for kind, *texts in expected if kind not in PLANNED]
    assert [each["pod"] for each in failures] == unplanned[::-1]
    assert [each["counted"] for each in failures] == [True, True, False, True, True, True]
    assert job.failure["pod"] == "job-3-0"
    kinds = {kind for kind, *_ in expected}
    assert {event["count"] for event in job.event_objects() if event["reason"] in kinds} == {1}
