"""Validation of the content of simple built-in objects."""

from __future__ import annotations

import base64

import pytest

from elasticjob.local.api.kinds.contents import CONFIG_LIMIT_BYTES, CONTENT_RULES
from elasticjob.local.api.objects.builtins import CONFIGMAPS, EVENTS, LEASES, ROLEBINDINGS, ROLES
from elasticjob.local.api.objects.resource import Object, Resource

META = {"name": "a", "namespace": "n"}


def fields(resource: Resource, new: Object, old: Object | None = None) -> list[str]:
    """The fields with violations."""
    return [field for field, _ in CONTENT_RULES[resource.key]({"metadata": META, **new}, old)]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"leaseDurationSeconds": 1, "leaseTransitions": 0, "holderIdentity": ""}, []),
        ({"leaseDurationSeconds": 0}, ["spec.leaseDurationSeconds"]),
        ({"leaseTransitions": -1}, ["spec.leaseTransitions"]),
    ],
)
def test_leases(spec: Object, expected: list[str]) -> None:
    assert fields(LEASES, {"spec": spec}) == expected


def binary(size: int) -> str:
    return base64.b64encode(b"x" * size).decode()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"data": {"k.1_a-b": "1"}, "binaryData": {"l": "AA=="}}, []),
        ({"data": {"a/b": ""}}, ["data[a/b]"]),
        ({"binaryData": {"..": ""}}, ["binaryData[..]"]),
        ({"data": {"k": ""}, "binaryData": {"k": ""}}, ["data[k]"]),
        ({"data": {"k": "x" * CONFIG_LIMIT_BYTES}}, []),
        ({"data": {"k": "x" * (CONFIG_LIMIT_BYTES + 1)}}, ["[]"]),
        ({"binaryData": {"k": binary(CONFIG_LIMIT_BYTES)}}, []),
        ({"binaryData": {"k": binary(CONFIG_LIMIT_BYTES + 1)}}, ["[]"]),
    ],
)
def test_configmaps(content: Object, expected: list[str]) -> None:
    assert fields(CONFIGMAPS, content) == expected


def test_immutable_configmaps() -> None:
    old = {"data": {"k": "1"}, "immutable": True}
    assert fields(CONFIGMAPS, old, old) == []
    assert fields(CONFIGMAPS, {**old, "data": {"k": "2"}}, old) == ["data"]
    assert fields(CONFIGMAPS, {**old, "immutable": False}, old) == ["immutable"]


RECENT = {
    "eventTime": "2026-01-01T00:00:00.000000Z",
    "reportingComponent": "c",
    "reportingInstance": "i",
    "action": "a",
    "reason": "r",
}


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ({"involvedObject": {"namespace": "n"}}, []),
        ({"involvedObject": {"namespace": "other"}}, ["involvedObject.namespace"]),
        ({"involvedObject": {}}, ["involvedObject.namespace"]),
        ({"metadata": {**META, "namespace": "default"}, "involvedObject": {}}, []),
        ({**RECENT, "involvedObject": {"namespace": "n"}}, []),
        ({**RECENT, "involvedObject": {"namespace": "other"}}, []),
        ({**RECENT, "involvedObject": {}}, ["involvedObject.namespace"]),
        ({**RECENT, "involvedObject": {"namespace": "n"}, "action": ""}, ["action"]),
    ],
)
def test_events(event: Object, expected: list[str]) -> None:
    assert fields(EVENTS, event) == expected


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}, []),
        ({"verbs": ["get"], "nonResourceURLs": ["/healthz"]}, []),
        ({"verbs": [], "apiGroups": [""], "resources": ["pods"]}, ["rules[0].verbs"]),
        ({"verbs": ["get"]}, ["rules[0].apiGroups", "rules[0].resources"]),
    ],
)
def test_roles(rule: Object, expected: list[str]) -> None:
    assert fields(ROLES, {"rules": [rule]}) == expected


def test_the_role_of_a_binding_is_immutable() -> None:
    old = {"roleRef": {"kind": "Role", "name": "r"}}
    assert fields(ROLEBINDINGS, old, old) == []
    changed = {"roleRef": {"kind": "Role", "name": "s"}}
    assert fields(ROLEBINDINGS, changed, old) == ["roleRef"]
    subjects = [{"kind": "ServiceAccount", "name": "x"}]
    assert fields(ROLEBINDINGS, {**old, "subjects": subjects}) == ["subjects[0].namespace"]
    assert fields(ROLEBINDINGS, {}) == ["roleRef.name"]
