"""Refusals, worded as a real API server words them: people read the text, clients the fields."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from elasticjob.local.api.objects.resource import Object, Resource

Violation = tuple[str, str]
"""(field path, message): one fault of an object. The message begins as in REASONS."""

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
    """A refused request. `status` is what goes over the wire."""

    def __init__(
        self, code: int, reason: str, message: str, details: Mapping[str, Any] | None = None
    ):
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = dict(details or {})

    def status(self) -> Object:
        """The Status object that answers the request."""
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
    """400: the request makes no sense whatever the state."""
    return ApiError(400, "BadRequest", message)


def not_found(resource: Resource, name: str) -> ApiError:
    """404 for one object."""
    message = f'{resource.qualified} "{name}" not found'
    return ApiError(404, "NotFound", message, _details(resource, name))


def no_such_path() -> ApiError:
    """404 for a path that means nothing here."""
    return ApiError(404, "NotFound", "the server could not find the requested resource")


def already_exists(resource: Resource, name: str) -> ApiError:
    """409 for a create."""
    message = f'{resource.qualified} "{name}" already exists'
    return ApiError(409, "AlreadyExists", message, _details(resource, name))


def conflict(resource: Resource, name: str, why: str = MODIFIED) -> ApiError:
    """409 for a write or a deletion that was computed from another version."""
    message = f'Operation cannot be fulfilled on {resource.qualified} "{name}": {why}'
    return ApiError(409, "Conflict", message, _details(resource, name))


def precondition(resource: Resource, name: str, called: str, wanted: str, found: str) -> ApiError:
    """409 for an object that is not the one that the client means."""
    why = (
        f"Precondition failed: {called} in precondition: {wanted}, {called} in object meta: {found}"
    )
    return conflict(resource, name, why)


def invalid(resource: Resource, name: str, violations: Iterable[Violation]) -> ApiError:
    """422 with one cause for each fault; kubectl prints them as a list."""
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


def bad_value(value: Any, why: str) -> str:
    """The message of a violation: what was found, and what is wrong with it."""
    return f"Invalid value: {json.dumps(value)}: {why}"


def forbidden_creation(resource: Resource, name: str, namespace: str) -> ApiError:
    """403 for a create in a namespace that is being emptied."""
    why = f"unable to create new content in namespace {namespace} because it is being terminated"
    cause = {
        "reason": "NamespaceTerminating",
        "message": f"namespace {namespace} is being terminated",
        "field": "metadata.namespace",
    }
    return ApiError(
        403,
        "Forbidden",
        f'{resource.qualified} "{name}" is forbidden: {why}',
        {**_details(resource, name), "causes": [cause]},
    )


def unsupported_media_type(accepted: Iterable[str]) -> ApiError:
    """415: a body or a patch of a kind that is not served."""
    kinds = ", ".join(kind for kind in accepted if kind)
    message = (
        f"the body of the request was in an unknown format - accepted media types include: {kinds}"
    )
    return ApiError(415, "UnsupportedMediaType", message)


def not_acceptable() -> ApiError:
    """406: the client takes no form that is served."""
    message = "only the following media types are accepted: application/json"
    return ApiError(406, "NotAcceptable", message)


def expired(message: str) -> ApiError:
    """410: the history that was asked for is no longer kept."""
    return ApiError(410, "Expired", message)


def _details(resource: Resource, name: str) -> Object:
    return {"name": name, "group": resource.group, "kind": resource.plural}


def _cause(message: str) -> str:
    return next((why for start, why in REASONS.items() if message.startswith(start)), "Invalid")
