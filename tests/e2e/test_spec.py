"""Changes of a job's spec while it runs take effect and are not counted as failures."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from tests.support.jobs import worker
from tests.support.local_cluster import ALL_LINES, LocalCluster
from tests.support.local_job import LocalJob
from tests.support.supervised import stub
from tests.support.survivors import is_dead

from elasticjob.local.api.objects.builtins import ROLEBINDINGS, SERVICEACCOUNTS
from elasticjob.wire.round import Phase

pytestmark = pytest.mark.e2e

# Rank 1 fails; rank 0 runs forever.
ONE_FAILS = '[ "$RANK" = 0 ] && exec sleep 1000; exit 5'
# Saves when it receives SIGTERM, as a training script does.
SAVES = """
import os, signal, sys, time
def save(*_):
    with open(sys.argv[1], "a") as file:
        file.write(os.environ["RANK"] + "\\n")
    sys.exit(0)
signal.signal(signal.SIGTERM, save)
with open(sys.argv[2], "a") as file:
    file.write(os.environ["RANK"] + "\\n")
while True: time.sleep(1000)
"""


async def test_scaled_up_and_down(cluster: LocalCluster) -> None:
    job = cluster.apply("job", replicas=2)
    await job.hurry()
    await job.runs(1, pods=2)
    pods = job.pods
    job.edit(replicas=4)
    up = await job.runs_again(pods=4)
    assert [each.rank for each in await job.starts(up, 4)] == [0, 1, 2, 3]
    assert pods.items() <= job.pods.items()
    job.edit(replicas=1)
    await job.runs_again(pods=1, after=up)
    await job.until(lambda: list(job.pods) == ["job-0-0"], "one pod")
    assert [r.phase for r in job.rounds if r.n] == [Phase.ACTIVE] * len(job.rounds[1:])
    assert all(is_dead(each.pid) for each in job.workers(up))
    assert job.pods.items() <= pods.items()
    assert (job.status["counted"], job.failure) == (0, {})


async def test_all_ranks_save_when_suspended_and_new_pods_resume(cluster: LocalCluster) -> None:
    saved, started = cluster.root / "saved", cluster.root / "started"
    command = ["python3", "-S", "-c", SAVES, str(saved), str(started)]
    job = await cluster.running("job", command, replicas=2)
    await job.until(lambda: lines(started) == ["0", "1"], "both workers")
    job.edit(suspend=True)
    await job.is_("Suspended")
    assert job.pods == {}
    assert lines(saved) == ["0", "1"]
    assert job.round.phase is Phase.FORMING
    assert job.condition("Suspended")["status"] == "True"
    job.edit(suspend=False)
    await job.runs_again(pods=2)
    assert sorted(job.pods) == ["job-0-1", "job-1-1"]
    assert (job.status["counted"], job.failure) == (0, {})
    await job.reports("Suspended")
    await job.reports("Resumed")


async def test_a_job_that_begins_suspended_has_no_pods(cluster: LocalCluster) -> None:
    job = cluster.apply("job", replicas=2, suspend=True)
    await job.is_("Suspended")
    assert job.pods == {}
    job.edit(suspend=False)
    await job.runs(1, pods=2)


async def test_a_new_template_replaces_all_pods_once(cluster: LocalCluster) -> None:
    job = await cluster.running("job", replicas=2)
    command = stub("signs_in", str(job.register), "new")
    job.edit(template={"spec": {"containers": [worker(command=list(command))]}})
    await job.runs_again(pods=2)
    await job.reports(
        "PodsDeleted", "the template has changed: spec.template.spec.containers[0].command"
    )
    assert sorted(job.pods) == ["job-0-1", "job-1-1"]
    assert [r.phase for r in job.rounds if r.n] == [Phase.ACTIVE, Phase.FORMING, Phase.ACTIVE]
    assert job.pod("0-1")["spec"]["containers"][0]["command"][-1] == "new"
    assert all(is_dead(each.pid) for each in job.workers(1))
    assert (job.status["restarts"], job.status["counted"]) == (1, 0)


async def test_another_notation_of_the_template_restarts_nothing(cluster: LocalCluster) -> None:
    job = await cluster.running("job", replicas=1)
    pods, body = job.pods, cluster.store.get(cluster.jobs, cluster.namespace, "job")
    (container,) = body["spec"]["template"]["spec"]["containers"]
    defaults = {"dnsPolicy": "ClusterFirst", "volumes": [], "restartPolicy": "Never"}
    other = {**container, "env": [], "terminationMessagePath": "/dev/termination-log"}
    job.edit(template={"spec": {**defaults, "containers": [dict(reversed(other.items()))]}})
    generation = body["metadata"]["generation"] + 1
    await job.until(lambda: job.status["observedGeneration"] == generation, "the new generation")
    assert job.condition("PodsReady")["reason"] == "AllRun"
    assert (job.pods, job.round.n, job.events("TemplateChanged")) == (pods, 1, [])


async def test_a_job_that_is_deleted_while_it_restarts_leaves_nothing(
    cluster: LocalCluster,
) -> None:
    job = await cluster.running("job", replicas=3, stopGraceSeconds=30)
    os.kill(job.workers(1)[0].pid, signal.SIGKILL)
    job.delete()
    await cluster.until(lambda: not cluster.left(), "all objects to be deleted")
    for resource in (SERVICEACCOUNTS, ROLEBINDINGS):
        names = [
            body["metadata"]["name"] for body in cluster.store.list(resource, cluster.namespace)
        ]
        assert not any("job" in name for name in names)


async def test_a_job_created_again_under_its_name_is_another_job(cluster: LocalCluster) -> None:
    job = await cluster.running("job", replicas=2)
    before = job.pods
    job.delete()
    job = await cluster.running("job", ["sleep", "1000"], replicas=2)
    assert not before.items() & job.pods.items()
    assert job.status["counted"] == 0


async def test_a_failed_job_keeps_the_pods_that_its_policy_names(cluster: LocalCluster) -> None:
    expected = {
        "All": [],
        "KeepFailed": ["keepfailed-1-0"],
        "None": ["none-0-0", "none-1-0"],
        "Running": ["running-0-0", "running-1-0"],  # both have exited without a signal
    }
    fails: dict[str, Any] = {"command": ["sh", "-c", ONE_FAILS], "replicas": 2, "maxRestarts": 0}
    jobs = {
        policy: cluster.apply(policy.lower(), cleanPodPolicy=policy, **fails) for policy in expected
    }
    for policy, job in jobs.items():
        await job.is_("Failed: ")
        await job.until(lambda job=job, p=policy: sorted(job.pods) == expected[p], policy)
        await job.until(lambda job=job: all(map(job.ended, indexes(job))), "their ends")


async def test_a_complete_job_keeps_its_pods_and_their_logs(cluster: LocalCluster) -> None:
    job = cluster.apply("job", ["sh", "-c", 'echo "rank $RANK has finished"'], replicas=3)
    await job.is_("Complete")
    await job.until(lambda: job.status["replicas"] == 0, "no pod that has not ended")
    assert job.round.phase is Phase.SUCCEEDED
    for rank in range(3):
        log = await cluster.log(job.pod(f"{rank}-0"), ALL_LINES)
        assert f"rank {rank} has finished" in log
    assert job.events("PodsDeleted") == []


async def test_pods_that_have_ended_do_not_delay_the_next_job_of_that_name(
    cluster: LocalCluster,
) -> None:
    job = cluster.apply("job", ["true"], replicas=2)
    await job.is_("Complete")
    before = job.pods
    assert len(before) == 2
    job.delete()
    job = await cluster.running("job", replicas=2)
    assert not before.items() & job.pods.items()


async def test_other_policies_delete_all_pods_of_a_complete_job(cluster: LocalCluster) -> None:
    for policy in ("All", "KeepFailed"):
        job = cluster.apply(policy.lower(), ["true"], replicas=3, cleanPodPolicy=policy)
        await job.is_("Complete")
        await job.until(lambda job=job: job.pods == {}, "no pods")


def lines(path: Path) -> list[str]:
    return sorted(path.read_text().split()) if path.exists() else []


def indexes(job: LocalJob) -> list[str]:
    """Index and generation of each pod of a job."""
    return [name.removeprefix(f"{job.name}-") for name in job.pods]
