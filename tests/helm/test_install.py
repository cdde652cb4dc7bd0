"""The chart on a real API server: that of `make contract`, or of CONTRACT_KUBECONFIG.

The tests install the chart, run the operator with its account, and send the requests on which
test_policy evaluates the CEL.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dev.kube_client import Client, Reply
from dev.wait import wait_until
from tests.support.chart import CHART, IMAGE, NAMESPACE, RELEASE, helm, one, rendered
from tests.support.jobs import elastic_job
from tests.support.lease_requests import ALLOWED, POD_CLAIM, REFUSED, TEAM, UNMATCHED, lease

from elasticjob.local.api.server import kubeconfig as kubeconfig_of
from elasticjob.wire import names
from elasticjob.wire.codec import Json

REAL = os.environ.get("CONTRACT_KUBECONFIG")
pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(not REAL, reason="needs a real API server: make contract"),
]

NAMESPACES = "/api/v1/namespaces"
LEASES = f"/apis/coordination.k8s.io/v1/namespaces/{TEAM}/leases"
RBAC = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{TEAM}"
POLICIES = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"
POLICY = f"{POLICIES}/elasticjob-operator.{NAMESPACE}"
JOBS = f"/apis/{names.API_VERSION}/namespaces/{TEAM}/{names.PLURAL}"
CRD = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{names.PLURAL}.{names.GROUP}"
ACCOUNT = "system:serviceaccount:"
STRICT = {
    f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn", "audit")
}


@pytest.fixture(scope="module")
def admin() -> Iterator[Client]:
    client = Client.from_kubeconfig(Path(str(REAL)))
    yield client
    client.close()


@pytest.fixture(scope="module")
def notes(admin: Client) -> Iterator[str]:
    """Install a release in a namespace that admits restricted pods only; return Helm's notes."""
    for name, labels in ((NAMESPACE, STRICT), (TEAM, {})):
        admin.post(NAMESPACES, {"metadata": {"name": name, "labels": labels}})
    # Objects of the contract tests belong to no release.
    done = install("--take-ownership")
    assert done.returncode == 0, done.stderr
    assert "violate" not in done.stderr
    yield done.stdout
    assert run("uninstall", RELEASE).returncode == 0
    assert admin.get(CRD).code == 200  # and with it all jobs
    assert admin.get(POLICY).code == 404
    again = install()
    assert again.returncode == 0, again.stderr
    assert run("uninstall", RELEASE).returncode == 0
    for name in (NAMESPACE, TEAM):
        admin.delete(f"{NAMESPACES}/{name}")


def install(*words: str) -> subprocess.CompletedProcess[str]:
    return run("install", RELEASE, str(CHART), "--set", IMAGE, *words)


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [helm(), *words, "--namespace", NAMESPACE, "--kubeconfig", str(REAL)],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def policy(admin: Client, notes: str) -> None:
    """Wait until the API server enforces the policy."""

    def is_refused() -> bool:
        agent = user(admin, "elasticjob-first", "first-0-0")
        reply = agent.post(LEASES, lease("other", None))
        admin.delete(f"{LEASES}/other")
        agent.close()
        return reply.code == 403 and "may only write" in reply.body["message"]

    wait_until(is_refused, every_s=0.2)


# ---- the installation ----------------------------------------------------------------------------


def test_the_notes_name_the_next_commands(notes: str) -> None:
    assert f"helm test {RELEASE} --namespace {NAMESPACE}" in notes
    assert "kubectl apply -f examples/quickstart.yaml" in notes


def test_pods_of_the_operator_are_admitted_as_restricted(admin: Client, notes: str) -> None:
    pods = f"{NAMESPACES}/{NAMESPACE}/pods"
    wait_until(lambda: len(admin.get(pods).body["items"]) == 2)


def test_the_policy_has_no_type_errors(admin: Client, notes: str) -> None:
    def is_checked() -> bool:
        body = admin.get(POLICY).body
        return bool(body.get("status", {}).get("observedGeneration"))

    wait_until(is_checked)
    assert admin.get(POLICY).body["status"].get("typeChecking", {}) == {}


