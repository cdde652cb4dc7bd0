"""The CRD: what an API server would refuse, and the committed file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from elasticjob.api.crd import as_yaml, custom_resource_definition
from elasticjob.api.rules import RULES
from elasticjob.api.v1alpha1 import ElasticJobStatus
from elasticjob.wire import names
from elasticjob.wire.codec import Json

ROOT = Path(__file__).parents[2]
COMMITTED = ROOT / "crds" / f"{names.GROUP}_{names.PLURAL}.yaml"
CRD = custom_resource_definition()
VERSION = CRD["spec"]["versions"][0]
SCHEMA = VERSION["schema"]["openAPIV3Schema"]


def test_the_committed_file_is_the_generated_one() -> None:
    assert COMMITTED.read_text() == as_yaml(), "run `make generate`"
    assert yaml.safe_load(COMMITTED.read_text()) == CRD


def test_the_crd_is_small_enough_for_client_side_apply() -> None:
    assert COMMITTED.stat().st_size <= 60_000


def test_the_schema_is_structural() -> None:
    assert list(faults(SCHEMA, "")) == []


@pytest.mark.parametrize(
    ("node", "fault"),
    [
        ({"$ref": "#/x"}, ": $ref"),
        ({"type": "object", "anyOf": [{"type": "integer"}]}, ": anyOf with types"),
        ({"type": "integer", "exclusiveMinimum": 0}, ": exclusiveMinimum is a number"),
        ({"type": "array", "maxItems": 1}, ": no items"),
        ({"type": "array", "items": {"type": "integer"}}, ": no maxItems"),
        ({"type": "string"}, ": no maxLength"),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, ": no maxProperties"),
        ({"properties": {}}, ": no type"),
        ({"type": "integer", "default": None}, ": a null default"),
        ({"type": "object", "properties": {"a": {"type": "string"}}}, ".a: no maxLength"),
        (
            {"type": "object", "properties": {}, "additionalProperties": {"type": "integer"},
             "maxProperties": 1},
            ": properties and additionalProperties",
        ),
    ],
)  # fmt: skip
def test_the_schema_check_finds_each_fault(node: Json, fault: str) -> None:
    assert fault in list(faults(node, ""))


def test_every_field_is_documented() -> None:
    bare = [path for path, node in fields(SCHEMA, "") if not node.get("description")]
    assert bare == [".metadata", ".metadata.name"]  # the API server has its own texts for these


def test_a_job_that_no_operator_has_seen_has_a_status() -> None:
    """The API server shows it, as tests/contract/test_custom.py tests."""
    default = SCHEMA["properties"]["status"]["default"]
    assert ElasticJobStatus.model_validate(default).phase == "Pending: waiting for an operator"


def test_the_defaults_of_the_spec() -> None:
    defaults = {
        path.removeprefix(".spec."): node["default"]
        for path, node in fields(SCHEMA, "")
        if "default" in node and path != ".status"
    }
    assert defaults == {
        "replicas": 1,
        "nprocPerNode": 1,
        "maxRestarts": 10,
        "maxStartRestarts": 2,
        "stopGraceSeconds": 25,
        "crashGraceSeconds": 3,
        "suspend": False,
        "cleanPodPolicy": "Running",
    }


def test_the_template_preserves_unknown_fields() -> None:
    template = SCHEMA["properties"]["spec"]["properties"]["template"]
    closed = [
        path
        for path, node in [("", template), *fields(template, "")]
        if "properties" in node and not node.get("x-kubernetes-preserve-unknown-fields")
    ]
    assert closed == []


def test_scale_and_columns_point_at_fields() -> None:
    known = {path for path, _ in fields(SCHEMA, "")}
    scale = VERSION["subresources"]["scale"]
    columns = {column["jsonPath"] for column in VERSION["additionalPrinterColumns"]}
    assert set(scale.values()) <= known
    assert columns - {".metadata.creationTimestamp"} <= known


def test_columns() -> None:
    narrow = [c["name"].upper() for c in VERSION["additionalPrinterColumns"] if "priority" not in c]
    assert narrow == ["STATUS", "READY", "MIN", "MAX", "ROUND", "RESTARTS", "AGE"]


def test_rules_name_fields_of_the_schema() -> None:
    known = {path for path, _ in fields(SCHEMA, "")}
    assert {f".{rule.path}" for rule in RULES} <= known


def test_the_crd_has_every_rule() -> None:
    spec = SCHEMA["properties"]["spec"]
    placed = [*SCHEMA["x-kubernetes-validations"], *spec["x-kubernetes-validations"]]
    claims = {rule["message"]: rule["rule"] for rule in placed}
    assert len(placed) == len(RULES)
    for rule in RULES:
        assert claims[rule.message].endswith(rule.cel)


def test_only_a_rule_that_reads_the_old_object_receives_it() -> None:
    for rule in SCHEMA["properties"]["spec"]["x-kubernetes-validations"]:
        assert rule.get("optionalOldSelf", False) == ("oldSelf" in rule["rule"])


def test_names() -> None:
    assert CRD["metadata"]["name"] == f"{names.PLURAL}.{names.GROUP}"
    assert CRD["spec"]["names"]["shortNames"] == ["ejob"]
    assert CRD["spec"]["names"]["categories"] == ["training"]


def children(node: Json) -> Iterator[tuple[str, Json]]:
    for name, child in node.get("properties", {}).items():
        yield f".{name}", child
    if "items" in node:
        yield "[]", node["items"]
    if isinstance(node.get("additionalProperties"), dict):
        yield ".*", node["additionalProperties"]


def fields(node: Json, path: str) -> Iterator[tuple[str, Json]]:
    """Every named field with its path, including the fields of list items."""
    for step, child in children(node):
        if step.startswith(".") and step != ".*":
            yield f"{path}{step}", child
        yield from fields(child, f"{path}{step}")


def faults(node: Json, path: str) -> Iterator[str]:
    """What an API server would refuse in a structural schema, or as too expensive for CEL rules."""
    for word in ("$ref", "prefixItems", "const", "definitions", "$defs"):
        if word in node:
            yield f"{path}: {word}"
    for word in ("anyOf", "oneOf", "allOf"):
        if any("type" in arm for arm in node.get(word, [])):
            yield f"{path}: {word} with types"
    for word in ("exclusiveMinimum", "exclusiveMaximum"):
        if word in node and not isinstance(node[word], bool):
            yield f"{path}: {word} is a number"
    if "default" in node and node["default"] is None:
        yield f"{path}: a null default"
    if "properties" in node and "additionalProperties" in node:
        yield f"{path}: properties and additionalProperties"
    yield from unbounded(node, path)
    for step, child in children(node):
        yield from faults(child, f"{path}{step}")


def unbounded(node: Json, path: str) -> Iterator[str]:
    match node.get("type"):
        case None:
            yield f"{path}: no type"
        case "array":
            if "items" not in node:
                yield f"{path}: no items"
            if "maxItems" not in node:
                yield f"{path}: no maxItems"
        case "string":
            if "maxLength" not in node and "enum" not in node and node.get("format") != "date-time":
                yield f"{path}: no maxLength"
        case "object":
            if "additionalProperties" in node and "maxProperties" not in node:
                yield f"{path}: no maxProperties"
