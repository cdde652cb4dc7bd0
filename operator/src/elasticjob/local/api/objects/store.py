"""Versioned objects in memory: atomic writes, optimistic concurrency, a bounded history of events.

The store is synchronous and used by one event loop, so that every write is atomic. A stored dict is
never changed in place, because history, watches and callers share it.
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

from elasticjob.local.api.objects import errors, lifecycle
from elasticjob.local.api.objects.builtins import NAMESPACES
from elasticjob.local.api.objects.encoding import event_line
from elasticjob.local.api.objects.resource import Key, Object, Resource

HISTORY = 4096
"""Number of events kept per resource; a watch from an earlier version gets 410."""
SUFFIX_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
"""The letters of generated names in Kubernetes, without vowels and look-alikes."""
GENERATE_NAME_TRIES = 8
LONGEST_PREFIX = 58  # so that a generated name is a DNS label

Objects = list[Object]
Match = Callable[[Object], bool]
Listener = Callable[[Resource, "Event"], None]
Admission = Callable[[Resource, Object, Object | None], Object]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Event:
    """One change of an object."""

    version: int
    type: str
    object: Object  # after a deletion: the last state
    old: Object | None  # None for a creation

    @cached_property
    def line(self) -> bytes:
        """The event as watches send it, encoded once."""
        return event_line(self.type, self.object)


Events = list[Event]


class Store:
    """All objects of the server.

    It calls the `listeners` after each write in the order of the writes, even if a listener itself
    writes. It calls each `admission` before a write with (resource, new, old), which returns the
    object to store or raises ApiError.
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
        # Starts at the clock instead of 1, so that a client that resumes with a version of an
        # earlier run of this server gets 410, and never reads an unrelated object by this version.
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
        """Serve a resource, or its changed definition, whose objects are kept."""
        self.resources[resource.key] = resource
        self._objects.setdefault(resource.key, {})
        self._history.setdefault(resource.key, deque(maxlen=HISTORY))

    def unregister(self, resource: Resource) -> None:
        """Stop serving a resource, whose objects must have been deleted."""
        del self.resources[resource.key]

    # -- reads ----------------------------------------------------------------------------------

    def get(self, resource: Resource, namespace: str, name: str) -> Object:
        """Return an object. Raises 404."""
        found = self.find(resource, namespace, name)
        if found is None:
            raise errors.not_found(resource, name)
        return found

    def find(self, resource: Resource, namespace: str, name: str) -> Object | None:
        """Return an object, or None."""
        return self._objects[resource.key].get((namespace, name))

    def list(self, resource: Resource, namespace: str = "", match: Match | None = None) -> Objects:
        """Return the objects of a namespace ("": of all), sorted by namespace and name."""
        return [
            obj
            for (place, _), obj in sorted(self._objects[resource.key].items())
            if namespace in ("", place) and (match is None or match(obj))
        ]

    def since(self, resource: Resource, version: int) -> Events:
        """Return the events after `version`. Raises 410 if they are not in the history any more."""
        history = self._history[resource.key]
        oldest = history[0].version if len(history) == HISTORY else self.oldest
        if version < oldest:
            raise errors.expired(f"too old resource version: {version} ({oldest})")
        if version > self.version:
            raise _too_large(version, self.version)
        return [event for event in history if event.version > version]

    def compact(self) -> None:
        """Delete the history, as etcd does every few minutes: a watch from before now gets 410."""
        self.oldest = self.version
        for history in self._history.values():
            history.clear()

    # -- writes ---------------------------------------------------------------------------------

    def create(
        self, resource: Resource, namespace: str, obj: Object, *, dry_run: bool = False
    ) -> Object:
        """Store a new object, whose name may be generated from `generateName`."""
        if not resource.namespaced:
            namespace = ""
        new = lifecycle.created(resource, namespace, clone(obj), self._new_uid(), self.now())
        name = self._name(resource, namespace, new["metadata"])
        if resource.namespaced:
            self._check_namespace(resource, namespace, name)
        new = self._admit(resource, new, None)
        if self.find(resource, namespace, name) is not None:
            raise errors.already_exists(resource, name)
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
        """Replace an object by the result of `change` for a copy of it.

        A resourceVersion or UID in the result is a precondition (409). An update that changes
        nothing creates no new version and no event, as on a real server.
        """
        old = self.get(resource, namespace, name)
        new = lifecycle.updated(resource, old, change(clone(old)), subresource)
        new = self._admit(resource, new, old)
        if new == old:
            return old
        new = lifecycle.with_next_generation(resource, old, new)
        if dry_run:
            return new
        if lifecycle.is_deletable(resource, new):
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
        """Delete an object, or mark it while something holds it; returns its last state.

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

    # -- helpers --------------------------------------------------------------------------------

    def _name(self, resource: Resource, namespace: str, meta: Object) -> str:
        """Return the name. Generates it if it is absent, again if the generated name exists."""
        if not meta.get("name"):
            prefix = meta.get("generateName")
            if not prefix:
                message = "Required value: name or generateName is required"
                raise errors.invalid(resource, "", [("metadata.name", message)])
            for _ in range(GENERATE_NAME_TRIES):
                meta["name"] = prefix[:LONGEST_PREFIX] + "".join(
                    self._rng.choices(SUFFIX_LETTERS, k=5)
                )
                if self.find(resource, namespace, meta["name"]) is None:
                    break
        return str(meta["name"])

    def _check_namespace(self, resource: Resource, namespace: str, name: str) -> None:
        found = self.get(NAMESPACES, "", namespace)
        if "deletionTimestamp" in found["metadata"]:
            raise errors.forbidden_creation(resource, name, namespace)

    def _admit(self, resource: Resource, new: Object, old: Object | None) -> Object:
        for admit in self.admission:
            new = admit(resource, new, old)
        return new

    def _write(self, resource: Resource, kind: str, new: Object, old: Object | None) -> Object:
        self.version += 1
        new = {**new, "metadata": {**new["metadata"], "resourceVersion": str(self.version)}}
        key = (new["metadata"].get("namespace", ""), new["metadata"]["name"])
        if kind == "DELETED":
            del self._objects[resource.key][key]
        else:
            self._objects[resource.key][key] = new
        event = Event(self.version, kind, new, old)
        self._history[resource.key].append(event)
        self._undelivered.append((resource, event))
        self._deliver()
        return new

    def _deliver(self) -> None:
        """Call the listeners. Events that a listener causes follow the current event."""
        if self._delivering:
            return
        self._delivering = True
        try:
            while self._undelivered:
                resource, event = self._undelivered.popleft()
                for listener in self.listeners:
                    _notify(listener, resource, event)
        finally:
            self._delivering = False


def clone(value: Any) -> Any:
    """A deep copy of a JSON value; several times as fast as deepcopy."""
    if isinstance(value, dict):
        return {
            name: clone(item) if isinstance(item, (dict, list)) else item
            for name, item in value.items()
        }
    if isinstance(value, list):
        return [clone(item) if isinstance(item, (dict, list)) else item for item in value]
    return value


def _notify(listener: Listener, resource: Resource, event: Event) -> None:
    """Call one listener. Its failure affects neither the writer nor the other listeners."""
    try:
        listener(resource, event)
    except Exception:
        log.exception("listener failed on %s of %s", event.type, resource.qualified_name)


def _too_large(version: int, current: int) -> errors.ApiError:
    message = f"Too large resource version: {version}, current: {current}"
    cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
    return errors.ApiError(504, "Timeout", message, {"retryAfterSeconds": 1, "causes": [cause]})
