"""Request bodies: objects, patches and options, decoded and validated before any write."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from elasticjob.local.api.call import Call
from elasticjob.local.api.kinds.typed import decode, undecodable
from elasticjob.local.api.objects.errors import (
    ApiError,
    bad_request,
    invalid,
    unsupported_media_type,
)
from elasticjob.local.api.objects.resource import Object, Resource
from elasticjob.local.api.patches import PATCHES, strategic
from elasticjob.local.api.query import parse_int

PROPAGATION_POLICIES = ("Foreground", "Background", "Orphan")
OPTIONS = {"dryRun": ("All",), "fieldValidation": ("Ignore", "Strict", "Warn")}
OPTIONS_KINDS = {"POST": "Create", "PUT": "Update", "PATCH": "Patch", "DELETE": "Delete"}
DELETE_OPTIONS = Resource("meta.k8s.io", "v1", "deleteoptions", "DeleteOptions")
NO_KIND = Resource("", "", "", "")


def check_options(call: Call) -> None:
    """Raise 422 if an option of the query has an unsupported value."""
    for option, supported in OPTIONS.items():
        found = call.query.get(option, "")
        if found and found not in supported:
            choice = ", ".join(f'"{value}"' for value in supported)
            message = f'Unsupported value: "{found}": supported values: {choice}'
            kind = f"{OPTIONS_KINDS.get(call.method, 'Get')}Options"
            raise invalid(Resource("meta.k8s.io", "v1", "", kind), "", [(option, message)])


def decoded(resource: Resource, call: Call, body: Any) -> tuple[Object, list[str]]:
    """The body as an object, and warnings for the unknown fields that were dropped.

    Raises 400 for unknown fields if the client requests strict validation.
    """
    found = decode(resource, body)
    unknown = [f'unknown field "{path}"' for path in found.unknown]
    level = call.query.get("fieldValidation") or "Warn"
    if unknown and level == "Strict":
        raise undecodable(resource, f"strict decoding error: {', '.join(unknown)}")
    return found.object, unknown if level == "Warn" else []


def patched(resource: Resource, call: Call, body: Any) -> tuple[Object, list[str]]:
    """The result of a patch as `decoded` returns it. Raises 422 where `decoded` raises 400."""
    try:
        return decoded(resource, call, body)
    except ApiError as error:
        message = f"Invalid value: {error.message}"
        raise invalid(NO_KIND, "", [("patch", message)]) from None


def patch_of(resource: Resource, call: Call) -> Callable[[Object, Any], Any]:
    """The patch function for the Content-Type. Raises 415 if there is none."""
    apply = PATCHES.get(call.content_type.partition(";")[0].strip())
    if apply is None or (apply is strategic and resource.is_custom):
        raise unsupported_media_type(PATCHES)
    return apply


def delete_options(call: Call) -> Object:
    """The DeleteOptions of the body, overridden by those of the query."""
    body = call.decode_body() or {}
    if not isinstance(body, dict):
        raise bad_request("the body of the request must be an object: send DeleteOptions")
    options = dict(body)
    if "propagationPolicy" in call.query:
        options["propagationPolicy"] = call.query["propagationPolicy"]
    if "gracePeriodSeconds" in call.query:
        options["gracePeriodSeconds"] = parse_int(call.query, "gracePeriodSeconds")
    if "orphanDependents" in call.query:
        options["orphanDependents"] = call.query["orphanDependents"] == "true"
    if call.is_dry_run:
        options["dryRun"] = ["All"]
    policy = options.get("propagationPolicy")
    if policy is not None and policy not in PROPAGATION_POLICIES:
        supported = ", ".join(f'"{known}"' for known in PROPAGATION_POLICIES)
        message = f'Unsupported value: "{policy}": supported values: {supported}, "nil"'
        raise invalid(DELETE_OPTIONS, "", [("propagationPolicy", message)])
    return options
