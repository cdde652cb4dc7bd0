"""Validation of metadata, and admission by it and by schemas."""

from __future__ import annotations

from dataclasses import replace

import pytest

from elasticjob.local.api.kinds.validation import admit
from elasticjob.local.api.objects.builtins import LEASES, NAMESPACES, PODS, ROLES
from elasticjob.local.api.objects.errors import ApiError
from elasticjob.local.api.objects.resource import Object, Resource

OWNER = {"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "u"}


def fields(resource: Resource, new: Object, old: Object | None = None) -> list[str]:
    """The fields with violations."""
    try:
        admit(resource, new, old)
    except ApiError as error:
        return [cause["field"] for cause in error.details["causes"]]
    return []


@pytest.mark.parametrize(
    ("resource", "name", "good"),
    [
        (PODS, "a-1.b", True),
        (PODS, "A", False),
        (PODS, "a_b", False),
        (PODS, "-a", False),
        (PODS, "a..b", False),
        (PODS, "a" * 253, True),
        (PODS, "a" * 254, False),
        (NAMESPACES, "a.b", False),
        (NAMESPACES, "a" * 63, True),
        (NAMESPACES, "a" * 64, False),
        (ROLES, "system:Node_x", True),
        (ROLES, "a/b", False),
    ],
)
def test_names(resource: Resource, name: str, good: bool) -> None:
    assert fields(resource, {"metadata": {"name": name}}) == ([] if good else ["metadata.name"])


def test_a_name_is_validated_on_creation_only() -> None:
    meta = {"metadata": {"name": "Bad"}}
    assert fields(PODS, meta, old={**meta, "spec": {}}) == []


@pytest.mark.parametrize(
    ("meta", "field"),
    [
        ({"labels": {"a.io/b": "c", "d": ""}}, None),
        ({"labels": {"a b": "c"}}, "metadata.labels"),
        ({"labels": {"/b": "c"}}, "metadata.labels"),
        ({"labels": {"A_b/c": "c"}}, "metadata.labels"),
        ({"labels": {"a/": "c"}}, "metadata.labels"),
        ({"labels": {"a" * 64: "c"}}, "metadata.labels"),
        ({"labels": {"a": "b c"}}, "metadata.labels"),
        ({"labels": {"a": "b" * 64}}, "metadata.labels"),
        ({"annotations": {"a.io/B": "anything {at} all"}}, None),
        ({"annotations": {"a b": ""}}, "metadata.annotations"),
        ({"annotations": {"a": "x" * 300_000}}, "metadata.annotations"),
        ({"finalizers": ["a.io/b"]}, None),
        ({"finalizers": ["a b"]}, "metadata.finalizers[0]"),
        ({"ownerReferences": [OWNER]}, None),
        ({"ownerReferences": [{**OWNER, "uid": ""}]}, "metadata.ownerReferences[0].uid"),
        (
            {"ownerReferences": [{**OWNER, "controller": True}, {**OWNER, "controller": True}]},
            "metadata.ownerReferences",
        ),
    ],
)
def test_metadata(meta: Object, field: str | None) -> None:
    found = fields(LEASES, {"metadata": {"name": "a", **meta}})
    assert set(found) == ({field} if field else set())


def test_the_content_of_built_in_objects_is_validated() -> None:
    wrong = {"metadata": {"name": "a"}, "spec": {"leaseTransitions": -1}}
    assert fields(LEASES, wrong) == ["spec.leaseTransitions"]


class TestCustom:
    widgets = replace(
        Resource("test.example", "v1", "widgets", "Widget"),
        schema={
            "type": "object",
            "properties": {
                "spec": {
                    "type": "object",
                    "properties": {
                        "n": {"type": "integer", "maximum": 3},
                        "m": {"type": "integer", "maximum": 3, "default": 1},
                    },
                }
            },
        },
    )

    def test_it_is_defaulted_and_validated(self) -> None:
        assert admit(self.widgets, {"metadata": {"name": "a"}, "spec": {}}, None)["spec"] == {
            "m": 1
        }
        assert fields(self.widgets, {"metadata": {"name": "a"}, "spec": {"n": 4}}) == ["spec.n"]

    def test_an_old_violation_does_not_prevent_other_changes(self) -> None:
        old = {"metadata": {"name": "a"}, "spec": {"n": 4, "m": 1}}
        assert fields(self.widgets, {**old, "spec": {"n": 4, "m": 2}}, old) == []
        assert fields(self.widgets, {**old, "spec": {"n": 5, "m": 2}}, old) == ["spec.n"]
        assert fields(self.widgets, {**old, "spec": {"n": 4, "m": 5}}, old) == ["spec.m"]
