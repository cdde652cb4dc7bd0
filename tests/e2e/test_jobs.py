"""Jobs that start, run and complete, and two jobs that do not disturb each other."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import yaml
from tests.support.local_cluster import LocalCluster
from tests.support.survivors import is_dead

pytestmark = pytest.mark.e2e

QUICKSTART = Path(__file__).parents[2] / "examples" / "quickstart.yaml"


async def test_the_quickstart(cluster: LocalCluster) -> None:
    job = cluster.apply_body("quickstart", yaml.safe_load(QUICKSTART.read_text()))
    await job.is_("Running")
    assert job.status["ready"] == "4/4"
    await job.is_("Complete")
    await job.until(lambda: all(job.ended(f"{i}-0") for i in range(4)), "four ends")
    assert [job.ended(f"{i}-0")["exitCode"] for i in range(4)] == [0, 0, 0, 0]
    for index in range(4):
        log = await cluster.log(job.pod(f"{index}-0"))
        assert f"I am rank {index} of 4" in log
        assert f"rank {index}: step 3/3" in log
    status = job.status
    assert (status["round"], status["restarts"], status["counted"]) == (1, 0, 0)
    assert "completionTime" in status
    for reason in ("PodsCreated", "Running", "Complete"):
        await job.reports(reason)


async def test_two_jobs_do_not_disturb_each_other(cluster: LocalCluster) -> None:
    steady = cluster.apply("steady", replicas=2)
    failing = cluster.apply("failing", replicas=2, maxRestarts=1)
    await steady.runs(1, pods=2)
    await failing.runs(1, pods=2)
    pods, workers = steady.pods, steady.workers(1)
    os.kill(failing.workers(1)[1].pid, signal.SIGKILL)
    await failing.runs(2, pods=2)
    failing.delete_pod("0-0")
    n = await failing.runs_again(pods=2, after=2)
    await failing.starts(n, 2)
    os.kill(failing.workers(n)[0].pid, signal.SIGKILL)
    await failing.is_("Failed: failing-0-1 (rank 0): ended by SIGKILL")
    await steady.renews(2)
    assert steady.round.n == 1
    assert steady.pods == pods
    assert not any(is_dead(each.pid) for each in workers)
    assert steady.failure == {}


async def test_a_job_with_a_sidecar_ends_when_its_workers_do(cluster: LocalCluster) -> None:
    """Only the worker container counts; the sidecar runs forever."""
    sidecar = {"name": "mesh", "image": "none", "command": ["sleep", "1000"]}
    container = {"name": "worker", "image": "none", "command": ["true"]}
    spec = {"replicas": 2, "template": {"spec": {"containers": [sidecar, container]}}}
    job = cluster.apply_body("job", {"spec": spec})
    await job.is_("Complete")
    await job.until(lambda: job.pods == {}, "the pods cleaned up")


async def test_workers_report_their_progress(cluster: LocalCluster) -> None:
    text = '{"step": 7, "total": 9}'
    script = f"echo '{text}' > \"$ELASTICJOB_PROGRESS_FILE\"; exec sleep 1000"
    job = cluster.apply("job", ["sh", "-c", script], replicas=2)
    await job.until(lambda: job.status.get("progress") == {"step": 7, "total": 9}, "progress")


async def test_the_last_step_is_reported_even_if_the_worker_ends_at_once(
    cluster: LocalCluster,
) -> None:
    text = '{"step": 9, "total": 9}'
    script = f"echo '{text}' > \"$ELASTICJOB_PROGRESS_FILE\""
    job = cluster.apply("job", ["sh", "-c", script], replicas=2)
    await job.is_("Complete")
    assert job.status["progress"] == {"step": 9, "total": 9}
