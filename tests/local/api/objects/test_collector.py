"""Garbage collection, one step at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from elasticjob.local.api.objects.builtins import (
    BUILTINS,
    CONFIGMAPS,
    LEASES,
    NAMESPACES,
    NODES,
    PODS,
)
from elasticjob.local.api.objects.collector import Collector
from elasticjob.local.api.objects.resource import Object, Resource
from elasticjob.local.api.objects.store import Store


class Garden:
    """A store with a collector that a test runs."""

    def __init__(self) -> None:
        self.store = Store(BUILTINS)
        self.due: list[Callable[[], None]] = []
        Collector(self.store, self.due.append)
        for name in ("default", "other"):
            self.store.create(NAMESPACES, "", {"metadata": {"name": name}})

    def turn(self) -> None:
        """Collect everything, including the consequences."""
        while self.due:
            self.due.pop(0)()

    def plant(
        self,
        resource: Resource,
        name: str,
        *owners: Object,
        namespace: str = "default",
        block: bool = False,
        **meta: Any,
    ) -> Object:
        references = [
            {
                "apiVersion": owner["apiVersion"],
                "kind": owner["kind"],
                "name": owner["metadata"]["name"],
                "uid": owner["metadata"]["uid"],
                "blockOwnerDeletion": block,
            }
            for owner in owners
        ]
        meta = {"name": name, "ownerReferences": references, **meta}
        return self.store.create(resource, namespace, {"metadata": meta})

    def delete(self, resource: Resource, name: str, policy: str | None = None) -> None:
        options = {} if policy is None else {"propagationPolicy": policy}
        self.store.delete(resource, "default", name, options)

    def names(self, resource: Resource) -> list[str]:
        return [obj["metadata"]["name"] for obj in self.store.list(resource)]

    def meta(self, resource: Resource, name: str) -> Object:
        found: Object = self.store.get(resource, "default", name)["metadata"]
        return found


@pytest.fixture
def garden() -> Garden:
    return Garden()


def test_dependents_are_deleted_after_their_owner(garden: Garden) -> None:
    owner = garden.plant(LEASES, "owner")
    child = garden.plant(LEASES, "child", owner)
    garden.plant(CONFIGMAPS, "grandchild", child)
    garden.plant(CONFIGMAPS, "stranger")
    garden.turn()
    garden.delete(LEASES, "owner")
    assert garden.names(LEASES) == ["child"]  # not yet
    garden.turn()
    assert garden.names(LEASES) == []
    assert garden.names(CONFIGMAPS) == ["stranger"]


def test_changes_of_a_dependent_need_no_collection(garden: Garden) -> None:
    owner = garden.plant(LEASES, "owner")
    garden.plant(LEASES, "child", owner)
    garden.turn()
    garden.store.update(LEASES, "default", "child", lambda obj: {**obj, "spec": {"n": 1}})
    assert garden.due == []


def test_foreground_deletion_waits_for_blocking_dependents(garden: Garden) -> None:
    owner = garden.plant(LEASES, "owner")
    garden.plant(CONFIGMAPS, "blocking", owner, block=True, finalizers=["a/hold"])
    garden.plant(CONFIGMAPS, "free", owner)
    garden.turn()
    garden.delete(LEASES, "owner", "Foreground")
    garden.turn()
    assert garden.names(LEASES) == ["owner"]
    assert garden.names(CONFIGMAPS) == ["blocking"]
    assert "deletionTimestamp" in garden.meta(CONFIGMAPS, "blocking")
    garden.store.update(CONFIGMAPS, "default", "blocking", _without_finalizers)
    garden.turn()
    assert garden.names(LEASES) == []
    assert garden.names(CONFIGMAPS) == []


def test_foreground_deletion_does_not_wait_for_other_dependents(garden: Garden) -> None:
    owner = garden.plant(LEASES, "owner")
    garden.plant(CONFIGMAPS, "slow", owner, finalizers=["a/hold"])
    garden.turn()
    garden.delete(LEASES, "owner", "Foreground")
    garden.turn()
    assert garden.names(LEASES) == []
    assert garden.names(CONFIGMAPS) == ["slow"]


def test_foreground_deletion_is_recursive(garden: Garden) -> None:
    owner = garden.plant(LEASES, "owner")
    child = garden.plant(LEASES, "child", owner, block=True)
    garden.plant(CONFIGMAPS, "grandchild", child, block=True, finalizers=["a/hold"])
    garden.turn()
    garden.delete(LEASES, "owner", "Foreground")
    garden.turn()
    assert garden.names(LEASES) == ["child", "owner"]
    garden.store.update(CONFIGMAPS, "default", "grandchild", _without_finalizers)
    garden.turn()
    assert garden.names(LEASES) == []


def test_orphans_are_kept(garden: Garden) -> None:
    owner = garden.plant(LEASES, "owner")
    garden.plant(CONFIGMAPS, "child", owner)
    garden.turn()
    garden.delete(LEASES, "owner", "Orphan")
    garden.turn()
    assert garden.names(LEASES) == []
    assert "ownerReferences" not in garden.meta(CONFIGMAPS, "child")


def test_an_object_with_a_remaining_owner_is_kept(garden: Garden) -> None:
    first, second = garden.plant(LEASES, "first"), garden.plant(LEASES, "second")
    garden.plant(CONFIGMAPS, "child", first, second)
    garden.turn()
    garden.delete(LEASES, "first")
    garden.turn()
    owners = [owner["name"] for owner in garden.meta(CONFIGMAPS, "child")["ownerReferences"]]
    assert owners == ["second"]
    garden.delete(LEASES, "second")
    garden.turn()
    assert garden.names(CONFIGMAPS) == []


def test_an_owner_that_is_unknown_or_in_another_namespace_is_ignored(garden: Garden) -> None:
    elsewhere = garden.plant(LEASES, "owner", namespace="other")
    garden.plant(CONFIGMAPS, "a", elsewhere)
    ghost = {**elsewhere, "metadata": {**elsewhere["metadata"], "uid": "ghost"}}
    garden.plant(CONFIGMAPS, "b", ghost)
    node = garden.store.create(NODES, "", {"metadata": {"name": "n"}})
    garden.plant(CONFIGMAPS, "c", node)
    garden.turn()
    assert garden.names(CONFIGMAPS) == ["c"]


def test_a_namespace_waits_for_terminating_pods(garden: Garden) -> None:
    garden.plant(CONFIGMAPS, "c")
    pod = {"metadata": {"name": "p"}, "spec": {"nodeName": "n"}}
    garden.store.create(PODS, "default", pod)
    garden.store.delete(NAMESPACES, "", "default")
    garden.turn()
    assert garden.names(CONFIGMAPS) == []
    assert "deletionTimestamp" in garden.meta(PODS, "p")
    assert garden.names(NAMESPACES) == ["default", "other"]
    garden.store.delete(PODS, "default", "p", {"gracePeriodSeconds": 0})
    garden.turn()
    assert garden.names(NAMESPACES) == ["other"]


def _without_finalizers(obj: Object) -> Object:
    return {**obj, "metadata": {**obj["metadata"], "finalizers": []}}
