"""Conversion of a pydantic model to a structural schema, the only kind that a CRD may contain.

pydantic generates JSON Schema 2020-12. The API server accepts a stricter OpenAPI 3.0 subset: no
references, one type per node, no null type, no numeric exclusive bound. The conversion refuses what
has no counterpart, and names the field, before an API server refuses it.
"""

from __future__ import annotations

from pydantic import BaseModel

from elasticjob.wire.codec import Json

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
_DROPPED = ("title", "$defs")  # a title repeats the name of the field
_CONVERTED = ("properties", "items", "additionalProperties")


class SchemaError(TypeError):
    """A model contains something that a structural schema cannot express."""


def structural(model: type[BaseModel]) -> Json:
    """The structural schema of a model. Raises SchemaError if there is none."""
    document = model.model_json_schema()
    return _Conversion(document.get("$defs", {})).node(document, model.__name__, ())


class _Conversion:
    """The conversion of one document. `inside` contains the references being inlined."""

    def __init__(self, definitions: Json) -> None:
        self._definitions = definitions

    def node(self, given: Json, path: str, inside: tuple[str, ...]) -> Json:
        given, inside = self._inlined(_without_null(given, path), path, inside)
        unsupported = set(given) - {*_COPIED, *_DROPPED, *_CONVERTED}
        if unsupported:
            words = ", ".join(sorted(unsupported))
            raise SchemaError(f"{path}: a structural schema has no {words}")
        out = {key: given[key] for key in _COPIED if key in given}
        if "description" in out:
            out["description"] = _unwrapped(out["description"])
        return {**out, **self._children(given, path, inside)}

    def _inlined(
        self, given: Json, path: str, inside: tuple[str, ...]
    ) -> tuple[Json, tuple[str, ...]]:
        """The definition that a reference names; keywords next to the reference override it."""
        if "$ref" not in given:
            return given, inside
        name = given["$ref"].rsplit("/", 1)[-1]
        if name in inside:
            raise SchemaError(f"{path}: {name} contains itself, and a CRD has no references")
        siblings = {key: value for key, value in given.items() if key != "$ref"}
        return {**self._definitions[name], **siblings}, (*inside, name)

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
    """The schema of `T | None` as that of T without a default: the field is absent, never null."""
    if "anyOf" not in given:
        return given
    arms = [arm for arm in given["anyOf"] if arm != {"type": "null"}]
    if len(arms) != 1 or given.get("default") is not None:
        raise SchemaError(f"{path}: give it one type, or one type and None as its default")
    siblings = {key: value for key, value in given.items() if key not in ("anyOf", "default")}
    return {**arms[0], **siblings}


def _unwrapped(docstring: str) -> str:
    """The docstring as one line: kubectl wraps it for the terminal."""
    return " ".join(docstring.split())
