"""The chart on the real API server of CONTRACT_KUBECONFIG, and clients with the tokens of pods."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from dev.kube_client import Client
from dev.wait import wait_until
from tests.support.chart import CHART, IMAGE, NAMESPACE, RELEASE, helm

from elasticjob.wire import names
from elasticjob.wire.codec import Json

REAL = os.environ.get("CONTRACT_KUBECONFIG")
needs_a_real_server = (
    pytest.mark.process,
    pytest.mark.skipif(not REAL, reason="needs a real API server: make contract"),
)
NAMESPACES = "/api/v1/namespaces"
ACCOUNT_OF_OPERATOR = "operator-elasticjob"
STRICT = {
    f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn", "audit")
}


def administrator() -> Client:
    """A client with the rights of an administrator."""
    return Client.from_kubeconfig(Path(str(REAL)))


def run_release(*words: str, namespace: str = NAMESPACE) -> subprocess.CompletedProcess[str]:
    """Run Helm for the releases of a namespace."""
    return subprocess.run(
        [helm(), *words, "--namespace", namespace, "--kubeconfig", str(REAL)],
        capture_output=True,
        text=True,
        check=False,
    )


def install(
    *words: str, release: str = RELEASE, namespace: str = NAMESPACE
) -> subprocess.CompletedProcess[str]:
    """Install the chart."""
    return run_release("install", release, str(CHART), "--set", IMAGE, *words, namespace=namespace)


@contextmanager
def installed(admin: Client, team: str, *values: str) -> Iterator[str]:
    """A release, and a namespace for jobs. Gives Helm's notes when its policies are enforced.

    The release's namespace admits restricted pods only.
    """
    for name, labels in ((NAMESPACE, STRICT), (team, {})):
        admin.post(NAMESPACES, {"metadata": {"name": name, "labels": labels}}).accepted()
    words = [word for value in values for word in ("--set", value)]
    # Objects of the contract tests belong to no release.
    done = install("--take-ownership", *words)
    assert done.returncode == 0, done.stderr
    assert "violate" not in done.stderr
    try:
        _wait_for_policies(admin, team)
        yield done.stdout
    finally:
        assert run_release("uninstall", RELEASE).returncode == 0
        for name in (NAMESPACE, team):
            admin.delete(f"{NAMESPACES}/{name}")
        wait_until(
            lambda: all(admin.get(f"{NAMESPACES}/{n}").code == 404 for n in (NAMESPACE, team))
        )


def _wait_for_policies(admin: Client, team: str) -> None:
    """Wait until both policies refuse a request that RBAC permits."""
    bind(admin, team, "elasticjob-probe", names.AGENT_CLUSTER_ROLE)
    tokens = (
        (token_of(admin, team, "elasticjob-probe"), _leases(team), "Lease", "agents"),
        (token_of(admin, NAMESPACE, ACCOUNT_OF_OPERATOR), _maps(team), "ConfigMap", "operator"),
    )
    for token, path, kind, _ in tokens:
        client = admin.as_user(token)
        version = "v1" if kind == "ConfigMap" else "coordination.k8s.io/v1"
        body = {"apiVersion": version, "kind": kind, "metadata": {"name": "first"}}
        wait_until(lambda: _is_denied(client, path, body), every_s=0.2)  # noqa: B023
        client.close()


def _is_denied(client: Client, path: str, body: Json) -> bool:
    reply = client.post(path, body, dryRun="All")
    return reply.code == 403 and "denied request" in reply.body["message"]


def _leases(namespace: str) -> str:
    return f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"


def _maps(namespace: str) -> str:
    return f"{NAMESPACES}/{namespace}/configmaps"


def bind(admin: Client, namespace: str, account: str, role: str) -> None:
    """Create an account, unless it exists, and bind it to a ClusterRole in its namespace."""
    admin.post(f"{NAMESPACES}/{namespace}/serviceaccounts", {"metadata": {"name": account}})
    body = {
        "metadata": {"name": f"{account}.{role}"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": namespace}],
    }
    rbac = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}"
    admin.post(f"{rbac}/rolebindings", body).accepted()


def token_of(admin: Client, namespace: str, account: str, pod: Json | None = None) -> str:
    """A token of this account; bound to a pod, as the kubelet requests it, if one is given."""
    bound: Json = {}
    if pod is not None:
        reference = {key: pod["metadata"][key] for key in ("name", "uid")}
        bound = {"boundObjectRef": {"apiVersion": "v1", "kind": "Pod", **reference}}
    path = f"{NAMESPACES}/{namespace}/serviceaccounts/{account}/token"
    reply = admin.post(path, {"spec": {"audiences": [], **bound}})
    assert reply.code == 201, json.dumps(reply.body)
    return str(reply.body["status"]["token"])


def bare_pod(name: str, account: str) -> Json:
    """A pod of this account, which no node runs."""
    spec = {"serviceAccountName": account, "containers": [{"name": "a", "image": "b"}]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
