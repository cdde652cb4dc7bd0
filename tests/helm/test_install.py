"""The chart on a real API server: that of `make contract`, or of CONTRACT_KUBECONFIG.

The tests install the chart, and run the operator with its account. `tests/attacks` sends the
requests on which test_policy evaluates the CEL.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from dev.kube_client import Client, Reply
from dev.wait import wait_until
from tests.support import installed as chart
from tests.support.chart import NAMESPACE, RELEASE, one, rendered
from tests.support.installed import NAMESPACES, needs_a_real_server, token_of
from tests.support.jobs import elastic_job
from tests.support.lease_requests import TEAM
from tests.support.operator_requests import rights

from elasticjob.local.api.server import kubeconfig as kubeconfig_of
from elasticjob.wire import names

pytestmark = [*needs_a_real_server]

SECOND = "elasticjob-second"
AGENTS = names.AGENT_CLUSTER_ROLE
RBAC = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{TEAM}"
POLICIES = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"
POLICY = f"{POLICIES}/elasticjob-operator.{NAMESPACE}"
JOBS = f"/apis/{names.API_VERSION}/namespaces/{TEAM}/{names.PLURAL}"
CRD = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{names.PLURAL}.{names.GROUP}"


@pytest.fixture(scope="module")
def admin() -> Iterator[Client]:
    client = chart.administrator()
    yield client
    client.close()


@pytest.fixture(scope="module")
def notes(admin: Client) -> Iterator[str]:
    """Install a release; return Helm's notes. It can be removed and installed again."""
    with chart.installed(admin, TEAM) as found:
        yield found
        assert chart.run_release("uninstall", RELEASE).returncode == 0
        assert admin.get(CRD).code == 200  # and with it all jobs
        assert admin.get(POLICY).code == 404
        again = chart.install()
        assert again.returncode == 0, again.stderr


# ---- the installation ----------------------------------------------------------------------------


def test_the_notes_name_the_next_commands(notes: str) -> None:
    assert f"helm test {RELEASE} --namespace {NAMESPACE}" in notes
    assert "kubectl apply -f examples/quickstart.yaml" in notes


def test_pods_of_the_operator_are_admitted_as_restricted(admin: Client, notes: str) -> None:
    pods = f"{NAMESPACES}/{NAMESPACE}/pods"
    wait_until(lambda: len(admin.get(pods).body["items"]) == 2)


def test_the_operator_needs_no_more_than_its_account(
    admin: Client, notes: str, tmp_path: Path
) -> None:
    """Both policies are in force."""
    spec = one(rendered(), "Deployment")["spec"]["template"]["spec"]
    token = token_of(admin, NAMESPACE, spec["serviceAccountName"])
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_bytes(kubeconfig_of(admin.url, admin.ca, token))
    args = [*spec["containers"][0]["args"], "--health-port=0", "--kubeconfig", str(kubeconfig)]
    job = elastic_job("real", replicas=2)
    job["metadata"] = {"name": "real"}
    assert admin.post(JOBS, job).code == 201
    with subprocess.Popen([sys.executable, "-m", "elasticjob.controller", *args]) as process:
        try:
            pods = f"{NAMESPACES}/{TEAM}/pods"
            selector = f"{names.LABEL_JOB}=real"
            wait_until(lambda: len(admin.get(pods, labelSelector=selector).body["items"]) == 2)
            status = f"{JOBS}/real"
            wait_until(lambda: admin.get(status).body.get("status", {}).get("ready") == "0/2")
            bound = admin.get(f"{RBAC}/rolebindings/{names.service_account_name('real')}")
            assert bound.body["roleRef"]["name"] == names.AGENT_CLUSTER_ROLE
            assert process.poll() is None
        finally:
            process.terminate()
            assert process.wait(20) == 0
    admin.delete(f"{JOBS}/real")


def test_a_second_release_serves_its_namespace_under_its_policies(
    admin: Client, notes: str
) -> None:
    admin.post(NAMESPACES, {"metadata": {"name": SECOND}}).accepted()
    values = ("scope=namespaced", f"namespaces={{{SECOND}}}", "crds.install=false",
              "rbac.clusterRoles=false")  # fmt: skip
    words = [word for value in values for word in ("--set", value)]
    done = chart.install(*words, release="second", namespace=SECOND)
    assert done.returncode == 0, done.stderr
    operator = admin.as_user(token_of(admin, SECOND, "operator-second-elasticjob"))

    def bound(namespace: str, role: str) -> Reply:
        body = rights("RoleBinding")
        body["metadata"] |= {"namespace": namespace, "ownerReferences": []}
        body["subjects"][0]["namespace"] = namespace
        body["roleRef"] |= {"name": role, "kind": "Role" if role != AGENTS else "ClusterRole"}
        path = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/rolebindings"
        return operator.post(path, body, dryRun="All")

    own_role = f"second-elasticjob-operator.{SECOND}"
    wait_until(lambda: bound(SECOND, own_role).code == 403, every_s=0.2)
    assert "roleRef: the operator" in bound(SECOND, own_role).body["message"]
    assert bound(SECOND, AGENTS).code == 201
    assert bound(TEAM, AGENTS).code == 403
    operator.close()
    assert chart.run_release("uninstall", "second", namespace=SECOND).returncode == 0
    admin.delete(f"{NAMESPACES}/{SECOND}")
