"""The schema generated from a model, and the models that are refused."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field

from elasticjob.api.schema import SchemaError, structural
from elasticjob.wire.codec import Json


class Part(BaseModel):
    """A part."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    size: Annotated[int, Field(ge=1)] = 1
    """How
    large."""


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")

    name: str


class Closed(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str


class Whole(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True)

    part: Part | None = None
    """The text of the field wins."""
    parts: Annotated[list[Part], Field(max_length=3)] | None = None
    word: Literal["a", "b"] = "a"
    labels: dict[str, str] | None = None
    anything: dict[str, Any] | None = None
    open: Open
    closed: Closed


def test_a_model_becomes_a_structural_schema() -> None:
    size = {"description": "How large.", "type": "integer", "default": 1, "minimum": 1}
    named = {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}}
    assert structural(Whole) == {
        "type": "object",
        "required": ["open", "closed"],
        "properties": {
            "part": {
                "description": "The text of the field wins.",
                "type": "object",
                "properties": {"size": size},
            },
            "parts": {
                "type": "array",
                "maxItems": 3,
                "items": {"description": "A part.", "type": "object", "properties": {"size": size}},
            },
            "word": {"type": "string", "default": "a", "enum": ["a", "b"]},
            "labels": {"type": "object", "additionalProperties": {"type": "string"}},
            "anything": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
            "open": {**named, "x-kubernetes-preserve-unknown-fields": True},
            "closed": named,
        },
    }


class Loop(BaseModel):
    inner: Loop | None = None


class TwoTypes(BaseModel):
    field: int | str


class NullOrDefault(BaseModel):
    field: int | None = 3


class Pair(BaseModel):
    field: tuple[int, str]


class Above(BaseModel):
    field: Annotated[int, Field(gt=0)]


class Constant(BaseModel):
    field: Literal["only"] = "only"


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Loop, "Loop.inner: Loop contains itself"),
        (TwoTypes, "TwoTypes.field: give it one type"),
        (NullOrDefault, "NullOrDefault.field: give it one type"),
        (Pair, "Pair.field: a structural schema has no prefixItems"),
        (Above, "Above.field: a structural schema has no exclusiveMinimum"),
        (Constant, "Constant.field: a structural schema has no const"),
    ],
)
def test_a_model_without_counterpart_is_refused(model: type[BaseModel], message: str) -> None:
    with pytest.raises(SchemaError, match=f"^{message}"):
        structural(model)


def test_results_share_no_objects() -> None:
    first: Json = structural(Whole)
    first["properties"]["labels"]["type"] = "changed"
    assert structural(Whole)["properties"]["labels"]["type"] == "object"
