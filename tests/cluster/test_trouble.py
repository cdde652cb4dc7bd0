"""Pods that do not start: STATUS names the reason, and no failure is counted."""

from __future__ import annotations

import os
from typing import Any

import pytest
from tests.support.cluster_jobs import RUNS, Namespace, python, restricted
from tests.support.kube import until


def test_an_image_that_cannot_be_pulled(team: Namespace) -> None:
    pod = python("localhost:1/no-such-image:1", RUNS)
    job = team.start("pull", pod=pod, replicas=2)
    job.says("Pending: 2/2", "ImagePull")
    assert "localhost:1/no-such-image:1" in job.condition("PodsReady")["message"]
    assert job.condition("PodsReady")["reason"] in ("ErrImagePull", "ImagePullBackOff")
    assert job.charged == set()


def test_pods_that_fit_no_node(team: Namespace) -> None:
    limits = {"cpu": "10m", "memory": "24Mi", "example.com/gpu": "1"}
    pod = python(team.image, RUNS, resources={"limits": limits})
    job = team.start("large", pod=pod, replicas=2)
    job.says("Pending: 2/2 pods unschedulable: Insufficient example.com/gpu")
    assert job.condition("PodsReady")["reason"] == "Unschedulable"


def fetching(image: str, script: str, **fields: Any) -> dict[str, Any]:
    """A pod with the init container `fetch-data`."""
    fetch = {"name": "fetch-data", "image": image, "command": ["python3", "-S", "-c", script]}
    return {**python(image, RUNS), "initContainers": [{**fetch, **fields}]}


def test_an_init_container_that_fails(team: Namespace) -> None:
    script = "import sys; print('no such bucket', file=sys.stderr); sys.exit(42)"
    job = team.start("init", pod=fetching(team.image, script), replicas=2)
    job.says("Pending: 2/2 pods: init container fetch-data: exit code 42")
    ready = job.condition("PodsReady")
    assert ready["reason"] == "InitContainerFailed"
    assert "no such bucket; see kubectl logs -n " in ready["message"]
    assert job.charged == set()
    job.change(template={"spec": restricted(fetching(team.image, "pass"))})
    job.runs(2)


def test_an_init_container_that_hangs(team: Namespace) -> None:
    pod = fetching(team.image, "import signal; signal.pause()")
    job = team.start("hangs", pod=pod, replicas=2)
    job.says("Pending: 2/2 pods in init container fetch-data since ")
    assert job.condition("PodsReady")["reason"] == "InitContainerRunning"


def test_a_sidecar_that_does_not_start(team: Namespace) -> None:
    """A native sidecar, which the kubelet starts again and again."""
    pod = fetching(team.image, "import sys; sys.exit(42)", restartPolicy="Always")
    pod["initContainers"][0]["startupProbe"] = {"exec": {"command": ["python3", "-c", ""]}}
    pod["initContainers"][0]["startupProbe"]["initialDelaySeconds"] = 60
    job = team.start("sidecar", pod=pod, replicas=1)
    job.says("Pending: 1/1 pods: init container fetch-data: exit code 42")


def test_an_image_of_an_init_container_that_cannot_be_pulled(team: Namespace) -> None:
    pod = fetching(team.image, "pass")
    pod["initContainers"][0]["image"] = "localhost:1/no-such-image:1"
    job = team.start("pull-init", pod=pod, replicas=2)
    job.says("Pending: 2/2", "ImagePull", "init container fetch-data")


def test_a_config_map_and_a_secret_that_are_missing(team: Namespace) -> None:
    """Only the events of the pod name them."""
    paths = {"data": "/data", "key": "/key"}  # the kubelet mounts what a container uses
    mounts = [{"name": name, "mountPath": path} for name, path in paths.items()]
    pod = python(team.image, RUNS, volumeMounts=mounts)
    pod["volumes"] = [
        {"name": "data", "configMap": {"name": "train"}},
        {"name": "key", "secret": {"secretName": "key"}},
    ]
    job = team.start("mounts", pod=pod, replicas=2)
    job.says("Pending: 2/2 pods: FailedMount: ")
    names = ('configmap "train" not found', 'secret "key" not found')
    message = lambda: job.condition("PodsReady")["message"]  # noqa: E731
    until("both names", lambda: all(name in message() for name in names))
    team.kube.post(team.path("configmaps"), {"metadata": {"name": "train"}})
    team.kube.post(team.path("secrets"), {"metadata": {"name": "key"}})
    job.runs(2)


