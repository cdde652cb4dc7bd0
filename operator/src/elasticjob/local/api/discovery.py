"""Discovery of the API: groups, resources, version, and the OpenAPI that kubectl needs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable

from elasticjob.local.api.call import Call, Response
from elasticjob.local.api.objects.encoding import encode
from elasticjob.local.api.objects.errors import no_such_path
from elasticjob.local.api.objects.resource import Object, Resource
from elasticjob.local.api.objects.store import Store

VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
SCALE = {"group": "autoscaling", "version": "v1", "kind": "Scale"}
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
EMPTY_OPENAPI_V2 = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
"""The registered name without its '@', which Go's parser of media types refuses."""
VERSION = {
    "major": "1",
    "minor": "34",
    "gitVersion": "v1.34.0-elasticjob-local",
    "gitCommit": "",
    "gitTreeState": "clean",
    "buildDate": "1970-01-01T00:00:00Z",
    "goVersion": "none",
    "compiler": "none",
    "platform": "elasticjob/local",
}
PATCH_TYPES = ("application/merge-patch+json", "application/json-patch+json")
"""Strategic merge is served but not listed: for it, kubectl would need a schema of the built-in
resources, which this server does not have."""


def respond(store: Store, call: Call) -> Response:
    """The response to a path that is not that of a resource."""
    steps = call.path.strip("/").split("/")
    match steps:
        case ["healthz" | "livez" | "readyz"]:
            return Response(b"ok", content_type="text/plain")
        case ["version"]:
            return Response(VERSION)
        case ["api" | "apis"] if _accepts_aggregated(call):
            return Response(aggregated(store, core=steps == ["api"]), content_type=AGGREGATED)
        case ["api"]:
            return Response({"kind": "APIVersions", "versions": ["v1"]})
        case ["apis"]:
            return Response(group_list(store))
        case ["apis", group]:
            return Response(_group(group, _served(store, lambda found: found.group == group)))
        case ["api", version]:
            return Response(resource_list(store, "", version))
        case ["apis", group, version]:
            return Response(resource_list(store, group, version))
        case ["openapi", "v2"]:
            return Response(b"", content_type=EMPTY_OPENAPI_V2)
        case ["openapi", "v3"]:
            return Response(openapi_index(store))
        case ["openapi", "v3", "api", version]:
            return Response(openapi(store, "", version))
        case ["openapi", "v3", "apis", group, version]:
            return Response(openapi(store, group, version))
    raise no_such_path()


def group_list(store: Store) -> Object:
    """Legacy discovery: all groups except the core group."""
    groups: dict[str, list[Resource]] = {}
    for resource in store.resources.values():
        if resource.group:
            groups.setdefault(resource.group, []).append(resource)
    found = [_group(name, resources) for name, resources in groups.items()]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": found}


def resource_list(store: Store, group: str, version: str) -> Object:
    """Legacy discovery: the resources of one group and version."""
    served = _served(store, lambda found: (found.group, found.version) == (group, version))
    entries: list[Object] = []
    for resource in served:
        entries.append(_entry(resource))
        entries += [_subentry(resource, name) for name in resource.subresources]
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": served[0].api_version,
        "resources": entries,
    }


def aggregated(store: Store, *, core: bool) -> Object:
    """Aggregated discovery, as kubectl requests it since 1.30."""
    groups: dict[tuple[str, str], list[Object]] = {}
    for resource in store.resources.values():
        if (resource.group == "") == core:
            key = (resource.group, resource.version)
            groups.setdefault(key, []).append(_aggregated_entry(resource))
    items = [
        {
            "metadata": {"name": group, "creationTimestamp": None},
            "versions": [{"version": version, "freshness": "Current", "resources": entries}],
        }
        for (group, version), entries in groups.items()
    ]
    kind, version = "APIGroupDiscoveryList", "apidiscovery.k8s.io/v2"
    return {"kind": kind, "apiVersion": version, "metadata": {}, "items": items}


def openapi_index(store: Store) -> Object:
    """The index of OpenAPI v3 documents; the hash in each URL changes with the document."""
    paths = {}
    for group, version in {(item.group, item.version): None for item in store.resources.values()}:
        path = f"apis/{group}/{version}" if group else f"api/{version}"
        digest = hashlib.sha256(encode(openapi(store, group, version))).hexdigest()[:16]
        paths[path] = {"serverRelativeURL": f"/openapi/v3/{path}?hash={digest}"}
    return {"paths": paths}


