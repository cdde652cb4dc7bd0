"""Versioned objects in memory: atomic writes, optimistic concurrency, a bounded history of events.

Synchronous and used from one event loop, so every write is atomic. A stored dict is never changed
in place: history, watchers and callers share it, and nobody copies it to be safe.
"""

from __future__ import annotations

import logging
import random
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from elasticjob.local.api.objects import lifecycle
from elasticjob.local.api.objects.builtins import NAMESPACES
from elasticjob.local.api.objects.encoding import event_line
from elasticjob.local.api.objects.errors import (
    ApiError,
    already_exists,
    expired,
    forbidden_creation,
    invalid,
    not_found,
)
from elasticjob.local.api.objects.resource import Key, Object, Resource

__all__ = ["ApiError", "Event", "Object", "Resource", "Store"]

HISTORY = 4096
"""Events kept for each resource; a watch from before them is answered 410."""
SUFFIX_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
"""As Kubernetes: no vowels and no look-alikes, so that no generated name is a word."""
GENERATE_NAME_TRIES = 8
LONGEST_PREFIX = 58  # so that a generated name is a DNS label

Objects = list[Object]
Match = Callable[[Object], bool]
Listener = Callable[[Resource, "Event"], None]
Admission = Callable[[Resource, Object, Object | None], Object]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Event:
    """One change. `old` is None for a creation; `object` of a deletion is its last state."""

    version: int
    type: str
    object: Object
    old: Object | None

    @cached_property
    def line(self) -> bytes:
        """The event as a watch sends it: encoded once, however many watch."""
        return event_line(self.type, self.object)


Events = list[Event]


