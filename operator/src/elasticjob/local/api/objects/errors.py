"""Errors with the messages and fields of a real API server."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from elasticjob.local.api.objects.resource import Object, Resource

Violation = tuple[str, str]
"""One violation as (field path, message). The message begins with a key of REASONS."""

REASONS = {
    "Required value": "FieldValueRequired",
    "Duplicate value": "FieldValueDuplicate",
    "Unsupported value": "FieldValueNotSupported",
    "Forbidden": "FieldValueForbidden",
    "Too long": "FieldValueTooLong",
    "Too many": "FieldValueTooMany",
    "Not found": "FieldValueNotFound",
    "Invalid value": "FieldValueInvalid",
}
MODIFIED = (
    "the object has been modified; please apply your changes to the latest version and try again"
)


class ApiError(Exception):
    """An error response to a request."""

    def __init__(
        self, code: int, reason: str, message: str, details: Mapping[str, Any] | None = None
    ):
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = dict(details or {})

    def status(self) -> Object:
        """The Status object of the response."""
        reason = {"reason": self.reason} if self.reason else {}
        return {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            **reason,
            "details": self.details,
            "code": self.code,
        }


def bad_request(message: str) -> ApiError:
    """A 400 for a request that is invalid in any state of the server."""
    return ApiError(400, "BadRequest", message)


def not_found(resource: Resource, name: str) -> ApiError:
    """A 404 for an object."""
    message = f'{resource.qualified_name} "{name}" not found'
    return ApiError(404, "NotFound", message, _details(resource, name))


def no_such_path() -> ApiError:
    """A 404 for a path that this server does not serve."""
    return ApiError(404, "NotFound", "the server could not find the requested resource")


def already_exists(resource: Resource, name: str) -> ApiError:
    """A 409 for the creation of an object that exists."""
    message = f'{resource.qualified_name} "{name}" already exists'
    return ApiError(409, "AlreadyExists", message, _details(resource, name))


def conflict(resource: Resource, name: str, detail: str = MODIFIED) -> ApiError:
    """A 409 for a write or deletion based on another version of the object."""
    message = f'Operation cannot be fulfilled on {resource.qualified_name} "{name}": {detail}'
    return ApiError(409, "Conflict", message, _details(resource, name))


def precondition(resource: Resource, name: str, called: str, wanted: str, found: str) -> ApiError:
    """A 409 for an object whose UID or version is not the expected one."""
    detail = (
        f"Precondition failed: {called} in precondition: {wanted}, {called} in object meta: {found}"
    )
    return conflict(resource, name, detail)


def invalid(resource: Resource, name: str, violations: Iterable[Violation]) -> ApiError:
    """A 422 with one cause per violation, which kubectl prints as a list."""
    faults = list(violations)
    lines = [f"{field}: {message}" for field, message in faults]
    text = lines[0] if len(lines) == 1 else f"[{', '.join(lines)}]"
    causes = [{"reason": _cause(text), "message": text, "field": field} for field, text in faults]
    return ApiError(
        422,
        "Invalid",
        f'{resource.qualified_kind} "{name}" is invalid: {text}',
        {"name": name, "group": resource.group, "kind": resource.kind, "causes": causes},
    )


def bad_value(value: Any, detail: str) -> str:
    """The message of a violation with the invalid value."""
    return f"Invalid value: {json.dumps(value)}: {detail}"


def forbidden_creation(resource: Resource, name: str, namespace: str) -> ApiError:
    """A 403 for a creation in a namespace that is being deleted."""
    detail = f"unable to create new content in namespace {namespace} because it is being terminated"
    cause = {
        "reason": "NamespaceTerminating",
        "message": f"namespace {namespace} is being terminated",
        "field": "metadata.namespace",
    }
    return ApiError(
        403,
        "Forbidden",
        f'{resource.qualified_name} "{name}" is forbidden: {detail}',
        {**_details(resource, name), "causes": [cause]},
    )


def unsupported_media_type(accepted: Iterable[str]) -> ApiError:
    """A 415 for a body or patch of an unsupported media type."""
    kinds = ", ".join(kind for kind in accepted if kind)
    message = (
        f"the body of the request was in an unknown format - accepted media types include: {kinds}"
    )
    return ApiError(415, "UnsupportedMediaType", message)


def not_acceptable() -> ApiError:
    """A 406 for a client that does not accept JSON."""
    message = "only the following media types are accepted: application/json"
    return ApiError(406, "NotAcceptable", message)


def expired(message: str) -> ApiError:
    """A 410 for a version that is no longer in the history."""
    return ApiError(410, "Expired", message)


def _details(resource: Resource, name: str) -> Object:
    return {"name": name, "group": resource.group, "kind": resource.plural}


def _cause(message: str) -> str:
    return next(
        (detail for start, detail in REASONS.items() if message.startswith(start)), "Invalid"
    )
