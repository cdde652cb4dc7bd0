"""Objects that the operator cannot read: each is left aside, and stops no work on the others."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, TypeVar

from elasticjob.controller.kube import Resource

Json = dict[str, Any]
T = TypeVar("T")

KEPT = 4096

log = logging.getLogger(__name__)


class Unreadable:
    """Logs and counts each version of each object once. count gets the resource's plural."""

    def __init__(self, count: Callable[[str], None] = lambda plural: None) -> None:
        self._count = count
        self._noted: dict[str, str] = {}  # objects and their versions, oldest first

    def read(self, resource: Resource, body: Json, parse: Callable[[Json], T]) -> T | None:
        """What parse makes of an object; None if it cannot be read."""
        try:
            return parse(body)
        except Exception as error:
            self.note(resource, body, error)
            return None

    def note(self, resource: Resource, body: Json, error: Exception) -> None:
        """This object cannot be read, and why."""
        meta = body.get("metadata") if isinstance(body, dict) else None
        meta = meta if isinstance(meta, dict) else {}
        who = "/".join(_short(meta.get(field)) for field in ("namespace", "name"))
        key, version = f"{resource.plural} {who}", _short(meta.get("resourceVersion"))
        if self._noted.pop(key, None) != version:
            self._count(resource.plural)
            log.warning("%s: left aside, it cannot be read: %s", key, why(error))
        self._noted[key] = version
        if len(self._noted) > KEPT:
            del self._noted[next(iter(self._noted))]


def why(error: Exception) -> str:
    """An error in words for people."""
    return str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"


def _short(value: object) -> str:
    return value[:253] if isinstance(value, str) else type(value).__name__
