"""Jobs, namespaces and the chart are deleted while no operator runs: no object is left."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.support.chart import RELEASE
from tests.support.cluster_jobs import Namespace, identities
from tests.support.kube import until
from tests.support.release import Release

RBAC = "/apis/rbac.authorization.k8s.io/v1"


@pytest.fixture
def no_operator(release: Release) -> Iterator[Release]:
    """Stop the operators during the test."""
    release.scale(0)
    yield release
    release.scale(2)


@pytest.fixture
def running(team: Namespace, release: Release) -> Namespace:
    """A namespace with a running job."""
    team.start("last", replicas=2).runs(2)
    return team


def left(team: Namespace) -> list[str]:
    """The objects of jobs in a namespace."""
    kinds = {
        "pods": team.path("pods"),
        "leases": team.leases,
        "accounts": team.path("serviceaccounts"),
        "bindings": team.path("rolebindings", RBAC),
        "jobs": team.jobs,
    }
    return [
        f"{kind}/{item['metadata']['name']}"
        for kind, path in kinds.items()
        for item in team.kube.items(path)
        if item["metadata"]["name"] != "default"
    ]


def test_a_deleted_job_leaves_nothing(running: Namespace, no_operator: Release) -> None:
    assert len(left(running)) == 8  # 2 pods, 3 Leases, account, binding, job
    running.kube.delete(f"{running.jobs}/last")
    until("everything to go", lambda: not left(running))


def test_a_deleted_namespace_leaves_nothing(running: Namespace, no_operator: Release) -> None:
    path = f"/api/v1/namespaces/{running.name}"
    running.kube.delete(path)
    until("the namespace to go", lambda: not running.kube.exists(path))


def test_an_uninstalled_chart_leaves_the_jobs_running(team: Namespace, release: Release) -> None:
    """The agents have no rights meanwhile; the next release takes over the jobs."""
    job = team.start("last", replicas=2)
    first = job.runs(2)
    before = identities(job.pods)
    release.helm("uninstall", RELEASE, "--wait")
    ours = ("-A", "-l", f"app.kubernetes.io/instance={RELEASE}", "-o", "name")
    kinds = "clusterroles,clusterrolebindings,validatingadmissionpolicies,deployments,services"
    assert team.kube.kubectl("get", kinds, *ours) == ""
    release.install()
    job.kill_worker(0)
    second = job.recovered("chart uninstalled and installed", 2, first.n)
    assert second.n == first.n + 1
    assert identities(job.pods) == before
