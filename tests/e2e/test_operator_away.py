"""The operator is killed or away: the agents work without it, and it catches up later."""

from __future__ import annotations

import os
import signal

import pytest
from tests.support.local_cluster import LocalCluster
from tests.support.survivors import is_dead

from elasticjob.wire.round import Phase

pytestmark = pytest.mark.e2e


async def test_a_worker_crashes_meanwhile_and_the_group_restarts(cluster: LocalCluster) -> None:
    job = await cluster.running("job", replicas=3)
    pods = job.pods
    await cluster.take_operator_away()
    os.kill(job.workers(1)[1].pid, signal.SIGKILL)
    await job.starts(2, 3)
    assert job.status["round"] == 1
    cluster.bring_operator_back()
    await job.runs(2, pods=3)
    assert job.pods == pods
    assert job.status["counted"] == 1
    assert (job.failure["pod"], job.failure["rank"], job.failure["signal"]) == ("job-1-0", 1, 9)
    await job.reports("WorkersFailed", "ended: job-1-0 (rank 1)")


async def test_a_pod_is_lost_meanwhile_and_replaced_when_it_is_back(cluster: LocalCluster) -> None:
    job = cluster.apply("job", replicas=3, minReplicas=2)
    await job.hurry()
    await job.runs(1, pods=3)
    await cluster.take_operator_away()
    cluster.kubelet.kill(cluster.namespace, "job-0-0")
    workers = await job.starts(2, 2)
    assert [each.rank for each in workers] == [0, 1]
    cluster.bring_operator_back()
    await job.runs_again(pods=3, after=2)
    assert sorted(job.round.pods)[0].generation == 1
    assert job.status["counted"] == 1
    assert (job.failure["pod"], job.failure["exitCode"]) == ("job-0-0", 137)


async def test_a_job_ends_meanwhile_and_its_status_follows(cluster: LocalCluster) -> None:
    go = cluster.root / "go"
    command = ["sh", "-c", f'until [ -e "{go}" ]; do sleep 0.05; done']
    job = await cluster.running("job", command, replicas=2, cleanPodPolicy="All")
    await cluster.take_operator_away()
    go.touch()
    await job.until(lambda: job.round.phase is Phase.SUCCEEDED, "success")
    await job.until(lambda: all(job.ended(f"{i}-0") for i in range(2)), "the pods' ends")
    cluster.bring_operator_back()
    await job.is_("Complete")
    await job.until(lambda: job.pods == {}, "the pods cleaned up")


async def test_a_job_is_changed_and_another_deleted_meanwhile(cluster: LocalCluster) -> None:
    job, other = cluster.apply("job", replicas=3), cluster.apply("other", replicas=2)
    await job.runs(1, pods=3)
    await other.runs(1, pods=2)
    await cluster.take_operator_away()
    other.delete()
    job.edit(replicas=2)
    await cluster.until(
        lambda: not any("other" in line for line in cluster.left()), "the other job to be deleted"
    )
    assert not any(is_dead(each.pid) for each in job.workers(1))
    cluster.bring_operator_back()
    await job.runs_again(pods=2)
    await job.until(lambda: sorted(job.pods) == ["job-0-0", "job-1-0"], "two pods")
    assert job.status["counted"] == 0


async def test_killed_again_and_again_while_workers_crash(cluster: LocalCluster) -> None:
    """The operator is killed at different points of its work; each change happens once."""
    job = cluster.apply("job", replicas=2, minReplicas=1)
    await job.hurry()
    await job.runs(1, pods=2)
    for n in (1, 2):
        os.kill(job.workers(n)[0].pid, signal.SIGKILL)
        await cluster.take_operator_away()
        cluster.bring_operator_back()
        await job.runs(n + 1, pods=2)
    job.delete_pod("1-0")
    await cluster.take_operator_away()
    cluster.bring_operator_back()
    await job.runs_again(pods=2, after=4)
    assert sorted(job.pods) == ["job-0-0", "job-1-1"]
    assert job.status["counted"] == 2


async def test_the_definition_is_deleted_and_created_again(cluster: LocalCluster) -> None:
    """All jobs are deleted with it. The operator terminates, and serves new jobs later."""
    await cluster.running("job", replicas=2)
    await cluster.delete_definition()
    await cluster.until(lambda: cluster.operator_restarts > 0, "the operator has ended")
    await cluster.prints(cluster.operator, "the definition of ElasticJob is not installed")
    await cluster.until(lambda: not cluster.left(), "all objects of the job to be deleted")
    cluster.create_definition()
    other = await cluster.running("other", replicas=2)
    await cluster.take_operator_away()  # otherwise the fixture would count its restarts
    cluster.bring_operator_back()
    await other.is_("Running")
