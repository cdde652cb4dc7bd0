"""Tables: the columns that kubectl prints, computed by the server."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from elasticjob.local.api.objects.builtins import (
    CLUSTERROLES,
    CONFIGMAPS,
    CRDS,
    EVENTS,
    LEASES,
    NAMESPACES,
    NODES,
    PODS,
    ROLEBINDINGS,
    ROLES,
)
from elasticjob.local.api.objects.resource import Key, Object, Resource
from elasticjob.local.api.objects.selectors import value_at

JSON_PATH_STEP = re.compile(
    r"\.?((?:\\.|[\w/-])+)"  # .name, with dots escaped: .metadata.labels.a\.b
    r"|\[(\d+|\*)\]"  # [0], [*]
    r"|\[\?\(@\.([\w.]+)\s*==\s*[\"']([^\"']*)[\"']\)\]"  # [?(@.type=="X")]
)
MINUTE, HOUR, DAY = 60, 3600, 86400


@dataclass(frozen=True)
class Column:
    """One column of a table."""

    name: str
    cell: Callable[[Object, datetime], Any]
    type: str = "string"
    priority: int = 0  # above 0: shown with `-o wide` only
    description: str = ""

    def definition(self) -> Object:
        """The column as a columnDefinition of a Table."""
        return {
            "name": self.name,
            "type": self.type,
            "format": "name" if self.name == "Name" else "",
            "description": self.description,
            "priority": self.priority,
        }


def table(
    resource: Resource,
    objects: Iterable[Object],
    meta: Mapping[str, Any],
    at: datetime,
    include: str = "Metadata",
) -> Object:
    """A Table of the objects. `include` is the parameter includeObject."""
    columns = columns_of(resource)
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": dict(meta),
        "columnDefinitions": [column.definition() for column in columns],
        "rows": [
            {"cells": [column.cell(obj, at) for column in columns], **_included(obj, include)}
            for obj in objects
        ],
    }


def columns_of(resource: Resource) -> Sequence[Column]:
    """The columns of a resource: those of its definition, or the built-in ones."""
    if not resource.is_custom:
        return BUILT_IN.get(resource.key, (NAME, AGE))
    if not resource.columns:
        return (NAME, AGE)
    return (NAME, *(_custom(column) for column in resource.columns))


def json_path(obj: Any, path: str) -> Any:
    """The first value at a JSON path, or None. Supports the syntax that definitions use."""
    found = [obj]
    for name, index, field, value in JSON_PATH_STEP.findall(path):
        if name:
            key = name.replace("\\", "")
            found = [item[key] for item in found if isinstance(item, dict) and key in item]
        else:
            lists = [item for item in found if isinstance(item, list)]
            found = [item for items in lists for item in _select(items, index, field, value)]
    return found[0] if found else None


def age(since: str | None, at: datetime) -> str:
    """The time since an instant in kubectl's short form: 5s, 3m20s, 4h5m, 2d3h."""
    if not since:
        return "<unknown>"
    try:
        seconds = int((at - datetime.fromisoformat(since).astimezone(UTC)).total_seconds())
    except ValueError:
        return "<invalid>"
    return short_duration(seconds)


def short_duration(seconds: int) -> str:
    """The duration with two units if the number of the first is small, otherwise with one."""
    if seconds < -1:
        return "<invalid>"
    if seconds < 2 * MINUTE:
        return f"{max(seconds, 0)}s"
    if seconds < 10 * MINUTE:
        return _two_units(seconds, MINUTE, "m", 1, "s")
    if seconds < 3 * HOUR:
        return f"{seconds // MINUTE}m"
    if seconds < 8 * HOUR:
        return _two_units(seconds, HOUR, "h", MINUTE, "m")
    if seconds < 2 * DAY:
        return f"{seconds // HOUR}h"
    if seconds < 8 * DAY:
        return _two_units(seconds, DAY, "d", HOUR, "h")
    return f"{seconds // DAY}d"


def _two_units(seconds: int, unit: int, letter: str, smaller: int, small_letter: str) -> str:
    rest = seconds % unit // smaller
    return f"{seconds // unit}{letter}" + (f"{rest}{small_letter}" if rest else "")


def _select(items: list[Any], index: str, field: str, value: str) -> list[Any]:
    if index == "*":
        return items
    if index:
        return items[int(index) : int(index) + 1]
    return [item for item in items if str(value_at(item, field)) == value]


def _included(obj: Object, include: str) -> Object:
    if include == "None":
        return {}
    if include == "Object":
        return {"object": obj}
    partial = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1"}
    return {"object": {**partial, "metadata": obj["metadata"]}}


def _custom(column: Mapping[str, Any]) -> Column:
    path, kind = column["jsonPath"], column["type"]

    def cell(obj: Object, at: datetime) -> Any:
        value = json_path(obj, path)
        if value is None:
            return None
        if kind == "date":
            return age(value, at)
        return value if kind in ("integer", "number", "boolean") else str(value)

    priority, description = column.get("priority", 0), column.get("description", "")
    return Column(column["name"], cell, kind, priority, description)


