"""A worker that dies costs one round and one charge, and no pod."""

from __future__ import annotations

import os
import signal

import pytest
from tests.support.local_cluster import LocalCluster
from tests.support.survivors import is_dead, kill_together

from elasticjob.wire.round import Phase

pytestmark = pytest.mark.e2e

# Rank 1 fails like a script under torch's @record; rank 0 waits for it forever.
RECORDED = """
import json, os, sys, time
if os.environ["RANK"] == "0": time.sleep(1000)
stack = "Traceback (most recent call last):\\n  File 'train.py'\\nValueError: loss is nan"
with open(os.environ["TORCHELASTIC_ERROR_FILE"], "w") as file:
    json.dump({"message": {"message": "loss is nan", "extraInfo": {"py_callstack": stack}}}, file)
sys.exit(3)
"""
PLAIN = '[ "$RANK" = 0 ] && exec sleep 1000; exit 5'


async def test_a_killed_worker_costs_one_round_and_no_pod(cluster: LocalCluster) -> None:
    job = await cluster.running("job", replicas=3)
    pods, workers = job.pods, job.workers(1)
    os.kill(workers[2].pid, signal.SIGKILL)
    await job.runs(2, pods=3)
    assert job.pods == pods
    assert [each.rank for each in job.workers(2)] == [0, 1, 2]
    assert all(is_dead(each.pid) for each in workers)
    assert (job.status["restarts"], job.status["counted"]) == (1, 1)
    assert job.failure == {
        "pod": "job-2-0",
        "node": "local",
        "rank": 2,
        "signal": 9,
        "reason": "WorkerSignaled",
        "message": "ended by SIGKILL",
        "round": 1,
    }
    assert job.status["lastRecovery"]["round"] == 2
    await job.reports("WorkersFailed", "round 1 failed: job-2-0 (rank 2): WorkerSignaled")


async def test_all_workers_of_all_pods_killed_at_once_are_one_failure(
    cluster: LocalCluster,
) -> None:
    job = cluster.apply("job", replicas=2, nprocPerNode=2)
    await job.runs(1, pods=2, workers=4)
    assert [each.rank for each in job.workers(1)] == [0, 1, 2, 3]
    kill_together([each.pid for each in job.workers(1)])
    await job.runs(2, pods=2, workers=4)
    assert job.status["counted"] == 1


@pytest.mark.parametrize(
    ("command", "code", "message"),
    [
        (["python3", "-S", "-c", RECORDED], 3, "ValueError: loss is nan; exit code 3"),
        (["bash", "-c", PLAIN], 5, "exit code 5"),
    ],
    ids=["torch's error file", "exit code"],
)
async def test_the_worker_that_spent_the_budget_is_named(
    cluster: LocalCluster, command: list[str], code: int, message: str
) -> None:
    job = cluster.apply("job", command, replicas=2, maxRestarts=1)
    await job.is_("Failed: WorkerFailed")
    assert [r.phase for r in job.rounds if r.n] == [Phase.ACTIVE, Phase.ACTIVE, Phase.FAILED]
    assert job.status["counted"] == 2  # the failure that ended the job, too
    failed = job.condition("Failed")
    assert (failed["status"], failed["reason"]) == ("True", "WorkerFailed")
    assert failed["message"].startswith("job-1-0 (rank 1): ")
    assert failed["message"].endswith(f"{message}; exceeded maxRestarts (1)")
    assert (job.failure["pod"], job.failure["exitCode"], job.failure["round"]) == (
        "job-1-0",
        code,
        2,
    )
    await job.until(lambda: job.ended("1-0"), "the end of the blamed pod")
    assert job.ended("1-0")["exitCode"] == code


async def test_without_a_budget_the_first_failure_fails_the_job(cluster: LocalCluster) -> None:
    job = await cluster.running("job", replicas=2, maxRestarts=0)
    os.kill(job.workers(1)[0].pid, signal.SIGSEGV)
    await job.is_("Failed: WorkerSignaled")
    assert "job-0-0 (rank 0): ended by SIGSEGV" in job.condition("Failed")["message"]
    await job.until(lambda: job.ended("0-0"), "the end of the blamed pod")
    assert job.ended("0-0")["exitCode"] == 128 + signal.SIGSEGV
    assert job.status["counted"] == 1
