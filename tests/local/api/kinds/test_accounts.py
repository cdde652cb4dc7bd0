"""The default account and CA of a namespace."""

from __future__ import annotations

import pytest

from elasticjob.local.api.kinds.accounts import ServiceAccounts
from elasticjob.local.api.objects.builtins import (
    BUILTINS,
    CONFIGMAPS,
    NAMESPACES,
    PODS,
    SERVICEACCOUNTS,
)
from elasticjob.local.api.objects.errors import ApiError
from elasticjob.local.api.objects.store import Store


@pytest.fixture
def store() -> Store:
    store = Store(BUILTINS)
    ServiceAccounts(store, "the CA")
    store.create(NAMESPACES, "", {"metadata": {"name": "n"}})
    return store


def test_a_new_namespace_has_an_account_and_the_ca(store: Store) -> None:
    assert store.get(SERVICEACCOUNTS, "n", "default")
    assert store.get(CONFIGMAPS, "n", "kube-root-ca.crt")["data"] == {"ca.crt": "the CA"}


def test_a_pod_needs_an_existing_account(store: Store) -> None:
    def pod(name: str, account: str) -> None:
        spec = {"serviceAccountName": account}
        store.create(PODS, "n", {"metadata": {"name": name}, "spec": spec})

    pod("a", "default")
    with pytest.raises(ApiError) as caught:
        pod("b", "agent")
    assert caught.value.code == 403
    store.create(SERVICEACCOUNTS, "n", {"metadata": {"name": "agent"}})
    pod("b", "agent")


def test_a_pod_outlives_its_account(store: Store) -> None:
    store.create(PODS, "n", {"metadata": {"name": "a"}, "spec": {}})
    store.delete(SERVICEACCOUNTS, "n", "default")
    store.update(PODS, "n", "a", lambda pod: {**pod, "status": {"phase": "Running"}}, "status")
    assert store.get(PODS, "n", "a")["status"] == {"phase": "Running"}