def test_the_operator_needs_no_more_than_its_account(
    admin: Client, notes: str, tmp_path: Path
) -> None:
    """In particular, it creates a RoleBinding without the rights `bind` and `escalate`."""
    spec = one(rendered(), "Deployment")["spec"]["template"]["spec"]
    token = token_of(admin, NAMESPACE, spec["serviceAccountName"], None)
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


# ---- the policy ----------------------------------------------------------------------------------


def of_service_accounts(cases: dict[str, Any]) -> dict[str, Any]:
    """The cases whose user is a service account of the namespace."""
    here = f"{ACCOUNT}{TEAM}:"

    def user_of(case: Any) -> str:
        request = case[0] if isinstance(case, tuple) else case
        return str(request["request"]["userInfo"]["username"])

    return {name: case for name, case in cases.items() if user_of(case).startswith(here)}


@pytest.mark.parametrize(
    "case", of_service_accounts(ALLOWED).values(), ids=of_service_accounts(ALLOWED)
)
def test_allowed(admin: Client, policy: None, case: Json) -> None:
    assert send(admin, case).code in (200, 201)


@pytest.mark.parametrize(
    "case", of_service_accounts(UNMATCHED).values(), ids=of_service_accounts(UNMATCHED)
)
def test_not_matched(admin: Client, policy: None, case: Json) -> None:
    assert send(admin, case).code in (200, 201)


@pytest.mark.parametrize(
    ("case", "why"), of_service_accounts(REFUSED).values(), ids=of_service_accounts(REFUSED)
)
def test_refused(admin: Client, policy: None, case: Json, why: str) -> None:
    reply = send(admin, case)
    assert reply.code == 403
    assert why in reply.body["message"]


def send(admin: Client, case: Json) -> Reply:
    """Send a request as the user that it names."""
    old, new = case["oldObject"], case["object"]
    name = (old or new)["metadata"]["name"]
    user_info = case["request"]["userInfo"]
    account = user_info["username"].rpartition(":")[2]
    pod = user_info["extra"][POD_CLAIM][0] if "extra" in user_info else None
    client = user(admin, account, pod)
    version = admin.post(LEASES, old).version if old else ""
    try:
        if old is None:
            return client.post(LEASES, new)
        if new is None:
            return client.delete(f"{LEASES}/{name}")
        meta = {**new["metadata"], "resourceVersion": version}
        return client.put(f"{LEASES}/{name}", {**new, "metadata": meta})
    finally:
        client.close()
        admin.delete(f"{LEASES}/{name}")


def user(admin: Client, account: str, pod: str | None) -> Client:
    """A client with the rights of agents and a token that is bound to a pod of this name."""
    place = f"{NAMESPACES}/{TEAM}"
    admin.post(f"{place}/serviceaccounts", {"metadata": {"name": account}})
    subject = {"kind": "ServiceAccount", "name": account, "namespace": TEAM}
    role = {
        "apiGroup": "rbac.authorization.k8s.io",
        "kind": "ClusterRole",
        "name": names.AGENT_CLUSTER_ROLE,
    }
    binding = {"metadata": {"name": account}, "roleRef": role, "subjects": [subject]}
    admin.post(f"{RBAC}/rolebindings", binding)
    uid = None
    if pod is not None:
        body = {
            "metadata": {"name": pod},
            "spec": {"serviceAccountName": account, "containers": [{"name": "a", "image": "b"}]},
        }
        admin.delete(f"{place}/pods/{pod}", gracePeriodSeconds=0)
        made = admin.post(f"{place}/pods", body)
        assert made.code == 201, made.body
        uid = made.body["metadata"]["uid"]
    bound = None if pod is None else {"name": pod, "uid": uid}
    client = admin.as_user(token_of(admin, TEAM, account, bound))
    wait_until(lambda: client.get(LEASES).code == 200)  # the authorizer has the binding
    return client


def token_of(admin: Client, namespace: str, account: str, pod: Json | None) -> str:
    bound = {"boundObjectRef": {"apiVersion": "v1", "kind": "Pod", **pod}} if pod else {}
    path = f"{NAMESPACES}/{namespace}/serviceaccounts/{account}/token"
    reply = admin.post(path, {"spec": {"audiences": [], **bound}})
    assert reply.code == 201, json.dumps(reply.body)
    return str(reply.body["status"]["token"])
