"""Defaulting, pruning and validation by structural schemas."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from elasticjob.local.api.kinds.schema import check


def spec(schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": {"metadata": {"type": "object"}, "spec": schema}}


JOB = spec(
    {
        "type": "object",
        "required": ["command"],
        "properties": {
            "replicas": {"type": "integer", "minimum": 0, "maximum": 10, "default": 2},
            "command": {"type": "array", "minItems": 1, "items": {"type": "string"}},
            "env": {"type": "object", "additionalProperties": {"type": "string"}},
            "policy": {"type": "string", "enum": ["Never", "OnFailure"], "default": "Never"},
            "template": {
                "type": "object",
                "x-kubernetes-preserve-unknown-fields": True,
                "properties": {"meta": {"type": "object", "properties": {"a": {"type": "string"}}}},
            },
            "nested": {
                "type": "object",
                "default": {},
                "properties": {"seconds": {"type": "integer", "default": 3}},
            },
        },
    }
)


def test_defaults_are_set_recursively() -> None:
    checked = check(JOB, {"spec": {"command": ["x"]}})
    assert checked.object["spec"] == {
        "command": ["x"],
        "replicas": 2,
        "policy": "Never",
        "nested": {"seconds": 3},
    }
    assert not checked.violations


def test_defaults_are_copies() -> None:
    schema = copy.deepcopy(JOB)
    check(schema, {"spec": {"command": ["x"]}}).object["spec"]["nested"]["seconds"] = 9
    assert schema == JOB


def test_unknown_fields_are_pruned_and_named() -> None:
    sent = {
        "metadata": {"anything": 1},
        "kind": "Job",
        "spec": {
            "command": ["x"],
            "junk": 1,
            "env": {"A": "b"},
            "template": {"kept": {"deep": 1}, "meta": {"a": "b", "pruned": 1}},
        },
        "top": 1,
    }
    checked = check(JOB, sent)
    assert checked.unknown == ["spec.junk", "spec.template.meta.pruned", "top"]
    assert checked.object["metadata"] == {"anything": 1}
    assert checked.object["spec"]["template"] == {"kept": {"deep": 1}, "meta": {"a": "b"}}
    assert checked.object["spec"]["env"] == {"A": "b"}


def test_a_null_becomes_the_default_unless_null_is_allowed() -> None:
    assert (
        check(JOB, {"spec": {"command": ["x"], "replicas": None}}).object["spec"]["replicas"] == 2
    )
    nullable = spec({"type": "integer", "nullable": True, "default": 2})
    assert check(nullable, {"spec": None}).object == {"spec": None}


@pytest.mark.parametrize(
    ("schema", "value", "message"),
    [
        (
            {"type": "integer"},
            "x",
            'Invalid value: "string": spec in body must be of type integer: "string"',
        ),
        (
            {"type": "integer"},
            1.5,
            'Invalid value: "number": spec in body must be of type integer: "number"',
        ),
        (
            {"type": "integer"},
            True,
            'Invalid value: "boolean": spec in body must be of type integer: "boolean"',
        ),
        (
            {"x-kubernetes-int-or-string": True},
            [],
            'Invalid value: "array": spec in body must be of type integer,string: "array"',
        ),
        (
            {"type": "integer", "minimum": 1},
            0,
            "Invalid value: 0: spec in body should be greater than or equal to 1",
        ),
        (
            {"type": "integer", "minimum": 1, "exclusiveMinimum": True},
            1,
            "Invalid value: 1: spec in body should be greater than 1",
        ),
        (
            {"type": "number", "maximum": 1},
            1.5,
            "Invalid value: 1.5: spec in body should be less than or equal to 1",
        ),
        (
            {"type": "number", "maximum": 1, "exclusiveMaximum": True},
            1,
            "Invalid value: 1: spec in body should be less than 1",
        ),
        (
            {"type": "integer", "multipleOf": 2},
            3,
            "Invalid value: 3: spec in body should be a multiple of 2",
        ),
        (
            {"type": "string", "enum": ["a", "b"]},
            "c",
            'Unsupported value: "c": supported values: "a", "b"',
        ),
        ({"type": "string", "maxLength": 2}, "abc", "Too long: may not be more than 2 bytes"),
        (
            {"type": "string", "minLength": 1},
            "",
            'Invalid value: "": spec in body should be at least 1 chars long',
        ),
        (
            {"type": "string", "pattern": "^a$"},
            "b",
            "Invalid value: \"b\": spec in body should match '^a$'",
        ),
        (
            {"type": "string", "format": "date-time"},
            "yesterday",
            'Invalid value: "yesterday": spec in body must be of type date-time: "yesterday"',
        ),
        (
            {"type": "array", "maxItems": 1, "items": {"type": "integer"}},
            [1, 2],
            "Too many: 2: must have at most 1 items",
        ),
        (
            {"type": "array", "minItems": 1, "items": {"type": "integer"}},
            [],
            "Invalid value: 0: spec in body should have at least 1 items",
        ),
        (
            {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "integer"}},
            [1, 1],
            "Duplicate value: 1",
        ),
        (
            {
                "type": "array",
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["type"],
                "items": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
            },
            [{"type": "A", "n": 1}, {"type": "A", "n": 2}],
            'Duplicate value: {"type":"A"}',
        ),
        (
            {"type": "object", "maxProperties": 1, "additionalProperties": {"type": "integer"}},
            {"a": 1, "b": 2},
            "Too many: 2: must have at most 1 items",
        ),
    ],
)
def test_faults(schema: dict[str, Any], value: Any, message: str) -> None:
    assert check(spec(schema), {"spec": value}).violations == [("spec", message)]


def test_a_null_is_left_out_of_an_object_and_refused_in_a_list() -> None:
    assert check(spec({"type": "string"}), {"spec": None}).object == {}
    found = check(spec({"type": "array", "items": {"type": "string"}}), {"spec": [None]})
    fault = 'Invalid value: "null": spec[0] in body must be of type string: "null"'
    assert found.violations == [("spec[0]", fault)]


@pytest.mark.parametrize(
    ("schema", "value", "fault"),
    [
        ({"anyOf": [{"minimum": 5}, {"enum": [1]}]}, 1, None),
        (
            {"anyOf": [{"minimum": 5}, {"enum": [1]}]},
            2,
            "must validate at least one schema (anyOf)",
        ),
        (
            {"oneOf": [{"minimum": 1}, {"enum": [1]}]},
            1,
            "must validate one and only one schema (oneOf)",
        ),
        ({"not": {"enum": [1]}}, 1, "must not validate the schema (not)"),
        ({"not": {"enum": [1]}}, 2, None),
    ],
)
def test_combined_schemas(schema: dict[str, Any], value: int, fault: str | None) -> None:
    expected = [("<nil>", f'Invalid value: "": "spec" {fault}')] if fault else []
    assert check(spec({"type": "integer", **schema}), {"spec": value}).violations == expected


def test_required_fields_and_paths_into_lists() -> None:
    assert check(JOB, {"spec": {}}).violations == [("spec.command", "Required value")]
    fields = [field for field, _ in check(JOB, {"spec": {"command": ["a", 1]}}).violations]
    assert fields == ["spec.command[1]"]


@pytest.mark.parametrize(
    ("value", "good"),
    [
        ("2026-03-01T12:00:00.000000Z", True),
        ("2026-03-01T12:00:00.123456+01:00", True),
        ("2026-03-01T12:00:00Z", False),
        ("2026-03-01T12:00:00.000Z", False),
    ],
)
def test_micro_times_have_exactly_six_digits(value: str, good: bool) -> None:
    schema = spec({"type": "string", "format": "micro-time"})
    assert (not check(schema, {"spec": value}).violations) is good
