"""Decoding of bodies whose fields have the right or wrong types."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from elasticjob.local.api.kinds.typed import decode
from elasticjob.local.api.objects.builtins import CONFIGMAPS, LEASES, PODS, ROLES
from elasticjob.local.api.objects.errors import ApiError
from elasticjob.local.api.objects.resource import Resource

WIDGETS = replace(
    Resource("test.example", "v1", "widgets", "Widget"),
    schema={
        "type": "object",
        "properties": {"spec": {"type": "object", "properties": {"n": {"default": 1}}}},
    },
)


@pytest.mark.parametrize(
    ("resource", "body"),
    [
        (LEASES, []),
        (LEASES, {"kind": "Pod"}),
        (LEASES, {"apiVersion": "v1"}),
        (LEASES, {"spec": {"renewTime": "2026-01-01T00:00:00Z"}}),
        (LEASES, {"spec": {"leaseDurationSeconds": "15"}}),
        (LEASES, {"metadata": {"labels": {"a": 1}}}),
        (LEASES, {"metadata": {"annotations": {"a": {"b": 1}}}}),
        (PODS, {"spec": {"containers": [{"name": "w", "command": "python"}]}}),
        (PODS, {"spec": {"containers": [{"name": "w", "env": [{"name": "A", "value": 1}]}]}}),
        (CONFIGMAPS, {"data": {"a": 1}}),
        (CONFIGMAPS, {"binaryData": {"a": "not base64"}}),
        (ROLES, {"rules": [{"verbs": "get"}]}),
        (WIDGETS, {"metadata": {"labels": {"a": 1}}}),
    ],
)
def test_bodies_that_are_refused(resource: Resource, body: Any) -> None:
    with pytest.raises(ApiError) as caught:
        decode(resource, body)
    assert (caught.value.code, caught.value.reason) == (400, "BadRequest")


def test_kind_and_version_are_set_and_nulls_of_built_in_objects_dropped() -> None:
    body = {"metadata": {"creationTimestamp": None}, "spec": {"holderIdentity": None}}
    assert decode(LEASES, body).object == {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {},
        "spec": {},
    }


def test_a_custom_resource_is_defaulted_and_pruned() -> None:
    decoded = decode(WIDGETS, {"spec": {"junk": 1}})
    assert decoded.object["spec"] == {"n": 1}
    assert decoded.unknown == ("spec.junk",)
