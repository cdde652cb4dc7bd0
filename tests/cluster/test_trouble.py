"""Pods that do not start: STATUS names the reason, and no failure is counted."""

from __future__ import annotations

import os

import pytest
from tests.support.cluster_jobs import RUNS, Namespace, python


def test_an_image_that_cannot_be_pulled(team: Namespace) -> None:
    pod = python("localhost:1/no-such-image:1", RUNS)
    job = team.start("pull", pod=pod, replicas=2)
    phase = job.says("Pending: 2/2", "ImagePull")
    assert "localhost:1/no-such-image:1" in phase
    assert job.condition("PodsReady")["reason"] in ("ErrImagePull", "ImagePullBackOff")
    assert job.charged == set()


def test_pods_that_fit_no_node(team: Namespace) -> None:
    limits = {"cpu": "10m", "memory": "24Mi", "example.com/gpu": "1"}
    pod = python(team.image, RUNS, resources={"limits": limits})
    job = team.start("large", pod=pod, replicas=2)
    job.says("Pending: 2/2 pods unschedulable: Insufficient example.com/gpu")
    assert job.condition("PodsReady")["reason"] == "Unschedulable"


def test_an_image_without_python(team: Namespace) -> None:
    pod = python(os.environ["E2E_NO_PYTHON_IMAGE"], RUNS)
    job = team.start("none", pod=pod, replicas=2)
    job.says("Pending: 2/2 pods: the agent cannot start: the image has no python3")
    assert job.condition("PodsReady")["reason"] == "AgentSetupFailed"
    assert job.charged == set()


def test_an_image_whose_python_is_too_old(team: Namespace) -> None:
    image = os.environ.get("E2E_OLD_PYTHON_IMAGE")
    if not image:
        pytest.skip("no Python 3.8: name one with OLD_PYTHON=DIR")
    job = team.start("old", pod=python(image, RUNS), replicas=2)
    job.says(
        "Pending: 2/2 pods: the agent cannot start: python3 in the image is 3.8, ElasticJob's agent"
        " needs"
    )
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
    job.says("Pending: 1/2 pods cannot be created: exceeded quota: none, requested: pods=1")
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