class Store:
    """All objects of the server.

    `listeners` are called after each write, in the order of the writes even when a listener itself
    writes. `admission` is called before each write with (resource, new, old) and returns the object
    to store, or raises ApiError.
    """

    def __init__(
        self,
        resources: Iterable[Resource] = (),
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        new_uid: Callable[[], str] = lambda: str(uuid.uuid4()),
        rng: random.Random | None = None,
    ) -> None:
        self.resources: dict[Key, Resource] = {}
        self.listeners: list[Listener] = []
        self.admission: list[Admission] = []
        self.now = now
        # Starts at the clock, not at 1: a client that resumes with a version of an earlier life of
        # this server must be told 410, and must never find an unrelated object under that version.
        self.version = self.oldest = int(now().timestamp() * 1_000_000)
        self._new_uid = new_uid
        self._rng = rng or random.Random()
        self._objects: dict[Key, dict[tuple[str, str], Object]] = {}
        self._history: dict[Key, deque[Event]] = {}
        self._undelivered: deque[tuple[Resource, Event]] = deque()
        self._delivering = False
        for resource in resources:
            self.register(resource)

    # -- resources ------------------------------------------------------------------------------

    def register(self, resource: Resource) -> None:
        """Serve a resource, or its changed definition; objects that are there stay."""
        self.resources[resource.key] = resource
        self._objects.setdefault(resource.key, {})
        self._history.setdefault(resource.key, deque(maxlen=HISTORY))

    def unregister(self, resource: Resource) -> None:
        """Serve it no longer. Its objects must have been deleted."""
        del self.resources[resource.key]

    # -- reads ----------------------------------------------------------------------------------

    def get(self, resource: Resource, namespace: str, name: str) -> Object:
        """The object, or 404."""
        found = self.find(resource, namespace, name)
        if found is None:
            raise not_found(resource, name)
        return found

    def find(self, resource: Resource, namespace: str, name: str) -> Object | None:
        """The object, or None."""
        return self._objects[resource.key].get((namespace, name))

    def list(self, resource: Resource, namespace: str = "", match: Match | None = None) -> Objects:
        """The objects of a namespace ("": of all), by namespace and name."""
        return [
            obj
            for (place, _), obj in sorted(self._objects[resource.key].items())
            if namespace in ("", place) and (match is None or match(obj))
        ]

    def since(self, resource: Resource, version: int) -> Events:
        """What has changed after `version`, or 410 when that is no longer known."""
        history = self._history[resource.key]
        oldest = history[0].version if len(history) == HISTORY else self.oldest
        if version < oldest:
            raise expired(f"too old resource version: {version} ({oldest})")
        if version > self.version:
            raise _too_large(version, self.version)
        return [event for event in history if event.version > version]

    def compact(self) -> None:
        """Forget the history, as etcd does every few minutes: a watch from before now gets 410."""
        self.oldest = self.version
        for history in self._history.values():
            history.clear()

    # -- writes ---------------------------------------------------------------------------------

    def create(
        self, resource: Resource, namespace: str, obj: Object, *, dry_run: bool = False
    ) -> Object:
        """Store a new object; `generateName` is honoured."""
        if not resource.namespaced:
            namespace = ""
        new = lifecycle.born(resource, namespace, clone(obj), self._new_uid(), self.now())
        name = self._name(resource, namespace, new["metadata"])
        if resource.namespaced:
            self._check_namespace(resource, namespace, name)
        new = self._admit(resource, new, None)
        if self.find(resource, namespace, name) is not None:
            raise already_exists(resource, name)
        return new if dry_run else self._write(resource, "ADDED", new, None)

    def update(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        change: Callable[[Object], Object],
        subresource: str = "",
        *,
        dry_run: bool = False,
    ) -> Object:
        """Replace an object by what `change` makes of a private copy of it.

        A resourceVersion or UID in the result is a precondition (409). An update that changes
        nothing makes no new version and no event, as on a real server.
        """
        old = self.get(resource, namespace, name)
        new = lifecycle.revised(resource, old, change(clone(old)), subresource)
        new = self._admit(resource, new, old)
        if new == old:
            return old
        new = lifecycle.counted(resource, old, new)
        if dry_run:
            return new
        if lifecycle.released(resource, new):
            return self._write(resource, "DELETED", new, old)
        return self._write(resource, "MODIFIED", new, old)

    def delete(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        options: Mapping[str, Any] | None = None,
        *,
        dry_run: bool = False,
    ) -> Object:
        """Delete an object, or mark it while something holds it; answers its last state.

        `options` is a DeleteOptions: preconditions, gracePeriodSeconds, propagationPolicy.
        """
        old = self.get(resource, namespace, name)
        lifecycle.check_preconditions(resource, old, options or {})
        marked = lifecycle.terminating(resource, old, options or {}, self.now())
        if dry_run or marked == old:
            return old
        if marked is None:
            return self._write(resource, "DELETED", old, old)
        return self._write(resource, "MODIFIED", marked, old)

    # -- inside ---------------------------------------------------------------------------------

    def _name(self, resource: Resource, namespace: str, meta: Object) -> str:
        """The name to store under; a generated one that is taken is drawn again, then refused."""
        if not meta.get("name"):
            prefix = meta.get("generateName")
            if not prefix:
                message = "Required value: name or generateName is required"
                raise invalid(resource, "", [("metadata.name", message)])
            for _ in range(GENERATE_NAME_TRIES):
                meta["name"] = prefix[:LONGEST_PREFIX] + "".join(
                    self._rng.choices(SUFFIX_LETTERS, k=5)
                )
                if self.find(resource, namespace, meta["name"]) is None:
                    break
        return str(meta["name"])

    def _check_namespace(self, resource: Resource, namespace: str, name: str) -> None:
        home = self.get(NAMESPACES, "", namespace)
        if "deletionTimestamp" in home["metadata"]:
            raise forbidden_creation(resource, name, namespace)

    def _admit(self, resource: Resource, new: Object, old: Object | None) -> Object:
        for admit in self.admission:
            new = admit(resource, new, old)
        return new

    def _write(self, resource: Resource, kind: str, new: Object, old: Object | None) -> Object:
        self.version += 1
        new = {**new, "metadata": {**new["metadata"], "resourceVersion": str(self.version)}}
        place = (new["metadata"].get("namespace", ""), new["metadata"]["name"])
        if kind == "DELETED":
            del self._objects[resource.key][place]
        else:
            self._objects[resource.key][place] = new
        event = Event(self.version, kind, new, old)
        self._history[resource.key].append(event)
        self._undelivered.append((resource, event))
        self._deliver()
        return new

    def _deliver(self) -> None:
        """Tell the listeners. What a listener writes is told after the present event."""
        if self._delivering:
            return
        self._delivering = True
        try:
            while self._undelivered:
                resource, event = self._undelivered.popleft()
                for listener in self.listeners:
                    _tell(listener, resource, event)
        finally:
            self._delivering = False


def clone(value: Any) -> Any:
    """A private copy of a JSON value; nearly three times as fast as deepcopy."""
    if isinstance(value, dict):
        return {name: clone(item) for name, item in value.items()}
    if isinstance(value, list):
        return [clone(item) for item in value]
    return value


def _tell(listener: Listener, resource: Resource, event: Event) -> None:
    """The write is done: a listener that fails must not fail the writer, nor starve the others."""
    try:
        listener(resource, event)
    except Exception:
        log.exception("listener failed on %s of %s", event.type, resource.qualified)


def _too_large(version: int, current: int) -> ApiError:
    message = f"Too large resource version: {version}, current: {current}"
    cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
    return ApiError(504, "Timeout", message, {"retryAfterSeconds": 1, "causes": [cause]})
