"""Pods that cannot start: STATUS, PodsReady and an event name the cause; a job does not fail of it,
and runs once it is cured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.agent.test_container_env import HARMLESS, breaking
from tests.support.jobs import worker
from tests.support.local_cluster import QUICK, LocalCluster
from tests.support.local_job import LocalJob
from tests.support.supervised import stub

from elasticjob.local.api.objects.builtins import CONFIGMAPS

pytestmark = pytest.mark.e2e

RUNS = list(stub("runs"))


def start(cluster: LocalCluster, container: dict[str, Any] | None = None, **pod: Any) -> LocalJob:
    """A job of two pods with this worker container and these fields."""
    containers = [container or worker(command=RUNS)]
    template = {"spec": {"containers": containers, **pod}}
    return cluster.apply_body("job", {"spec": {**QUICK, "replicas": 2, "template": template}})


def init_container(script: str) -> list[dict[str, Any]]:
    return [{"name": "fetch-data", "image": "none", "command": ["sh", "-c", script]}]


async def shows(job: LocalJob, reason: str, text: str, more: str = "") -> None:
    """Wait until STATUS, the condition and an event have this text."""
    await job.is_(f"Pending: {text}")
    await job.reports(reason, text.partition(" pods")[2])  # another number makes no event
    ready = job.condition("PodsReady")
    assert (ready["status"], ready["reason"]) == ("False", reason)
    assert text in ready["message"]
    assert more in ready["message"]
    assert "does not fail because of it" in ready["message"]
    assert job.status["counted"] == 0


async def test_an_init_container_that_fails_is_named_with_its_exit_code(
    cluster: LocalCluster,
) -> None:
    script = "echo bucket a; echo no such bucket >&2; exit 42"
    job = start(cluster, initContainers=init_container(script))
    text = "2/2 pods: init container fetch-data: exit code 42"
    await shows(job, "InitContainerFailed", text, ": no such bucket; ")
    good = {"containers": [worker(command=RUNS)], "initContainers": init_container("true")}
    job.edit(template={"spec": good})
    await job.runs(1, pods=2)


async def test_an_init_container_that_runs_is_what_the_job_waits_for(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    flag = tmp_path / "data"
    wait = f"until test -e {flag}; do sleep 0.01; done"
    job = start(cluster, initContainers=init_container(wait))
    await shows(job, "InitContainerRunning", "2/2 pods in init container fetch-data since ")
    flag.touch()
    await job.runs(1, pods=2)


async def test_a_config_map_that_is_missing_is_named_until_it_exists(cluster: LocalCluster) -> None:
    volume = {"name": "data", "configMap": {"name": "train"}}
    mounted = worker(command=RUNS, volumeMounts=[{"name": "data", "mountPath": "/data"}])
    job = start(cluster, mounted, volumes=[volume])
    text = '2/2 pods: FailedMount: configmap "train" not found (volume data)'
    await shows(job, "FailedMount", text, " in job-0-0 at ")
    cluster.store.create(CONFIGMAPS, cluster.namespace, {"metadata": {"name": "train"}})
    await job.runs(1, pods=2)


async def test_variables_that_break_python_reach_the_workers_alone(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    values = {**HARMLESS, "OPENSSL_CONF": breaking("OPENSSL_CONF", tmp_path)}
    values["LD_LIBRARY_PATH"] = breaking("LD_LIBRARY_PATH", tmp_path)
    checks = " && ".join(f'test "${name}" = "{value}"' for name, value in values.items())
    env = [{"name": name, "value": value} for name, value in values.items()]
    job = start(cluster, worker(command=["sh", "-c", checks], env=env))
    await job.is_("Complete")
    assert job.status["restarts"] == 0


async def test_arguments_that_are_too_long_are_reported_with_the_cure(
    cluster: LocalCluster,
) -> None:
    """On a cluster the variables of 2,500 Services are too long; here it is one of the template."""
    env = [{"name": f"LONG_{n}", "value": 100_000 * "x"} for n in range(30)]
    job = start(cluster, worker(command=RUNS, env=env))
    await job.is_(
        "Pending: 2/2 agents cannot start: argument list too long; set enableServiceLinks"
    )
    assert "or shorten env and args" in job.condition("PodsReady")["message"]
    job.edit(template={"spec": {"containers": [worker(command=RUNS)]}})
    await job.runs(1, pods=2)


async def test_a_library_with_which_no_program_starts_is_named(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    (tmp_path / "libc.so.6").write_text("no library")
    env = [{"name": "LD_LIBRARY_PATH", "value": str(tmp_path)}]
    job = start(cluster, worker(command=RUNS, env=env))
    await job.is_("Pending: 2/2 agents cannot start: ")
    assert "library libc.so.6: file too short" in job.phase
    assert "LD_LIBRARY_PATH or LD_PRELOAD" in job.condition("PodsReady")["message"]
