"""STATUS contains what a job waits for, and until when; then this happens."""

from __future__ import annotations

import os
import re
import signal
from datetime import UTC, datetime, timedelta

import pytest
from tests.support.jobs import worker
from tests.support.local_cluster import LocalCluster
from tests.support.local_job import LocalJob

from elasticjob.local.api.objects.builtins import ROLEBINDINGS
from elasticjob.rendezvous import timing

pytestmark = pytest.mark.e2e
END = re.compile(r" at (2\d{3}-\S+Z)\b")


def end_of(message: str) -> datetime:
    """The time in the message of a condition at which it ends."""
    found = END.search(message)
    assert found, message
    return datetime.fromisoformat(found[1])


def begin_of(job: LocalJob, type_: str) -> datetime:
    return datetime.fromisoformat(job.condition(type_)["lastTransitionTime"])


async def shows(job: LocalJob, type_: str, reason: str) -> datetime:
    """Once a condition is true for this reason, the time in its message."""

    def holds() -> bool:
        found = job.condition(type_)
        return (found.get("status"), found.get("reason")) == ("True", reason)

    await job.until(holds, f"{type_} for {reason}")
    return end_of(job.condition(type_)["message"])


def is_in_status(job: LocalJob, end: datetime) -> bool:
    return job.phase.endswith((f"until {end:%H:%M:%SZ}", f"until {end:%Y-%m-%d %H:%M:%SZ}"))


async def test_a_newcomer_waits_for_the_cooldown_and_then_joins(cluster: LocalCluster) -> None:
    """The holder measures the cooldown from the round, which begins before the job is Degraded."""
    job = cluster.apply("job", replicas=2, minReplicas=1)
    await job.hurry(cooldown_s=6.0)
    await job.runs(1, pods=2)
    job.delete_pod("1-0")
    end = await shows(job, "Degraded", "CoolingDown")
    assert job.phase.startswith("Running: 1/2 pods in the round; cooldown until ")
    assert is_in_status(job, end)
    assert end <= begin_of(job, "Degraded") + timedelta(seconds=6 + 3)
    await job.runs_again(pods=2)
    assert job.condition("Degraded")["reason"] == "AllPodsWork"
    assert datetime.now(UTC) >= end - timedelta(seconds=2)


async def test_a_restart_after_repeated_failures_is_delayed_as_status_states(
    cluster: LocalCluster,
) -> None:
    job = cluster.apply("job", replicas=2, maxStartRestarts=3)
    for n in (1, 2, 3):
        await job.runs(n, pods=2)
        os.kill(job.workers(n)[n % 2].pid, signal.SIGKILL)
    end = await shows(job, "Restarting", "BackingOff")
    assert job.phase.startswith("Restarting: restart delayed until ")
    assert is_in_status(job, end)
    longest_s = timing.restart_delay_ms(3, jitter=0.0) / 1000
    assert end <= begin_of(job, "Restarting") + timedelta(seconds=longest_s + 3)
    await job.runs(4, pods=2)
    assert datetime.now(UTC) >= end - timedelta(seconds=2)


async def test_an_index_that_is_lost_again_has_the_time_of_its_next_pod(
    cluster: LocalCluster,
) -> None:
    container = worker(env=[{"name": "PATH", "value": "/none"}])
    template = {"spec": {"containers": [container]}}
    job = cluster.apply_body("job", {"spec": {"replicas": 1, "template": template}})
    end = await shows(job, "Stalled", "AgentSetupFailed")
    assert job.phase.startswith("Pending: 1/1 agents cannot start")
    assert end <= begin_of(job, "Stalled") + timedelta(seconds=60 + 3)


async def test_rights_that_were_deleted_are_restored_and_no_pod_is_replaced(
    cluster: LocalCluster,
) -> None:
    """A worker is killed meanwhile: the group restarts once its agents may write again."""
    job = await cluster.running("job", replicas=2)
    pods = job.pods
    cluster.store.delete(ROLEBINDINGS, cluster.namespace, "elasticjob-job")
    os.kill(job.workers(1)[0].pid, signal.SIGKILL)
    await job.reports("RightsRestored", "created RoleBinding elasticjob-job again")
    await job.runs(2, pods=2)
    assert job.pods == pods
    assert job.status["counted"] == 1
