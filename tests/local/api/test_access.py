"""Authentication and authorization, without HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from elasticjob.local.api.access import Access
from elasticjob.local.api.call import Call, Target, target_of
from elasticjob.local.api.objects.builtins import (
    BUILTINS,
    CLUSTERROLEBINDINGS,
    CLUSTERROLES,
    NAMESPACES,
    PODS,
    ROLEBINDINGS,
    ROLES,
    SERVICEACCOUNTS,
)
from elasticjob.local.api.objects.errors import ApiError
from elasticjob.local.api.objects.store import Store
from elasticjob.local.api.rbac import covers

LEASES = "/apis/coordination.k8s.io/v1/namespaces/ns/leases"
RULE = {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get", "list"]}


@pytest.fixture
def store() -> Store:
    store = Store(BUILTINS)
    store.create(NAMESPACES, "", {"metadata": {"name": "ns"}})
    store.create(SERVICEACCOUNTS, "ns", {"metadata": {"name": "agent"}})
    store.create(PODS, "ns", {"metadata": {"name": "p"}, "spec": {}})
    return store


@pytest.fixture
def access(store: Store) -> Access:
    tokens = (f"token-{n}" for n in range(100))
    return Access(store, new_token=lambda: next(tokens))


@pytest.fixture
def token(access: Access, store: Store) -> str:
    return access.mint("ns", "agent", "p", store.get(PODS, "ns", "p")["metadata"]["uid"])


def attempt(access: Access, token: str, method: str, path: str, **query: str) -> int:
    """The status code of the check; 200 if it passes."""
    call = Call(method, path, query, authorization=f"Bearer {token}")
    try:
        access.check(call, target_of(call))
    except ApiError as error:
        return error.code
    return 200


def role(store: Store, **rule: Any) -> None:
    store.create(ROLES, "ns", {"metadata": {"name": "r"}, "rules": [{**RULE, **rule}]})


def bind(store: Store, **subject: Any) -> None:
    subject = {"kind": "ServiceAccount", "name": "agent", "namespace": "ns", **subject}
    reference = {"kind": "Role", "name": "r"}
    body = {"metadata": {"name": "b"}, "roleRef": reference, "subjects": [subject]}
    store.create(ROLEBINDINGS, "ns", body)


def test_the_user_and_the_operator_may_do_everything(access: Access) -> None:
    for token in (access.admin_token, access.operator_token):
        assert attempt(access, token, "DELETE", LEASES) == 200


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer wrong", "Basic token-0", "token-0"])
def test_an_invalid_token_is_refused(access: Access, header: str) -> None:
    with pytest.raises(ApiError) as caught:
        access.authenticate(header)
    assert caught.value.code == 401


def test_health_needs_no_token_and_discovery_any_token(access: Access, token: str) -> None:
    assert attempt(access, "none", "GET", "/readyz") == 200
    assert attempt(access, "none", "GET", "/api") == 401
    assert attempt(access, token, "GET", "/api") == 200


def test_a_role_applies_when_it_is_bound(access: Access, store: Store, token: str) -> None:
    assert attempt(access, token, "GET", LEASES) == 403
    role(store)
    assert attempt(access, token, "GET", LEASES) == 403
    bind(store)
    assert attempt(access, token, "GET", LEASES) == 200
    assert attempt(access, token, "POST", LEASES) == 403
    assert attempt(access, token, "GET", LEASES.replace("ns/leases", "other/leases")) == 403
    store.delete(ROLEBINDINGS, "ns", "b")
    assert attempt(access, token, "GET", LEASES) == 403


@pytest.mark.parametrize(
    "subject",
    [
        {"kind": "Group", "name": "system:serviceaccounts:ns"},
        {"kind": "Group", "name": "system:authenticated"},
        {"kind": "User", "name": "system:serviceaccount:ns:agent"},
    ],
)
def test_a_binding_may_name_the_user_or_groups_of_an_account(
    access: Access, store: Store, token: str, subject: dict[str, str]
) -> None:
    role(store)
    bind(store, **subject)
    assert attempt(access, token, "GET", LEASES) == 200


def test_an_account_of_another_namespace_is_different(
    access: Access, store: Store, token: str
) -> None:
    role(store)
    bind(store, namespace="other")
    assert attempt(access, token, "GET", LEASES) == 403


def test_a_cluster_role_applies_where_it_is_bound(access: Access, store: Store, token: str) -> None:
    store.create(CLUSTERROLES, "", {"metadata": {"name": "c"}, "rules": [RULE]})
    body = {
        "metadata": {"name": "b"},
        "roleRef": {"kind": "ClusterRole", "name": "c"},
        "subjects": [{"kind": "ServiceAccount", "name": "agent", "namespace": "ns"}],
    }
    everywhere = "/apis/coordination.k8s.io/v1/leases"
    store.create(ROLEBINDINGS, "ns", body)
    assert attempt(access, token, "GET", LEASES) == 200
    assert attempt(access, token, "GET", everywhere) == 403
    store.create(CLUSTERROLEBINDINGS, "", body)
    assert attempt(access, token, "GET", everywhere) == 200


@pytest.mark.parametrize("gone", [(PODS, "p"), (SERVICEACCOUNTS, "agent")])
def test_a_token_is_invalid_without_its_pod_or_account(
    access: Access, store: Store, token: str, gone: Any
) -> None:
    assert attempt(access, token, "GET", "/api") == 200
    store.delete(gone[0], "ns", gone[1])
    assert attempt(access, token, "GET", "/api") == 401


def test_a_token_is_invalid_for_another_pod_of_the_name(
    access: Access, store: Store, token: str
) -> None:
    store.delete(PODS, "ns", "p")
    store.create(PODS, "ns", {"metadata": {"name": "p"}, "spec": {}})
    assert attempt(access, token, "GET", "/api") == 401


@pytest.mark.parametrize(
    ("rule", "target", "expected"),
    [
        ({}, {}, True),
        ({"verbs": ["*"]}, {"verb": "delete"}, True),
        ({"verbs": ["list"]}, {}, False),
        ({"apiGroups": ["*"]}, {}, True),
        ({"apiGroups": [""]}, {}, False),
        ({"resources": ["*"]}, {"subresource": "status"}, True),
        ({"resources": ["leases"]}, {"subresource": "status"}, False),
        ({"resources": ["leases/status"]}, {"subresource": "status"}, True),
        ({"resources": ["*/status"]}, {"subresource": "status"}, True),
        ({"resourceNames": ["a"]}, {"name": "a"}, True),
        ({"resourceNames": ["a"]}, {"name": "b"}, False),
        ({"resourceNames": ["a"]}, {"name": "", "verb": "list"}, False),
        ({"resourceNames": []}, {"name": "b"}, True),
    ],
)
def test_rules(rule: dict[str, Any], target: dict[str, str], expected: bool) -> None:
    asked = {"verb": "get", "group": "coordination.k8s.io", "version": "v1", "plural": "leases"}
    assert covers({**RULE, **rule}, Target(**{**asked, **target})) is expected
