"""From a pydantic model to a structural schema, the only kind that a CRD may hold.

pydantic writes JSON Schema 2020-12; the API server takes a stricter OpenAPI 3.0 subset: everything
inlined, one type per node, no null arm, no numeric exclusive bound. What has no counterpart is
refused here with the path of the field, instead of by an API server later.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

Json = dict[str, Any]

_COPIED = (
    "description",
    "type",
    "format",
    "default",
    "enum",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "pattern",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "required",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
)
# A title repeats the name of the field.
_DROPPED = ("title", "$defs")
_CONVERTED = ("properties", "items", "additionalProperties")


class SchemaError(TypeError):
    """A model says something that a structural schema cannot."""


def structural(model: type[BaseModel]) -> Json:
    """The structural schema of a model; raises SchemaError where there is none."""
    document = model.model_json_schema()
    return _Conversion(document.get("$defs", {})).node(document, model.__name__, ())


class _Conversion:
    """One walk through a document. `inside` holds the references being inlined, against loops."""

    def __init__(self, definitions: Json) -> None:
        self._definitions = definitions

    def node(self, given: Json, path: str, inside: tuple[str, ...]) -> Json:
        given, inside = self._inlined(_without_null(given, path), path, inside)
        strange = set(given) - {*_COPIED, *_DROPPED, *_CONVERTED}
        if strange:
            raise SchemaError(f"{path}: a structural schema has no {', '.join(sorted(strange))}")
        out = {key: given[key] for key in _COPIED if key in given}
        if "description" in out:
            out["description"] = _unwrapped(out["description"])
        return {**out, **self._children(given, path, inside)}

    def _inlined(
        self, given: Json, path: str, inside: tuple[str, ...]
    ) -> tuple[Json, tuple[str, ...]]:
        """What a reference points at; what stands beside the reference (its docs) wins."""
        if "$ref" not in given:
            return given, inside
        name = given["$ref"].rsplit("/", 1)[-1]
        if name in inside:
            raise SchemaError(f"{path}: {name} contains itself, and a CRD has no references")
        beside = {key: value for key, value in given.items() if key != "$ref"}
        return {**self._definitions[name], **beside}, (*inside, name)

    def _children(self, given: Json, path: str, inside: tuple[str, ...]) -> Json:
        out: Json = {}
        if "items" in given:
            out["items"] = self.node(given["items"], f"{path}[]", inside)
        if "properties" in given:
            out["properties"] = {
                name: self.node(child, f"{path}.{name}", inside)
                for name, child in given["properties"].items()
            }
        rest = given.get("additionalProperties", False)
        if rest is True:
            out["x-kubernetes-preserve-unknown-fields"] = True
        elif rest:
            out["additionalProperties"] = self.node(rest, f"{path}.*", inside)
        return out


def _without_null(given: Json, path: str) -> Json:
    """`T | None` becomes T without a default: an absent field, never a null."""
    if "anyOf" not in given:
        return given
    arms = [arm for arm in given["anyOf"] if arm != {"type": "null"}]
    if len(arms) != 1 or given.get("default") is not None:
        raise SchemaError(f"{path}: give it one type, or one type and None as its default")
    beside = {key: value for key, value in given.items() if key not in ("anyOf", "default")}
    return {**arms[0], **beside}


def _unwrapped(docstring: str) -> str:
    """A docstring's lines are wrapped for its source; kubectl wraps for the terminal."""
    return " ".join(docstring.split())
