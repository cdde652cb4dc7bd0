"""The three kinds of patch that are served: JSON merge, JSON, and strategic merge for built-ins.

Each takes the present object and the patch and returns a new object; neither is changed.
"""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import jsonpatch
import jsonpointer

from elasticjob.local.api.objects.errors import ApiError, bad_request
from elasticjob.local.api.objects.resource import Object

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
"""List fields of built-ins whose items have an identity. `ports`: of a container, of a Service.

A real server takes this from struct tags in its API types; these are the fields that are used here.
"""
SETS = frozenset({"finalizers"})
DELETE_FROM_LIST = "$deleteFromPrimitiveList/"
ELEMENT_ORDER = "$setElementOrder/"


class Replace(jsonpatch.ReplaceOperation):
    """A real server's `replace` adds a field that is not there, which RFC 6902 forbids."""

    def apply(self, obj: Any) -> Any:
        """Set a field of an object; else as the library does."""
        parent, name = self.pointer.to_last(obj)
        if isinstance(parent, dict) and name is not None:
            parent[name] = self.operation["value"]
            return obj
        return super().apply(obj)


class Operations(jsonpatch.JsonPatch):
    """A JSON patch whose operations do what a real server's do."""

    operations = MappingProxyType({**jsonpatch.JsonPatch.operations, "replace": Replace})


def merge(target: Any, patch: Any) -> Any:
    """RFC 7396: null removes, objects merge, all else replaces."""
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
    """RFC 6902; an operation that does not apply, a failing `test` included, is 422."""
    try:
        patch = Operations(operations)
    except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException, TypeError) as error:
        raise bad_request(f"error decoding patch: {error}") from None
    try:
        return patch.apply(target)
    except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException, TypeError) as error:
        message = f"the server rejected our request due to an error in our request: {error}"
        raise ApiError(422, "Invalid", message) from None


def strategic(target: Any, patch: Any) -> Any:
    """Kubernetes' own: as merge, but lists of things with an identity merge by it."""
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
            continue  # $setElementOrder is honoured with its list, $patch above
        elif value is None:
            merged.pop(name, None)
        elif isinstance(value, list):
            order = patch.get(ELEMENT_ORDER + name)
            merged[name] = _strategic_list(name, merged.get(name) or [], value, order)
        else:
            merged[name] = strategic(merged.get(name), value)
    return merged


PATCHES: dict[str, Callable[[Object, Any], Any]] = {
    "application/json-patch+json": json_patch,
    "application/merge-patch+json": merge,
    "application/strategic-merge-patch+json": strategic,
}


def _strategic_list(
    name: str, target: list[Any], patch: list[Any], order: list[Any] | None
) -> list[Any]:
    if name in SETS:
        return list(dict.fromkeys([*target, *patch]))
    key = _merge_key(name, target + patch)
    if key is None:
        return patch
    items = {item[key]: item for item in target}
    for item in patch:
        if item.get("$patch") == "delete":
            items.pop(item[key], None)
        else:
            items[item[key]] = strategic(items.get(item[key]), item)
    return _ordered(items, [item.get(key) for item in order or ()])


def _merge_key(name: str, items: list[Any]) -> str | None:
    """The first candidate that every item has; without one the list is replaced as a whole."""
    for key in MERGE_KEYS.get(name, ()):
        if all(isinstance(item, dict) and key in item for item in items):
            return key
    return None


def _ordered(items: dict[Any, Any], order: list[Any]) -> list[Any]:
    """In the client's order; what the client does not know of keeps its place after the rest."""
    places = {identity: place for place, identity in enumerate(order)}
    return [items[key] for key in sorted(items, key=lambda key: places.get(key, len(places)))]