def openapi(store: Store, group: str, version: str) -> Object:
    """One OpenAPI v3 document with the parts that `kubectl apply` and `kubectl explain` read."""
    served = _served(store, lambda found: (found.group, found.version) == (group, version))
    return {
        "openapi": "3.0.0",
        "info": {"title": "elasticjob local", "version": VERSION["gitVersion"]},
        "paths": {_item_path(resource): _item(resource) for resource in served},
        "components": {"schemas": {_model(resource): _schema(resource) for resource in served}},
    }


def _served(store: Store, wanted: Callable[[Resource], bool]) -> list[Resource]:
    served = [resource for resource in store.resources.values() if wanted(resource)]
    if not served:
        raise no_such_path()
    return served


def _accepts_aggregated(call: Call) -> bool:
    """Whether the client accepts v2. Clients of v2beta1 also accept the legacy form."""
    kinds = [kind.replace(" ", "") for kind in call.accept.split(",")]
    return any("v=v2;" in kind + ";" and "as=APIGroupDiscoveryList" in kind for kind in kinds)


def _group(name: str, resources: Iterable[Resource]) -> Object:
    versions = list(dict.fromkeys(resource.version for resource in resources))
    served = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {
        "kind": "APIGroup",
        "apiVersion": "v1",
        "name": name,
        "versions": served,
        "preferredVersion": served[0],
    }


def _verbs(subresource: str) -> list[str]:
    return ["get"] if subresource == "log" else ["get", "patch", "update"]


def _kind(resource: Resource, subresource: str = "") -> Object:
    if subresource == "scale":
        return SCALE
    return {"group": resource.group, "version": resource.version, "kind": resource.kind}


def _entry(resource: Resource) -> Object:
    entry: Object = {
        "name": resource.plural,
        "singularName": resource.singular,
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": VERBS,
    }
    if resource.short_names:
        entry["shortNames"] = list(resource.short_names)
    if resource.categories:
        entry["categories"] = list(resource.categories)
    return entry


def _subentry(resource: Resource, subresource: str) -> Object:
    kind = _kind(resource, subresource)
    return {
        "name": f"{resource.plural}/{subresource}",
        "singularName": "",
        "namespaced": resource.namespaced,
        **(kind if subresource == "scale" else {"kind": resource.kind}),
        "verbs": _verbs(subresource),
    }


def _aggregated_entry(resource: Resource) -> Object:
    return {
        "resource": resource.plural,
        "responseKind": _kind(resource),
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "singularResource": resource.singular,
        "verbs": VERBS,
        "shortNames": list(resource.short_names),
        "categories": list(resource.categories),
        "subresources": [
            {"subresource": name, "responseKind": _kind(resource, name), "verbs": _verbs(name)}
            for name in resource.subresources
        ],
    }


def _item_path(resource: Resource) -> str:
    root = f"/apis/{resource.group}" if resource.group else "/api"
    place = "/namespaces/{namespace}" if resource.namespaced else ""
    return f"{root}/{resource.version}{place}/{resource.plural}/{{name}}"


def _item(resource: Resource) -> Object:
    """GET and PATCH. PATCH has fieldValidation, by which kubectl detects server-side validation."""
    reference = {"schema": {"$ref": f"#/components/schemas/{_model(resource)}"}}
    responses = {"200": {"description": "OK", "content": {"application/json": reference}}}
    query = [
        {"name": name, "in": "query", "schema": {"type": "string"}}
        for name in ("dryRun", "fieldManager", "fieldValidation")
    ]
    body = {"content": {kind: {"schema": {"type": "object"}} for kind in PATCH_TYPES}}
    common = {"responses": responses, "x-kubernetes-group-version-kind": _kind(resource)}
    return {
        "get": {**common, "x-kubernetes-action": "get"},
        "patch": {
            **common,
            "x-kubernetes-action": "patch",
            "parameters": query,
            "requestBody": body,
        },
    }


def _model(resource: Resource) -> str:
    return f"{resource.group or 'core'}.{resource.version}.{resource.kind}"


def _schema(resource: Resource) -> Object:
    schema = dict(resource.schema or {"type": "object"})
    envelope = {
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": {"type": "object"},
    }
    schema["properties"] = {**envelope, **schema.get("properties", {})}
    schema["x-kubernetes-group-version-kind"] = [_kind(resource)]
    return schema