def test_variables_that_break_python_reach_the_workers_alone(team: Namespace) -> None:
    """LD_PRELOAD of a missing file, and a configuration with which OpenSSL has no ciphers."""
    text = "openssl_conf=a\n[a]\nproviders=p\n[p]\nn=n\n[n]\nactivate=1\nmodule=/none.so\n"
    team.kube.post(
        team.path("configmaps"), {"metadata": {"name": "tls"}, "data": {"openssl.cnf": text}}
    )
    values = {"OPENSSL_CONF": "/tls/openssl.cnf", "LD_PRELOAD": "/none.so", "PYTHONHOME": "/none"}
    script = f"import os, sys; sys.exit(not {values!r}.items() <= os.environ.items())"
    pod = python(
        team.image,
        "",
        command=["python3", "-I", "-S", "-c", script],
        env=[{"name": name, "value": value} for name, value in values.items()],
        volumeMounts=[{"name": "tls", "mountPath": "/tls"}],
    )
    pod["volumes"] = [{"name": "tls", "configMap": {"name": "tls"}}]
    job = team.start("variables", pod=pod, replicas=1)
    job.ends("Complete")


def test_an_environment_that_is_too_long(team: Namespace) -> None:
    env = [{"name": f"LONG_{n}", "value": 100_000 * "x"} for n in range(8)]
    env += [{"name": f"COPY_{n}", "value": "$(LONG_0)"} for n in range(64)]
    job = team.start("long", pod=python(team.image, RUNS, env=env), replicas=1)
    job.says("Pending: 1/1 agents cannot start: argument list too long; set")
    assert "set enableServiceLinks: false" in job.condition("PodsReady")["message"]


def test_an_image_without_python(team: Namespace) -> None:
    pod = python(os.environ["E2E_NO_PYTHON_IMAGE"], RUNS)
    job = team.start("none", pod=pod, replicas=2)
    job.says("Pending: 2/2 agents cannot start: the image has no python3")
    assert job.condition("PodsReady")["reason"] == "AgentSetupFailed"
    assert job.charged == set()


def test_an_image_whose_python_is_too_old(team: Namespace) -> None:
    image = os.environ.get("E2E_OLD_PYTHON_IMAGE")
    if not image:
        pytest.skip("no Python 3.8: name one with OLD_PYTHON=DIR")
    job = team.start("old", pod=python(image, RUNS), replicas=2)
    job.says("Pending: 2/2 agents cannot start: python3 in the image is 3.8")
    assert job.condition("PodsReady")["reason"] == "AgentSetupFailed"
    assert job.charged == set()


def test_status_names_what_pod_security_refuses(team: Namespace) -> None:
    pod = python(team.image, RUNS, securityContext={"privileged": True})
    job = team.start("root", pod=pod, replicas=1)
    job.says("1/1 pods cannot be created", "violates PodSec")
    assert job.condition("PodsReady")["reason"] == "PodsRefused"


def test_status_names_a_quota_until_it_has_room(team: Namespace) -> None:
    quotas = team.path("resourcequotas")
    team.kube.post(quotas, {"metadata": {"name": "none"}, "spec": {"hard": {"pods": "1"}}})
    job = team.start("quota", replicas=2)
    job.says("Pending: 1/2 pods cannot be created: exceeded quota: none")
    stalled = job.condition("Stalled")
    assert (stalled["status"], stalled["reason"]) == ("True", "QuotaExceeded")
    assert "exceeded quota: none, requested: pods=1" in stalled["message"]
    job.change(suspend=True)
    job.says("Suspended")
    job.change(suspend=False)
    job.says("1/2 pods cannot be created: exceeded quota: none")
    assert job.condition("PodsReady")["reason"] == "PodsRefused"
    team.kube.delete(f"{quotas}/none")
    job.runs(2)


def test_a_command_that_does_not_exist(team: Namespace) -> None:
    pod = python(team.image, RUNS, command=["train.exe"])
    job = team.start("typo", pod=pod, replicas=2)
    assert "cannot execute 'train.exe'" in job.ends("Failed")["message"]
