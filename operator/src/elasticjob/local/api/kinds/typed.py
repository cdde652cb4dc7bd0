"""Decoding of request bodies, which refuses values of the wrong type before any validation.

Custom resources have a schema. Built-in resources have Go types: of these, the fields that are used
here are checked, and other fields are kept unchecked (a real server would drop them).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from elasticjob.local.api.kinds.schema import Schema, check
from elasticjob.local.api.objects.builtins import (
    CLUSTERROLEBINDINGS,
    CLUSTERROLES,
    CONFIGMAPS,
    CRDS,
    EVENTS,
    LEASES,
    PODS,
    ROLEBINDINGS,
    ROLES,
)
from elasticjob.local.api.objects.errors import ApiError, bad_request
from elasticjob.local.api.objects.resource import Key, Object, Resource


def _fields(**properties: Schema) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "x-kubernetes-preserve-unknown-fields": True,
    }


def _list_of(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _map_of(values: Schema) -> Schema:
    return {"type": "object", "additionalProperties": values}


TEXT: Schema = {"type": "string"}
COUNT: Schema = {"type": "integer"}
FLAG: Schema = {"type": "boolean"}
OBJECT: Schema = _fields()
BASE64: Schema = {"type": "string", "format": "byte"}
TIME: Schema = {"type": "string", "format": "date-time"}
MICRO_TIME: Schema = {"type": "string", "format": "micro-time"}

METADATA = _fields(
    name=TEXT,
    generateName=TEXT,
    namespace=TEXT,
    uid=TEXT,
    resourceVersion=TEXT,
    labels=_map_of(TEXT),
    annotations=_map_of(TEXT),
    finalizers=_list_of(TEXT),
    ownerReferences=_list_of(
        _fields(
            apiVersion=TEXT,
            kind=TEXT,
            name=TEXT,
            uid=TEXT,
            controller=FLAG,
            blockOwnerDeletion=FLAG,
        )
    ),
)
CONTAINER = _fields(
    name=TEXT,
    image=TEXT,
    command=_list_of(TEXT),
    args=_list_of(TEXT),
    workingDir=TEXT,
    terminationMessagePath=TEXT,
    env=_list_of(_fields(name=TEXT, value=TEXT, valueFrom=OBJECT)),
    ports=_list_of(_fields(containerPort=COUNT)),
    volumeMounts=_list_of(_fields(name=TEXT, mountPath=TEXT, subPath=TEXT, readOnly=FLAG)),
)
POD_SPEC = _fields(
    nodeName=TEXT,
    serviceAccountName=TEXT,
    restartPolicy=TEXT,
    hostNetwork=FLAG,
    terminationGracePeriodSeconds=COUNT,
    activeDeadlineSeconds=COUNT,
    containers=_list_of(CONTAINER),
    initContainers=_list_of(CONTAINER),
    volumes=_list_of(_fields(name=TEXT)),
)
RULES = _list_of(
    _fields(
        verbs=_list_of(TEXT),
        apiGroups=_list_of(TEXT),
        resources=_list_of(TEXT),
        resourceNames=_list_of(TEXT),
    )
)
BINDING = _fields(
    metadata=METADATA,
    roleRef=_fields(apiGroup=TEXT, kind=TEXT, name=TEXT),
    subjects=_list_of(_fields(apiGroup=TEXT, kind=TEXT, name=TEXT, namespace=TEXT)),
)
PLAIN = _fields(metadata=METADATA)
TYPES: Mapping[Key, Schema] = {
    LEASES.key: _fields(
        metadata=METADATA,
        spec=_fields(
            holderIdentity=TEXT,
            leaseDurationSeconds=COUNT,
            leaseTransitions=COUNT,
            acquireTime=MICRO_TIME,
            renewTime=MICRO_TIME,
        ),
    ),
    PODS.key: _fields(
        metadata=METADATA,
        spec=POD_SPEC,
        status=_fields(
            phase=TEXT, podIP=TEXT, conditions=_list_of(OBJECT), containerStatuses=_list_of(OBJECT)
        ),
    ),
    CONFIGMAPS.key: _fields(
        metadata=METADATA, data=_map_of(TEXT), binaryData=_map_of(BASE64), immutable=FLAG
    ),
    EVENTS.key: _fields(
        metadata=METADATA,
        involvedObject=OBJECT,
        reason=TEXT,
        message=TEXT,
        type=TEXT,
        count=COUNT,
        firstTimestamp=TIME,
        lastTimestamp=TIME,
        eventTime=MICRO_TIME,
    ),
    ROLES.key: _fields(metadata=METADATA, rules=RULES),
    CLUSTERROLES.key: _fields(metadata=METADATA, rules=RULES),
    ROLEBINDINGS.key: BINDING,
    CLUSTERROLEBINDINGS.key: BINDING,
    CRDS.key: _fields(
        metadata=METADATA,
        spec=_fields(group=TEXT, scope=TEXT, names=OBJECT, versions=_list_of(OBJECT)),
    ),
}

STRUCTS: Mapping[Key, Object] = {LEASES.key: {"spec": {}}}
"""Fields that are structs in Go: empty instead of absent, which some clients rely on."""


@dataclass(frozen=True)
class Decoded:
    """An object whose fields have the right types, and the paths of the dropped fields."""

    object: Object
    unknown: tuple[str, ...]


def decode(resource: Resource, body: Any) -> Decoded:
    """Decode a body as an object of the resource. Raises 400."""
    if not isinstance(body, dict):
        raise bad_request(f"the body of the request must be a {resource.kind} object")
    _check_kind(resource, body)
    body = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": {}, **body}
    if resource.schema is None:
        body = {**STRUCTS.get(resource.key, {}), **without_nulls(body)}
    checked = check(TYPES.get(resource.key, PLAIN), body)
    if checked.violations:
        faults = "; ".join(f"{field}: {message}" for field, message in checked.violations)
        raise undecodable(resource, faults)
    if resource.schema is None:
        return Decoded(checked.object, ())
    pruned = check(resource.schema, checked.object)
    return Decoded(pruned.object, tuple(pruned.unknown))


def undecodable(resource: Resource, detail: str) -> ApiError:
    """A 400 for a body whose fields have the wrong types."""
    kind, version = resource.kind, resource.version
    return bad_request(f'{kind} in version "{version}" cannot be handled as a {kind}: {detail}')


def without_nulls(value: Any) -> Any:
    """The value without null fields: Go decodes a null in a built-in object as an absent field."""
    if isinstance(value, dict):
        return {name: without_nulls(item) for name, item in value.items() if item is not None}
    if isinstance(value, list):
        return [without_nulls(item) for item in value]
    return value


def _check_kind(resource: Resource, body: Object) -> None:
    version, kind = body.get("apiVersion"), body.get("kind")
    if version and version != resource.api_version:
        raise bad_request(
            f"the API version in the data ({version}) does not match "
            f"the expected API version ({resource.api_version})"
        )
    if kind and kind != resource.kind:
        raise bad_request(
            f"the kind in the data ({kind}) does not match the expected kind ({resource.kind})"
        )
