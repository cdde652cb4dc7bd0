"""The verbs without HTTP: methods of paths, and responses."""

from __future__ import annotations

import json
from typing import Any

import pytest

from elasticjob.local.api.call import Call, Response, target_of
from elasticjob.local.api.objects.builtins import LEASES, NODES
from elasticjob.local.api.objects.errors import ApiError
from elasticjob.local.api.server import new_store, preload
from elasticjob.local.api.verbs import Verbs
from elasticjob.local.api.watch import Watches

LEASE = "/apis/coordination.k8s.io/v1/namespaces/default/leases"
BODY = {"metadata": {"name": "a"}}


@pytest.fixture
def verbs() -> Verbs:
    store = new_store("ca", [])
    preload(store, [])
    store.create(LEASES, "default", BODY)
    store.create(NODES, "", {"metadata": {"name": "n"}})
    return Verbs(store, Watches(store))


def perform(verbs: Verbs, method: str, path: str, body: Any = None, **fields: Any) -> Response:
    raw = b"" if body is None else json.dumps(body).encode()
    call = Call(method, path, body=raw, **fields)
    target = target_of(call)
    assert target is not None
    answer = verbs.perform(call, target)
    assert isinstance(answer, Response)
    return answer


def code(verbs: Verbs, method: str, path: str, body: Any = None, **fields: Any) -> int:
    try:
        return perform(verbs, method, path, body, **fields).code
    except ApiError as error:
        return error.code


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", f"{LEASE}/a", 200),
        ("GET", "/apis/coordination.k8s.io/v1/leases", 200),
        ("GET", "/apis/coordination.k8s.io/v1/leases/a", 404),  # which namespace?
        ("GET", "/apis/coordination.k8s.io/v1beta1/leases", 404),
        ("GET", f"{LEASE}/a/status", 404),
        ("GET", f"{LEASE}/a/scale", 404),
        ("POST", f"{LEASE}/a", 405),
        ("POST", "/apis/coordination.k8s.io/v1/leases", 405),
        ("HEAD", f"{LEASE}/a", 405),
        ("GET", "/api/v1/nodes/n", 200),
        ("GET", "/api/v1/nodes/n/status", 200),
        ("DELETE", "/api/v1/nodes/n/status", 405),
        ("GET", "/api/v1/namespaces/default", 200),
        ("GET", "/api/v1/namespaces/default/status", 200),
        ("POST", "/api/v1/namespaces/default/pods/p/exec", 405),
        ("GET", "/api/v1/namespaces/default/pods/p/log", 404),
        ("PUT", "/api/v1/namespaces/default/pods/p/log", 405),
        ("POST", "/api/v1/namespaces/default/pods/p/eviction", 404),
    ],
)
def test_paths_and_methods(verbs: Verbs, method: str, path: str, expected: int) -> None:
    assert code(verbs, method, path, BODY if method in ("POST", "PUT") else None) == expected


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", 200),
        ("*/*", 200),
        ("application/json", 200),
        ("application/vnd.kubernetes.protobuf, application/json", 200),
        ("application/json;as=Table;v=v1;g=meta.k8s.io", 200),
        ("application/vnd.kubernetes.protobuf", 406),
        ("application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1", 406),
        ("text/html", 406),
    ],
)
def test_forms(verbs: Verbs, accept: str, expected: int) -> None:
    assert code(verbs, "GET", f"{LEASE}/a", accept=accept) == expected


def test_a_warning_is_quoted_for_its_header() -> None:
    store = new_store("ca", [])
    preload(store, [WIDGETS])
    body = {"metadata": {"name": "w"}, "junk": 1}
    path = "/apis/test.example/v1/namespaces/default/widgets"
    answer = perform(Verbs(store, Watches(store)), "POST", path, body)
    assert answer.headers == (("Warning", '299 - "unknown field \\"junk\\""'),)


WIDGETS: dict[str, Any] = {
    "metadata": {"name": "widgets.test.example"},
    "spec": {
        "group": "test.example",
        "scope": "Namespaced",
        "names": {"plural": "widgets", "kind": "Widget"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {"openAPIV3Schema": {"type": "object"}},
            }
        ],
    },
}
