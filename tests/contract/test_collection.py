"""Garbage collection by owner references, and the deletion of namespaces."""

from __future__ import annotations

from typing import Any

import pytest
from dev.kube_client import Client
from dev.wait import wait_until
from tests.support.jobs import elastic_job
from tests.support.widgets import jobs_path

pytestmark = pytest.mark.slow


def owned_by(owner: dict[str, Any], name: str, **reference: Any) -> dict[str, Any]:
    meta = owner["metadata"]
    reference = {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": meta["name"],
        "uid": meta["uid"],
        **reference,
    }
    return {"metadata": {"name": name, "ownerReferences": [reference]}}


@pytest.fixture
def owner(api: Client, widgets: str, leases: str, widget: Any) -> dict[str, Any]:
    """Create an owner when the collector watches its kind, which takes a real one a while."""
    first = widget("first")
    api.post(leases, owned_by(first, "first-child"))
    seen_by_the_collector(api, leases, first)
    api.delete(
        f"{widgets}/first", {"propagationPolicy": "Foreground"}
    )  # which the collector completes
    wait_until(lambda: not present(api, f"{widgets}/first"), within_s=60)
    made: dict[str, Any] = widget("owner")
    return made


def seen_by_the_collector(api: Client, leases: str, owner: dict[str, Any]) -> None:
    """Wait until the collector has seen all existing Leases, which it processes in order."""
    ghost = {**owner["metadata"], "uid": "00000000-dead-beef-0000-000000000000"}
    api.post(leases, owned_by({**owner, "metadata": ghost}, "probe"))
    wait_until(lambda: not present(api, f"{leases}/probe"), within_s=60)


def present(api: Client, path: str) -> bool:
    return api.get(path).code == 200


def test_background_deletion_deletes_the_tree_of_dependents(
    api: Client, widgets: str, leases: str, configmaps: str, owner: dict[str, Any]
) -> None:
    child = api.post(leases, owned_by(owner, "child")).body
    api.post(configmaps, owned_by(child, "grandchild"))
    api.post(configmaps, {"metadata": {"name": "stranger"}})
    assert api.delete(f"{widgets}/owner", {"propagationPolicy": "Background"}).code == 200
    assert not present(api, f"{widgets}/owner")
    wait_until(lambda: not present(api, f"{configmaps}/grandchild"))
    assert not present(api, f"{leases}/child")
    assert present(api, f"{configmaps}/stranger")


def test_in_the_foreground_an_owner_waits_for_dependents_that_block_it(
    api: Client, widgets: str, leases: str, widget: Any, owner: dict[str, Any]
) -> None:
    body = owned_by(owner, "child", blockOwnerDeletion=True)
    body["metadata"]["finalizers"] = ["contract.example/hold"]
    api.post(leases, body)
    seen_by_the_collector(api, leases, owner)
    assert api.delete(f"{widgets}/owner", {"propagationPolicy": "Foreground"}).code == 200
    wait_until(lambda: "deletionTimestamp" in api.get(f"{leases}/child").body["metadata"])
    assert "foregroundDeletion" in api.get(f"{widgets}/owner").body["metadata"]["finalizers"]
    api.patch(f"{leases}/child", {"metadata": {"finalizers": None}})
    wait_until(lambda: not present(api, f"{widgets}/owner"))
    assert not present(api, f"{leases}/child")


def test_in_the_foreground_an_owner_does_not_wait_for_dependents_that_do_not_block_it(
    api: Client, widgets: str, leases: str, owner: dict[str, Any]
) -> None:
    body = owned_by(owner, "child")
    body["metadata"]["finalizers"] = ["contract.example/hold"]
    api.post(leases, body)
    seen_by_the_collector(api, leases, owner)
    api.delete(f"{widgets}/owner", {"propagationPolicy": "Foreground"})
    wait_until(lambda: not present(api, f"{widgets}/owner"))
    wait_until(lambda: "deletionTimestamp" in api.get(f"{leases}/child").body["metadata"])
    api.patch(f"{leases}/child", {"metadata": {"finalizers": None}})
    wait_until(lambda: not present(api, f"{leases}/child"))


