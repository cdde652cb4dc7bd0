"""Defaulting, pruning and validation by structural schemas, with the messages of Kubernetes.

Supports the part of OpenAPI v3 that a CustomResourceDefinition may use. CEL rules are not
evaluated: their equivalents in Python are part of the store's admission.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from elasticjob.local.api.objects.errors import Violation
from elasticjob.local.api.objects.store import clone

Schema = Mapping[str, Any]

ENVELOPE = ("apiVersion", "kind", "metadata")
"""Fields that are never pruned, at the root and in embedded objects."""
ANY: Schema = {"x-kubernetes-preserve-unknown-fields": True}
MICRO_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}(Z|[+-]\d\d:\d\d)")


@dataclass
class Checked:
    """An object with defaults and without unknown fields, and its violations."""

    object: Any
    violations: list[Violation] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)  # the paths of the fields that were pruned


def check(schema: Schema, value: Any) -> Checked:
    """Default, prune and validate a whole object."""
    checked = Checked(None)
    checked.object = _Walk(checked).visit(schema, value, "")
    return checked


class _Walk:
    def __init__(self, checked: Checked) -> None:
        self.violations = checked.violations
        self.unknown = checked.unknown

    def visit(self, schema: Schema, value: Any, path: str) -> Any:
        """Return the value with defaults and without unknown fields; collect its violations."""
        if value is None and schema.get("nullable"):
            return None
        wrong = wrong_type(schema, value)
        if wrong:
            found = type_name(value)
            self._fault(path, f'"{found}": {_place(path)} must be of type {wrong}: "{found}"')
            return value
        self.violations += [(path, message) for message in value_faults(schema, value, path)]
        if isinstance(value, dict):
            value = self._visit_object(schema, value, path)
        elif isinstance(value, list):
            items = schema.get("items", ANY)
            value = [self.visit(items, item, f"{path}[{i}]") for i, item in enumerate(value)]
        self._combine(schema, value, path)
        return value

    def _visit_object(self, schema: Schema, value: dict[str, Any], path: str) -> dict[str, Any]:
        properties: Mapping[str, Schema] = schema.get("properties", {})
        kept: dict[str, Any] = {}
        for name, item in value.items():
            inner, where = self._schema_of(schema, name, path), _join(path, name)
            if inner is None:
                self.unknown.append(where)
            elif item is None and name in properties and not inner.get("nullable"):
                continue  # as if it had not been sent
            else:
                kept[name] = self.visit(inner, item, where)
        for name, inner in properties.items():
            if name not in kept and "default" in inner:
                kept[name] = self.visit(inner, clone(inner["default"]), _join(path, name))
        for name in schema.get("required", ()):
            if name not in kept:
                self.violations.append((_join(path, name), "Required value"))
        return kept

    def _schema_of(self, schema: Schema, name: str, path: str) -> Schema | None:
        """The schema of one property, or None if the property is pruned."""
        known: Schema | None = schema.get("properties", {}).get(name)
        embedded = not path or schema.get("x-kubernetes-embedded-resource")
        if embedded and name in ENVELOPE:
            return {**ANY, **(known or {})}
        if known is not None:
            return known
        extra = schema.get("additionalProperties")
        if isinstance(extra, Mapping):
            return extra
        keep = extra is True or schema.get("x-kubernetes-preserve-unknown-fields")
        return ANY if keep else None

    def _combine(self, schema: Schema, value: Any, path: str) -> None:
        """Validate allOf, anyOf, oneOf and not, on the value with its defaults."""
        for inner in schema.get("allOf", ()):
            self.violations += _faults(inner, value, path)
        if "anyOf" in schema and not _count_matches(schema["anyOf"], value, path):
            self._mismatch(path, "must validate at least one schema (anyOf)")
        if "oneOf" in schema and _count_matches(schema["oneOf"], value, path) != 1:
            self._mismatch(path, "must validate one and only one schema (oneOf)")
        if "not" in schema and _count_matches([schema["not"]], value, path):
            self._mismatch(path, "must not validate the schema (not)")

    def _mismatch(self, path: str, requirement: str) -> None:
        self.violations.append(("<nil>", f'Invalid value: "": "{path}" {requirement}'))

    def _fault(self, path: str, message: str) -> None:
        self.violations.append((path or "<nil>", f"Invalid value: {message}"))


def _faults(schema: Schema, value: Any, path: str) -> list[Violation]:
    """The violations of a schema under `anyOf` or similar, which neither prunes nor defaults."""
    checked = Checked(None)
    _Walk(checked).visit({**ANY, **schema}, value, path)
    return checked.violations


def _count_matches(choices: Sequence[Schema], value: Any, path: str) -> int:
    return sum(not _faults(choice, value, path) for choice in choices)


def wrong_type(schema: Schema, value: Any) -> str | None:
    """The expected type of the value, or None if the value has it."""
    if schema.get("x-kubernetes-int-or-string"):
        whole = isinstance(value, int) and not isinstance(value, bool)
        return None if whole or isinstance(value, str) else "integer,string"
    wanted = schema.get("type")
    return None if wanted is None or TYPES[wanted](value) else str(wanted)


def type_name(value: Any) -> str:
    """The JSON type of a value, as messages name it."""
    if value is None:
        return "null"
    return {bool: "boolean", int: "integer", float: "number", str: "string", list: "array"}.get(
        type(value), "object"
    )


def value_faults(schema: Schema, value: Any, path: str) -> Iterator[str]:
    """The violations of a value of the right type, without those of its items and properties."""
    if "enum" in schema and value not in schema["enum"]:
        supported = ", ".join(_quote(choice) for choice in schema["enum"])
        yield f"Unsupported value: {_quote(value)}: supported values: {supported}"
    if isinstance(value, str):
        yield from _string_faults(schema, value, path)
    elif isinstance(value, list):
        yield from _list_faults(schema, value, path)
    elif isinstance(value, dict):
        yield from _size_faults(schema, len(value), path, "Properties", "properties")
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield from _number_faults(schema, value, path)


def _string_faults(schema: Schema, value: str, path: str) -> Iterator[str]:
    if len(value) > schema.get("maxLength", len(value)):
        yield f"Too long: may not be more than {schema['maxLength']} bytes"
    for requirement in _string_requirements(schema, value):
        yield f"Invalid value: {_quote(value)}: {_place(path)} {requirement}"


def _string_requirements(schema: Schema, value: str) -> Iterator[str]:
    if len(value) < schema.get("minLength", 0):
        yield f"should be at least {schema['minLength']} chars long"
    if "pattern" in schema and not re.search(schema["pattern"], value):
        yield f"should match '{schema['pattern']}'"
    if "format" in schema and not FORMATS.get(schema["format"], _any_text)(value):
        yield f"must be of type {schema['format']}: {_quote(value)}"


def _number_faults(schema: Schema, value: float, path: str) -> Iterator[str]:
    low, high, factor = (schema.get(word) for word in ("minimum", "maximum", "multipleOf"))
    start = f"Invalid value: {value}: {_place(path)}"
    if low is not None and schema.get("exclusiveMinimum") and value <= low:
        yield f"{start} should be greater than {low}"
    elif low is not None and value < low:
        yield f"{start} should be greater than or equal to {low}"
    if high is not None and schema.get("exclusiveMaximum") and value >= high:
        yield f"{start} should be less than {high}"
    elif high is not None and value > high:
        yield f"{start} should be less than or equal to {high}"
    if factor and value % factor:
        yield f"{start} should be a multiple of {factor}"


def _list_faults(schema: Schema, value: Sequence[Any], path: str) -> Iterator[str]:
    yield from _size_faults(schema, len(value), path, "Items", "items")
    if schema.get("x-kubernetes-list-type") not in ("set", "map") and not schema.get("uniqueItems"):
        return
    keys, seen = schema.get("x-kubernetes-list-map-keys"), []
    for item in value:
        identity = {key: item.get(key) for key in keys} if keys and isinstance(item, dict) else item
        if identity in seen:
            yield f"Duplicate value: {_quote(identity)}"
        seen.append(identity)


def _size_faults(schema: Schema, size: int, path: str, word: str, what: str) -> Iterator[str]:
    if size > schema.get(f"max{word}", size):
        yield f"Too many: {size}: must have at most {schema[f'max{word}']} items"
    if size < schema.get(f"min{word}", 0):
        requirement = f"should have at least {schema[f'min{word}']} {what}"
        yield f"Invalid value: {size}: {_place(path)} {requirement}"


def _is_whole(value: Any) -> bool:
    if isinstance(value, float):
        return value.is_integer()
    return isinstance(value, int) and not isinstance(value, bool)


def _is_date_time(value: str) -> bool:
    try:
        return datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False


def _is_base64(value: str) -> bool:
    try:
        return base64.b64decode(value, validate=True) is not None
    except ValueError:
        return False


def _any_text(value: str) -> bool:
    return True


TYPES: dict[str, Callable[[Any], bool]] = {
    "array": lambda value: isinstance(value, list),
    "boolean": lambda value: isinstance(value, bool),
    "integer": _is_whole,
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "object": lambda value: isinstance(value, dict),
    "string": lambda value: isinstance(value, str),
}
FORMATS: dict[str, Callable[[str], bool]] = {
    "date-time": _is_date_time,
    "byte": _is_base64,
    "micro-time": lambda value: MICRO_TIME.fullmatch(value) is not None,
}
"""The formats that are validated. `micro-time` is used by Leases and Events only."""


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _place(path: str) -> str:
    return f"{path or '<nil>'} in body"


def _quote(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))
