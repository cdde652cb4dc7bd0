"""The API server refuses pods (quota, invalid template, webhook); all else continues."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from tests.support.jobs import worker
from tests.support.local_cluster import LocalCluster
from tests.support.supervised import stub

from elasticjob.local.api.call import Call
from elasticjob.local.api.objects.builtins import PODS

pytestmark = pytest.mark.e2e

FULL = "exceeded quota: team-quota, requested: pods=1, used: pods=2, limited: pods=2"
PORT = (
    "spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535"
)
DENIED = 'admission webhook "names.example.com" denied the request: not this one'


@contextmanager
def refused(
    cluster: LocalCluster, code: int, message: str, when: Callable[[dict[str, Any]], bool]
) -> Iterator[list[str]]:
    """Refuse the pods for which `when` is true; return the names of all requested pods."""
    requested: list[str] = []

    def takes(call: Call) -> bool:
        if call.method != "POST" or not call.path.endswith(f"/{cluster.namespace}/pods"):
            return False
        pod = json.loads(call.body)
        requested.append(pod["metadata"]["name"])
        return when(pod)

    order = cluster.faults.refuse(code, takes, times=None, message=message)
    try:
        yield requested
    finally:
        cluster.faults.remove(order)


def living(cluster: LocalCluster) -> int:
    """The number of pods that a quota counts."""
    pods = cluster.store.list(PODS, cluster.namespace)
    phases = [pod.get("status", {}).get("phase") for pod in pods]
    return sum(1 for phase in phases if phase not in ("Succeeded", "Failed"))


async def test_a_job_that_waits_for_a_quota_is_suspended_and_resumed(cluster: LocalCluster) -> None:
    message = f'pods "job-2-0" is forbidden: {FULL}'
    with refused(cluster, 403, message, lambda pod: living(cluster) >= 2) as requested:
        job = await cluster.running("job", replicas=2)
        job.edit(replicas=3)
        await job.is_(f"Running: 1/3 pods cannot be created: {FULL}")
        await job.reports("PodsRefused", f"1/3 pods cannot be created: {FULL}; raise the quota")
        ready = job.condition("PodsReady")
        assert (ready["status"], ready["reason"]) == ("False", "PodsRefused")
        job.edit(suspend=True)
        await job.is_("Suspended")
        assert job.pods == {}
        assert set(requested) == {"job-0-0", "job-1-0", "job-2-0"}
        job.edit(suspend=False)
        await job.is_(f"Restarting: 1/3 pods cannot be created: {FULL}")
    await job.runs_again(pods=3)
    assert job.status["counted"] == 0


async def test_a_refused_replacement_is_created_when_there_is_room(cluster: LocalCluster) -> None:
    job = await cluster.running("job", replicas=3)
    with refused(
        cluster, 403, f'pods "job-1-1" is forbidden: {FULL}', lambda pod: True
    ) as requested:
        job.delete_pod("1-0")
        await job.is_(f"Restarting: 1/3 pods cannot be created: {FULL}")
        await job.until(lambda: len(requested) >= 3, "three tries")
    await job.runs_again(pods=3)
    assert set(requested) == {"job-1-1"}
    assert sorted(job.pods) == ["job-0-0", "job-1-1", "job-2-0"]
    assert job.status["counted"] == 0


async def test_a_refused_template_that_is_corrected_is_tried_at_once(cluster: LocalCluster) -> None:
    bad = worker(command=["sleep", "1000"], ports=[{"containerPort": 70000}])
    message = f'Pod "job-0-0" is invalid: {PORT}'
    with refused(cluster, 422, message, lambda pod: "70000" in json.dumps(pod)) as requested:
        job = cluster.apply_body("job", {"spec": {"template": {"spec": {"containers": [bad]}}}})
        await job.is_(f"Pending: edit spec.template.{PORT}")
        await job.reports(
            "TemplateRefused", f"edit spec.template.{PORT}; no further pod runs before"
        )
        await job.until(lambda: len(requested) >= 4, "four tries")
        good = worker(command=list(stub("signs_in", str(job.register))))
        job.edit(template={"spec": {"containers": [good]}})
        await job.runs(1, pods=1)
    assert sorted(job.pods) == ["job-0-0"]


async def test_a_refused_pod_does_not_delay_others(cluster: LocalCluster) -> None:
    job = cluster.apply("job", replicas=3, minReplicas=1)
    await job.hurry()
    await job.runs(1, pods=3)
    with refused(
        cluster, 403, DENIED, lambda pod: pod["metadata"]["name"] == "job-1-1"
    ) as requested:
        job.delete_pod("1-0")
        await job.is_("Running: 1/3 pods cannot be created: webhook denied: not this one")
        await job.until(lambda: len(requested) >= 3, "three tries")
        job.delete_pod("2-0")
        await job.until(lambda: "job-2-1" in job.pods, "the replacement of another pod")
        assert "job-1-1" not in job.pods
    await job.runs_again(pods=3)
    assert job.status["counted"] == 0