def test_orphans_stay_and_lose_their_reference(
    api: Client, widgets: str, leases: str, owner: dict[str, Any]
) -> None:
    api.post(leases, owned_by(owner, "child"))
    seen_by_the_collector(api, leases, owner)
    api.delete(f"{widgets}/owner", {"propagationPolicy": "Orphan"})
    wait_until(lambda: not present(api, f"{widgets}/owner"))
    assert "ownerReferences" not in api.get(f"{leases}/child").body["metadata"]


def test_orphans_of_an_elasticjob_stay_with_all_that_they_own(
    api: Client, leases: str, pods: str, namespace: str, owner: dict[str, Any]
) -> None:
    """Pods, Round Lease, account and binding lose their owner; agent Leases keep the Round Lease,
    and go with it."""
    base = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/rolebindings"
    accounts = f"/api/v1/namespaces/{namespace}/serviceaccounts"
    job = api.post(jobs_path(namespace), {**elastic_job(), "metadata": {"name": "job"}}).body
    made = [f"{leases}/job-round", f"{pods}/job-0-0", f"{accounts}/a", f"{base}/a"]
    bodies: list[dict[str, Any]] = [
        {},
        {"spec": {"containers": [{"name": "worker", "image": "i"}]}},
        {},
        {"roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "x"}},
    ]
    for path, body in zip(made, bodies, strict=True):
        where, _, name = path.rpartition("/")
        reply = api.post(where, {**owned_by(job, name, controller=True), **body})
        assert reply.code == 201, reply.body
    round_lease = api.get(f"{leases}/job-round").body
    api.post(leases, owned_by(round_lease, "job-0-0"))
    seen_by_the_collector(api, leases, job)

    api.delete(f"{jobs_path(namespace)}/job", {"propagationPolicy": "Orphan"})
    wait_until(lambda: not present(api, f"{jobs_path(namespace)}/job"), within_s=60)
    for path in made:
        assert "ownerReferences" not in api.get(path).body["metadata"]
    assert [o["name"] for o in _owners(api, f"{leases}/job-0-0")] == ["job-round"]

    api.delete(f"{leases}/job-round")
    wait_until(lambda: not present(api, f"{leases}/job-0-0"))
    assert present(api, f"{pods}/job-0-0")


def test_a_dependent_of_an_owner_that_does_not_exist_is_deleted(
    api: Client, leases: str, owner: dict[str, Any]
) -> None:
    ghost = {
        **owner,
        "metadata": {**owner["metadata"], "uid": "00000000-dead-beef-0000-000000000000"},
    }
    api.post(leases, owned_by(ghost, "child"))
    wait_until(lambda: not present(api, f"{leases}/child"))


def test_a_dependent_stays_while_one_owner_exists(
    api: Client, widgets: str, leases: str, widget: Any, owner: dict[str, Any]
) -> None:
    second = widget("second")
    body = owned_by(owner, "child")
    body["metadata"]["ownerReferences"] += owned_by(second, "x")["metadata"]["ownerReferences"]
    api.post(leases, body)
    seen_by_the_collector(api, leases, owner)
    api.delete(f"{widgets}/owner")
    wait_until(lambda: len(_owners(api, f"{leases}/child")) == 1)
    assert _owners(api, f"{leases}/child")[0]["name"] == "second"
    api.delete(f"{widgets}/second")
    wait_until(lambda: not present(api, f"{leases}/child"))


def test_a_namespace_is_deleted_with_its_contents_and_accepts_nothing_new(
    api: Client, leases: str, configmaps: str, namespace: str
) -> None:
    held = {"metadata": {"name": "held", "finalizers": ["contract.example/hold"]}}
    api.post(leases, held)
    api.post(configmaps, {"metadata": {"name": "free"}})
    reply = api.delete(f"/api/v1/namespaces/{namespace}")
    assert reply.body["status"]["phase"] == "Terminating"
    assert api.post(configmaps, {"metadata": {"name": "late"}}).code == 403
    wait_until(lambda: not present(api, f"{configmaps}/free"))
    assert present(api, f"/api/v1/namespaces/{namespace}")
    api.patch(f"{leases}/held", {"metadata": {"finalizers": None}})
    wait_until(lambda: not present(api, f"/api/v1/namespaces/{namespace}"), within_s=60)


def _owners(api: Client, path: str) -> list[dict[str, Any]]:
    owners: list[dict[str, Any]] = api.get(path).body["metadata"].get("ownerReferences", [])
    return owners
