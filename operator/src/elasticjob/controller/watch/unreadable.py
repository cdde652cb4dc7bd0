"""Objects that the operator cannot read: it ignores each, and works on the others."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from elasticjob.controller.kube import Resource
from elasticjob.controller.observe.rounds import why
from elasticjob.wire.codec import Json

T = TypeVar("T")

KEPT = 4096

log = logging.getLogger(__name__)


class Unreadable:
    """Counts each version of each unreadable object once, and logs each object once, as its writer
    chooses how often it changes. count receives the plural."""

    def __init__(self, count: Callable[[str], None] = lambda plural: None) -> None:
        self._count = count
        self._noted: dict[str, str] = {}  # objects and their versions, oldest first

    def read(self, resource: Resource, body: Json, parse: Callable[[Json], T]) -> T | None:
        """The parsed object; None if it cannot be read."""
        try:
            return parse(body)
        except Exception as error:
            self.note(resource, body, why(error))
            return None

    def note(self, resource: Resource, body: Json, fault: str) -> None:
        """Log and count an object that cannot be read."""
        meta = body.get("metadata") if isinstance(body, dict) else None
        meta = meta if isinstance(meta, dict) else {}
        name = "/".join(_short(meta.get(field)) for field in ("namespace", "name"))
        key, version = f"{resource.plural} {name}", _short(meta.get("resourceVersion"))
        before = self._noted.pop(key, None)
        if before != version:
            self._count(resource.plural)
        if before is None:
            log.warning("ignored %s, which cannot be read: %s", key, fault)
        self._noted[key] = version
        if len(self._noted) > KEPT:
            del self._noted[next(iter(self._noted))]


def _short(value: object) -> str:
    return value[:253] if isinstance(value, str) else type(value).__name__
