"""Patches over HTTP: which types each resource accepts, and the responses."""

from __future__ import annotations

from typing import Any

import pytest
from dev.kube_client import JSON_PATCH, MERGE, STRATEGIC, Client

pytestmark = pytest.mark.slow


def test_merge(api: Client, configmaps: str) -> None:
    api.post(configmaps, {"metadata": {"name": "c"}, "data": {"a": "1", "b": "2"}})
    reply = api.patch(f"{configmaps}/c", {"data": {"a": None, "c": "3"}})
    assert reply.body["data"] == {"b": "2", "c": "3"}


def test_json(api: Client, configmaps: str) -> None:
    api.post(configmaps, {"metadata": {"name": "c"}, "data": {"a": "1"}})
    operations = [
        {"op": "test", "path": "/data/a", "value": "1"},
        {"op": "replace", "path": "/data/a", "value": "2"},
        {"op": "add", "path": "/metadata/labels", "value": {"x": "y"}},
    ]
    reply = api.patch(f"{configmaps}/c", operations, JSON_PATCH)
    assert (reply.body["data"], reply.body["metadata"]["labels"]) == ({"a": "2"}, {"x": "y"})


@pytest.mark.parametrize(
    ("operations", "code"),
    [
        ([{"op": "test", "path": "/data/a", "value": "9"}], 422),
        ([{"op": "remove", "path": "/data/zz"}], 422),
        ([{"op": "add", "path": "/x/y", "value": "9"}], 422),
        ([{"op": "replace", "path": "/data/zz", "value": "9"}], 200),
        ({"data": {}}, 400),
    ],
)
def test_json_patches_that_do_not_apply(
    api: Client, configmaps: str, operations: Any, code: int
) -> None:
    api.post(configmaps, {"metadata": {"name": "c"}, "data": {"a": "1"}})
    assert api.patch(f"{configmaps}/c", operations, JSON_PATCH).code == code


def test_strategic_patches_merge_lists_of_built_ins_by_key(api: Client, pods: str) -> None:
    containers = [{"name": "a", "image": "1"}, {"name": "b", "image": "1"}]
    api.post(pods, {"metadata": {"name": "p"}, "spec": {"containers": containers}})
    patch = {"spec": {"containers": [{"name": "b", "image": "2"}]}}
    reply = api.patch(f"{pods}/p", patch, STRATEGIC)
    assert [item["image"] for item in reply.body["spec"]["containers"]] == ["1", "2"]
    assert api.patch(f"{pods}/p", patch, MERGE).code == 422  # it would drop a container


def test_strategic_patches_are_refused_for_custom_resources(
    api: Client, widgets: str, widget: Any
) -> None:
    widget()
    reply = api.patch(f"{widgets}/w", {"spec": {"replicas": 1}}, STRATEGIC)
    assert (reply.code, reply.reason) == (415, "UnsupportedMediaType")


def test_unknown_kinds_of_body_are_refused(api: Client, configmaps: str) -> None:
    body = b"\x00k8s"
    kind = "application/x-unheard-of"
    reply = api.request("POST", configmaps, body, content_type=kind)
    assert (reply.code, reply.reason) == (415, "UnsupportedMediaType")


def test_bodies_without_a_type_and_in_yaml_are_accepted(api: Client, configmaps: str) -> None:
    body = b'{"metadata": {"name": "bare"}}'
    assert api.request("POST", configmaps, body, content_type=None).code == 201
    body = b"metadata: {name: yaml}\ndata: {a: b}\n"
    reply = api.request("POST", configmaps, body, content_type="application/yaml")
    assert (reply.code, reply.body["data"]) == (201, {"a": "b"})


def test_requests_that_only_the_local_server_refuses(
    local: Any, api: Client, pods: str, leases: str
) -> None:
    api.post(leases, {"metadata": {"name": "a"}})
    kind = "application/apply-patch+yaml"
    reply = api.patch(f"{leases}/a", {}, kind, fieldManager="x")
    assert (reply.code, reply.reason) == (415, "UnsupportedMediaType")
    kind = "application/vnd.kubernetes.protobuf"
    assert api.get(leases, accept=kind).reason == "NotAcceptable"
    body, kind = b"k8s\x00", "application/vnd.kubernetes.protobuf"
    assert api.request("POST", leases, body, content_type=kind).code == 415
    containers = [{"name": "w", "image": "i"}]
    api.post(pods, {"metadata": {"name": "p"}, "spec": {"containers": containers}})
    for subresource in ("exec", "attach", "portforward"):
        reply = api.post(f"{pods}/p/{subresource}", None)
        assert (reply.code, reply.reason) == (405, "MethodNotAllowed")
        assert "not supported by the local server" in reply.body["message"]
