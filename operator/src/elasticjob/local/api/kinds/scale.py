"""The `/scale` subresource of a custom resource."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from elasticjob.local.api.objects.errors import invalid
from elasticjob.local.api.objects.resource import Object, Resource
from elasticjob.local.api.objects.selectors import value_at
from elasticjob.local.api.objects.store import clone

SCALE = Resource("autoscaling", "v1", "scales", "Scale")
META = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")


def scale_of(resource: Resource, obj: Object) -> Object:
    """The Scale of an object."""
    paths = resource.scale or {}

    def value(path: str, absent: Any) -> Any:
        found = value_at(obj, paths[path].lstrip(".")) if path in paths else None
        return absent if found is None else found

    status = {"replicas": value("statusReplicasPath", 0)}
    selector = value("labelSelectorPath", "")
    if selector:
        status["selector"] = selector
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {name: obj["metadata"][name] for name in META if name in obj["metadata"]},
        "spec": {"replicas": value("specReplicasPath", 0)},
        "status": status,
    }


def scaled(resource: Resource, obj: Object, change: Callable[[Object], Any]) -> Object:
    """The object after `change` of its Scale. A resourceVersion in the Scale is a precondition."""
    wanted = change(scale_of(resource, obj))
    replicas = value_at(wanted, "spec.replicas")
    if isinstance(replicas, bool) or not isinstance(replicas, int) or replicas < 0:
        message = f"Invalid value: {replicas}: should be a non-negative integer"
        raise invalid(SCALE, obj["metadata"]["name"], [("spec.replicas", message)])
    changed: Object = clone(obj)
    *parents, last = (resource.scale or {})["specReplicasPath"].strip(".").split(".")
    place = changed
    for name in parents:
        place = place.setdefault(name, {})
    place[last] = replicas
    version = value_at(wanted, "metadata.resourceVersion")
    if version:
        changed["metadata"]["resourceVersion"] = version
    return changed
