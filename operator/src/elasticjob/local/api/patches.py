"""JSON merge patches, JSON patches, and strategic merge patches of built-in objects.

Each function takes the current object and the patch and returns a new object.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import jsonpatch
import jsonpointer

from elasticjob.local.api.objects.encoding import encode
from elasticjob.local.api.objects.errors import ApiError, bad_request
from elasticjob.local.api.objects.resource import Object
from elasticjob.wire.untrusted import DEEPEST, is_nested_deeper

LARGEST_COPIES = 3 << 20  # bytes that a JSON patch may copy, as in a real server
MERGE_KEYS: dict[str, tuple[str, ...]] = {
    "conditions": ("type",),
    "containers": ("name",),
    "env": ("name",),
    "imagePullSecrets": ("name",),
    "initContainers": ("name",),
    "ownerReferences": ("uid",),
    "ports": ("containerPort", "port"),
    "volumeMounts": ("mountPath",),
    "volumes": ("name",),
}
"""The merge keys of list fields of built-in objects. `ports` is a field of containers and Services.

A real server reads them from struct tags of its API types; this table has those that are used here.
"""
SET_FIELDS = frozenset({"finalizers"})
DELETE_FROM_LIST = "$deleteFromPrimitiveList/"
ELEMENT_ORDER = "$setElementOrder/"


class Replace(jsonpatch.ReplaceOperation):
    """The operation `replace` of a real server: unlike RFC 6902, it adds a field that is absent."""

    def apply(self, obj: Any) -> Any:
        """Set a field of an object; replace other values as the library does."""
        if "value" not in self.operation:
            raise jsonpatch.InvalidJsonPatch("The operation does not contain a 'value' member")
        parent, name = self.pointer.to_last(obj)
        if isinstance(parent, dict) and name is not None:
            parent[name] = self.operation["value"]
            return obj
        return super().apply(obj)


class Operations(jsonpatch.JsonPatch):
    """A JSON patch with the operations of a real server."""

    operations = MappingProxyType({**jsonpatch.JsonPatch.operations, "replace": Replace})


def merge(target: Any, patch: Any) -> Any:
    """Apply a JSON merge patch (RFC 7396): null removes, objects merge, other values replace."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge(merged.get(name), value)
    return merged


def json_patch(target: Object, operations: Any) -> Any:
    """Apply a JSON patch (RFC 6902). Raises 422 for an operation that fails, including `test`."""
    try:
        Operations(operations)  # raises for any that is malformed, before the first is applied
    except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException, TypeError) as error:
        raise bad_request(f"error decoding patch: {error}") from None
    try:
        return _applied(copy.deepcopy(target), operations)
    except (
        jsonpatch.JsonPatchException, jsonpointer.JsonPointerException, TypeError, RecursionError
    ) as error:  # fmt: skip
        message = f"the server rejected our request due to an error in our request: {error}"
        raise ApiError(422, "Invalid", message) from None


def _applied(target: Any, operations: list[Object]) -> Any:
    """The result of the operations. 20 copies of a list into itself make a million of it."""
    copied = 0
    for operation in operations:
        if operation["op"] == "copy":
            value = jsonpointer.resolve_pointer(target, operation.get("from", ""))
            copied += len(encode(value))
            if copied > LARGEST_COPIES:
                raise jsonpatch.JsonPatchConflict(f"copies of more than {LARGEST_COPIES} bytes")
        target = Operations([operation]).apply(target, in_place=True)
    if is_nested_deeper(target, DEEPEST):
        raise jsonpatch.JsonPatchConflict(f"the result has more than {DEEPEST} levels")
    return target


def strategic(target: Any, patch: Any) -> Any:
    """Apply a strategic merge patch: as `merge`, but lists that have a merge key merge by it.

    Raises 400 for a value of another type than its name requires.
    """
    try:
        return _strategic(target, patch)
    except (TypeError, AttributeError, KeyError) as error:
        raise bad_request(f"error decoding patch: {error}") from None


def _strategic(target: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return patch
    if patch.get("$patch") == "replace":
        return {name: value for name, value in patch.items() if name != "$patch"}
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if name.startswith(DELETE_FROM_LIST):
            field = name.removeprefix(DELETE_FROM_LIST)
            merged[field] = [item for item in merged.get(field, []) if item not in value]
        elif name == "$retainKeys":
            merged = {field: kept for field, kept in merged.items() if field in value}
        elif name.startswith("$"):
            continue  # $setElementOrder is applied with its list, $patch above
        elif value is None:
            merged.pop(name, None)
        elif isinstance(value, list):
            order = patch.get(ELEMENT_ORDER + name)
            merged[name] = _strategic_list(name, merged.get(name) or [], value, order)
        else:
            merged[name] = _strategic(merged.get(name), value)
    return merged


PATCHES: dict[str, Callable[[Object, Any], Any]] = {
    "application/json-patch+json": json_patch,
    "application/merge-patch+json": merge,
    "application/strategic-merge-patch+json": strategic,
}


def _strategic_list(
    name: str, target: list[Any], patch: list[Any], order: list[Any] | None
) -> list[Any]:
    if name in SET_FIELDS:
        return list(dict.fromkeys([*target, *patch]))
    key = _merge_key(name, target + patch)
    if key is None:
        return patch
    items = {item[key]: item for item in target}
    for item in patch:
        if item.get("$patch") == "delete":
            items.pop(item[key], None)
        else:
            items[item[key]] = _strategic(items.get(item[key]), item)
    return _ordered(items, [item.get(key) for item in order or ()])


def _merge_key(name: str, items: list[Any]) -> str | None:
    """The first merge key of the field that every item has, or None if the list is replaced."""
    for key in MERGE_KEYS.get(name, ()):
        if all(isinstance(item, dict) and key in item for item in items):
            return key
    return None


def _ordered(items: dict[Any, Any], order: list[Any]) -> list[Any]:
    """The items in the order of the client, followed by those that the order does not contain."""
    places = {identity: place for place, identity in enumerate(order)}
    return [items[key] for key in sorted(items, key=lambda key: places.get(key, len(places)))]
