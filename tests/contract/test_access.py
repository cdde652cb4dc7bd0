"""Rights: tokens of service accounts, Roles and bindings."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from dev.kube_client import Client
from dev.wait import wait_until
from tests.support.local_server import LocalServer

from elasticjob.wire.names import AGENT_CLUSTER_ROLE

pytestmark = pytest.mark.slow

RBAC = "/apis/rbac.authorization.k8s.io/v1/namespaces"


@pytest.fixture
def agent(
    api: Client, own_server: LocalServer | None, namespace: str, pods: str
) -> Iterator[Client]:
    """A client with the token of a pod's service account, which has no rights yet."""
    api.post(f"/api/v1/namespaces/{namespace}/serviceaccounts", {"metadata": {"name": "agent"}})
    spec = {"serviceAccountName": "agent", "containers": [{"name": "w", "image": "i"}]}
    pod = api.post(pods, {"metadata": {"name": "p"}, "spec": spec}).body["metadata"]
    if own_server is not None:
        token = own_server.call(
            lambda running: running.access.mint(namespace, "agent", "p", pod["uid"])
        )
    else:
        reference = {"kind": "Pod", "apiVersion": "v1", "name": "p", "uid": pod["uid"]}
        request = {"spec": {"boundObjectRef": reference, "expirationSeconds": 3607}}
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/agent/token"
        token = api.post(path, request).body["status"]["token"]
    with closing(api.as_user(token)) as client:
        yield client


def bind(api: Client, namespace: str, kind: str, name: str) -> None:
    body = {
        "metadata": {"name": f"agent-{name}"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": "agent", "namespace": namespace}],
    }
    assert api.post(f"{RBAC}/{namespace}/rolebindings", body).code == 201


def allow(api: Client, namespace: str, verbs: list[str], **rule: Any) -> None:
    rules = [{"apiGroups": ["coordination.k8s.io"], "verbs": verbs, **rule}]
    body = {"metadata": {"name": "some"}, "rules": rules}
    assert api.post(f"{RBAC}/{namespace}/roles", body).code == 201
    bind(api, namespace, "Role", "some")


def test_a_wrong_token_is_refused(api: Client, leases: str) -> None:
    with closing(api.as_user("wrong")) as client:
        reply = client.get(leases)
    assert (reply.code, reply.reason) == (401, "Unauthorized")


def test_a_missing_right_is_named(api: Client, agent: Client, leases: str, namespace: str) -> None:
    reply = agent.get(f"{leases}/a")
    assert (reply.code, reply.reason) == (403, "Forbidden")
    assert reply.body["message"] == (
        f'leases.coordination.k8s.io "a" is forbidden: '
        f'User "system:serviceaccount:{namespace}:agent" cannot get resource "leases" '
        f'in API group "coordination.k8s.io" in the namespace "{namespace}"'
    )
    assert (
        agent.get("/apis/coordination.k8s.io/v1/leases")
        .body["message"]
        .endswith(
            'cannot list resource "leases" in API group "coordination.k8s.io" at the cluster scope'
        )
    )
    assert agent.get("/api").code == 200


def test_the_agents_role_is_for_leases_of_its_namespace_only(
    api: Client, agent: Client, leases: str, pods: str, namespace: str
) -> None:
    bind(api, namespace, "ClusterRole", AGENT_CLUSTER_ROLE)
    wait_until(lambda: agent.get(leases).code == 200)
    assert agent.post(leases, {"metadata": {"name": "a"}}).code == 201
    assert agent.patch(f"{leases}/a", {"spec": {"holderIdentity": "me"}}).code == 200
    assert agent.put(f"{leases}/a", agent.get(f"{leases}/a").body).code == 403
    with agent.watch(leases) as watch:
        assert watch.take(1)[0].name == "a"
    assert agent.delete(f"{leases}/a").code == 403
    assert agent.delete(leases).code == 403
    assert agent.get(f"{pods}/p").code == 403
    other = "/apis/coordination.k8s.io/v1/namespaces/default/leases"
    assert agent.get(other).code == 403


def test_resource_names_cover_objects_and_watches_of_one_name(
    api: Client, agent: Client, leases: str, namespace: str
) -> None:
    api.post(leases, {"metadata": {"name": "own"}})
    verbs = ["get", "watch", "list", "patch", "create"]
    allow(api, namespace, verbs, resources=["leases"], resourceNames=["own"])
    wait_until(lambda: agent.get(f"{leases}/own").code == 200)
    assert agent.patch(f"{leases}/own", {}).code == 200
    assert agent.get(f"{leases}/other").code == 403
    assert agent.get(leases).code == 403
    assert agent.get(leases, fieldSelector="metadata.name=own").names == ["own"]
    assert agent.post(leases, {"metadata": {"name": "own"}}).code == 403
    with agent.watch(leases, fieldSelector="metadata.name=own") as watch:
        assert watch.take(1)[0].name == "own"
    with agent.watch(leases, fieldSelector="metadata.name=other") as watch:
        assert watch.code == 403


def test_a_subresource_needs_a_separate_right(
    api: Client, agent: Client, widgets: str, widget: Any, namespace: str
) -> None:
    widget()
    rule = {"apiGroups": ["contract.example"], "resources": ["widgets/status"]}
    allow(api, namespace, ["patch"], **rule)
    status = {"status": {"phase": "X"}}
    wait_until(lambda: agent.patch(f"{widgets}/w/status", status).code == 200)
    reply = agent.patch(f"{widgets}/w", {})
    assert reply.code == 403
    assert (
        'cannot patch resource "widgets" in API group "contract.example"' in reply.body["message"]
    )


def test_a_right_ends_with_its_binding(
    api: Client, agent: Client, leases: str, namespace: str
) -> None:
    allow(api, namespace, ["list"], resources=["leases"])
    wait_until(lambda: agent.get(leases).code == 200)
    api.delete(f"{RBAC}/{namespace}/rolebindings/agent-some")
    wait_until(lambda: agent.get(leases).code == 403)


def test_a_token_ends_with_its_pod(api: Client, agent: Client, leases: str, pods: str) -> None:
    """A real server remembers for 10 s that a token was valid."""
    assert agent.get(leases).code == 403
    api.delete(f"{pods}/p", {"gracePeriodSeconds": 0})
    wait_until(lambda: agent.get(leases).code == 401, within_s=60)


def test_a_token_ends_with_its_account_also_if_another_one_gets_its_name(
    api: Client, agent: Client, leases: str, namespace: str
) -> None:
    assert agent.get(leases).code == 403
    accounts = f"/api/v1/namespaces/{namespace}/serviceaccounts"
    api.delete(f"{accounts}/agent")
    assert api.post(accounts, {"metadata": {"name": "agent"}}).code == 201
    wait_until(lambda: agent.get(leases).code == 401, within_s=60)


def test_browsers_and_foreign_host_names_are_refused(api: Client, local: LocalServer) -> None:
    connection = api.connect()
    for name, value in (("Origin", "https://evil.example"), ("Host", "evil.example")):
        headers = {"Authorization": f"Bearer {api.token}", name: value}
        connection.request("GET", "/api/v1/namespaces", headers=headers)
        response = connection.getresponse()
        response.read()
        assert response.status == 403
    connection.close()