def _text(path: str, absent: str = "<none>") -> Callable[[Object, datetime], str]:
    def cell(obj: Object, at: datetime) -> str:
        value = value_at(obj, path)
        return absent if value in (None, "") else str(value)

    return cell


def _pod_status(pod: Object, at: datetime) -> str:
    """The reason why a container waits or has ended, otherwise the phase of the pod."""
    if "deletionTimestamp" in pod["metadata"]:
        return "Terminating"
    status = pod.get("status", {})
    reason = status.get("reason") or status.get("phase", "Unknown")
    for container in status.get("containerStatuses", ()):
        state = container.get("state", {})
        if "waiting" in state:
            reason = state["waiting"].get("reason") or reason
        elif "terminated" in state:
            ended = state["terminated"]
            reason = ended.get("reason") or f"ExitCode:{ended.get('exitCode', '?')}"
    return str(reason)


def _pod_ready(pod: Object, at: datetime) -> str:
    ready = [item.get("ready") for item in pod.get("status", {}).get("containerStatuses", ())]
    return f"{ready.count(True)}/{len(pod.get('spec', {}).get('containers', ()))}"


def _pod_restarts(pod: Object, at: datetime) -> str:
    statuses = pod.get("status", {}).get("containerStatuses", ())
    return str(sum(item.get("restartCount", 0) for item in statuses))


def _event_object(event: Object, at: datetime) -> str:
    involved = event.get("involvedObject", {})
    return f"{involved.get('kind', '').lower()}/{involved.get('name', '')}"


def _event_seen(*fields: str) -> Callable[[Object, datetime], str]:
    def cell(event: Object, at: datetime) -> str:
        times = (event.get(field) for field in (*fields, "eventTime"))
        return age(next(filter(None, times), event["metadata"]["creationTimestamp"]), at)

    return cell


def _node_ready(node: Object, at: datetime) -> str:
    conditions = node.get("status", {}).get("conditions", ())
    ready = next((item["status"] for item in conditions if item.get("type") == "Ready"), "Unknown")
    return {"True": "Ready", "False": "NotReady"}.get(ready, "Unknown")


def _data_count(configmap: Object, at: datetime) -> str:
    return str(len(configmap.get("data", {})) + len(configmap.get("binaryData", {})))


def _role_ref(binding: Object, at: datetime) -> str:
    role = binding.get("roleRef", {})
    return f"{role.get('kind')}/{role.get('name')}"


NAME = Column("Name", lambda obj, at: obj["metadata"]["name"])
AGE = Column("Age", lambda obj, at: age(obj["metadata"].get("creationTimestamp"), at))
CREATED = Column("Created At", _text("metadata.creationTimestamp"))
BUILT_IN: Mapping[Key, Sequence[Column]] = {
    PODS.key: (
        NAME,
        Column("Ready", _pod_ready),
        Column("Status", _pod_status),
        Column("Restarts", _pod_restarts),
        AGE,
        Column("IP", _text("status.podIP"), priority=1),
        Column("Node", _text("spec.nodeName"), priority=1),
        Column("Nominated Node", _text("status.nominatedNodeName"), priority=1),
        Column("Readiness Gates", lambda obj, at: "<none>", priority=1),
    ),
    EVENTS.key: (
        Column("Last Seen", _event_seen("lastTimestamp")),
        Column("Type", _text("type", "")),
        Column("Reason", _text("reason", "")),
        Column("Object", _event_object),
        Column("Subobject", _text("involvedObject.fieldPath", ""), priority=1),
        Column("Source", _text("source.component", ""), priority=1),
        Column("Message", lambda obj, at: str(obj.get("message", "")).strip()),
        Column("First Seen", _event_seen("firstTimestamp", "lastTimestamp"), priority=1),
        Column("Count", _text("count", "1"), priority=1),
        Column("Name", NAME.cell, priority=1),
    ),
    NODES.key: (
        NAME,
        Column("Status", _node_ready),
        Column("Roles", lambda obj, at: "<none>"),
        AGE,
        Column("Version", _text("status.nodeInfo.kubeletVersion", "<unknown>")),
    ),
    LEASES.key: (NAME, Column("Holder", _text("spec.holderIdentity", "")), AGE),
    NAMESPACES.key: (NAME, Column("Status", _text("status.phase", "Active")), AGE),
    CONFIGMAPS.key: (NAME, Column("Data", _data_count), AGE),
    ROLES.key: (NAME, CREATED),
    CLUSTERROLES.key: (NAME, CREATED),
    ROLEBINDINGS.key: (NAME, Column("Role", _role_ref), AGE),
    CRDS.key: (NAME, CREATED),
}
