"""The target of a path and a query."""

from __future__ import annotations

import pytest

from elasticjob.local.api.call import Call, Target, target_of
from elasticjob.local.api.objects.errors import ApiError

ROOT = "/apis/g.example/v1"


@pytest.mark.parametrize(
    ("method", "path", "query", "expected"),
    [
        ("GET", "/api/v1/pods", {}, Target("list", "", "v1", "pods")),
        ("GET", "/api/v1/pods", {"watch": "true"}, Target("watch", "", "v1", "pods")),
        ("GET", "/api/v1/namespaces/n/pods/p", {}, Target("get", "", "v1", "pods", "n", "p")),
        (
            "GET",
            "/api/v1/namespaces/n/pods/p/log",
            {},
            Target("get", "", "v1", "pods", "n", "p", "log"),
        ),
        ("GET", "/api/v1/namespaces", {}, Target("list", "", "v1", "namespaces")),
        ("GET", "/api/v1/namespaces/n", {}, Target("get", "", "v1", "namespaces", "n", "n")),
        (
            "PUT",
            "/api/v1/namespaces/n/status",
            {},
            Target("update", "", "v1", "namespaces", "n", "n", "status"),
        ),
        ("POST", f"{ROOT}/namespaces/n/xs", {}, Target("create", "g.example", "v1", "xs", "n")),
        ("PATCH", f"{ROOT}/xs/x", {}, Target("patch", "g.example", "v1", "xs", "", "x")),
        ("DELETE", f"{ROOT}/xs", {}, Target("deletecollection", "g.example", "v1", "xs")),
        ("DELETE", f"{ROOT}/xs/x", {}, Target("delete", "g.example", "v1", "xs", "", "x")),
        (
            "GET",
            f"{ROOT}/xs",
            {"fieldSelector": "metadata.name=x", "watch": "1"},
            Target("watch", "g.example", "v1", "xs", "", "x"),
        ),
    ],
)
def test_targets(method: str, path: str, query: dict[str, str], expected: Target) -> None:
    assert target_of(Call(method, path, query)) == expected


@pytest.mark.parametrize("path", ["/", "/api", "/api/v1", "/apis", "/apis/g/v1", "/version"])
def test_paths_that_are_not_of_a_resource(path: str) -> None:
    assert target_of(Call("GET", path)) is None


@pytest.mark.parametrize("path", ["/api/v1/pods/a/b/c", "/api/v1//pods", f"{ROOT}/xs/x/scale/y"])
def test_paths_that_are_refused(path: str) -> None:
    with pytest.raises(ApiError) as caught:
        target_of(Call("GET", path))
    assert caught.value.code == 404


@pytest.mark.parametrize(
    ("kind", "body", "expected"),
    [
        ("application/json", b'{"a": 1}', {"a": 1}),
        ("application/json; charset=utf-8", b"[]", []),
        ("", b'{"a": 1}', {"a": 1}),
        ("application/yaml", b"a: 1", {"a": 1}),
        ("application/json", b"", None),
        ("application/json", b"{", 400),
        ("application/yaml", b"a: [", 400),
        ("application/vnd.kubernetes.protobuf", b"k8s", 415),
    ],
)
def test_bodies(kind: str, body: bytes, expected: object) -> None:
    call = Call("POST", "/", content_type=kind, body=body)
    if not isinstance(expected, int):
        assert call.decode_body() == expected
        return
    with pytest.raises(ApiError) as caught:
        call.decode_body()
    assert caught.value.code == expected
