"""Garbage collection: dependents follow their owners, contents follow their namespace.

The policy travels as a finalizer of the owner (see lifecycle): none is background deletion, where
dependents go after the owner; `foregroundDeletion` holds the owner until every dependent that says
`blockOwnerDeletion` is gone; `orphan` frees the dependents first.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from elasticjob.local.api.objects.builtins import NAMESPACES
from elasticjob.local.api.objects.errors import ApiError
from elasticjob.local.api.objects.lifecycle import POLICY_FINALIZERS
from elasticjob.local.api.objects.resource import Object, Resource
from elasticjob.local.api.objects.store import Event, Store

FOREGROUND, ORPHAN = POLICY_FINALIZERS["Foreground"], POLICY_FINALIZERS["Orphan"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Place:
    """Where an object lives."""

    resource: Resource
    namespace: str
    name: str


class Collector:
    """Follows the store and, a turn of the event loop later, deletes what nobody owns any more.

    `schedule` runs a function soon: `loop.call_soon`, or a test's own list.
    """

    def __init__(self, store: Store, schedule: Callable[[Callable[[], None]], object]) -> None:
        self._store = store
        self._schedule = schedule
        self._places: dict[str, Place] = {}
        self._dependents: dict[str, set[str]] = {}
        self._pending: dict[str, None] = {}
        store.listeners.append(self._on_event)

    def collect(self) -> None:
        """Look at everything that may have to go."""
        while self._pending:
            uid = next(iter(self._pending))
            del self._pending[uid]
            place = self._places.get(uid)
            if place is None:
                continue
            try:
                self._look_at(uid, place)
            except ApiError as error:
                log.warning("cannot collect %s %s: %s", place.resource.plural, place.name, error)

    # -- what has changed -----------------------------------------------------------------------

    def _on_event(self, resource: Resource, event: Event) -> None:
        meta = event.object["metadata"]
        uid, owners = meta["uid"], _owner_uids(event.object)
        if event.type == "DELETED":
            self._forget(resource, meta, owners)
            return
        self._places[uid] = Place(resource, meta.get("namespace", ""), meta["name"])
        before = set() if event.old is None else _owner_uids(event.old)
        for owner in before - owners:
            self._unlink(owner, uid)
        for owner in owners:
            self._dependents.setdefault(owner, set()).add(uid)
        if owners != before or "deletionTimestamp" in meta:
            self._look_soon(uid)
        if FOREGROUND in meta.get("finalizers", ()) and "deletionTimestamp" in meta:
            self._look_soon(*self._dependents.get(uid, ()))

    def _forget(self, resource: Resource, meta: Object, owners: set[str]) -> None:
        uid = meta["uid"]
        self._places.pop(uid, None)
        for owner in owners:
            self._unlink(owner, uid)
        self._look_soon(*self._dependents.get(uid, ()), *owners)
        if resource.namespaced:
            home = self._store.find(NAMESPACES, "", meta["namespace"])
            if home is not None and "deletionTimestamp" in home["metadata"]:
                self._look_soon(home["metadata"]["uid"])

    def _unlink(self, owner: str, uid: str) -> None:
        dependents = self._dependents.get(owner, set())
        dependents.discard(uid)
        if not dependents:
            self._dependents.pop(owner, None)

    def _look_soon(self, *uids: str) -> None:
        if uids and not self._pending:
            self._schedule(self.collect)
        self._pending.update(dict.fromkeys(uids))

    # -- what is to be done ---------------------------------------------------------------------

    def _look_at(self, uid: str, place: Place) -> None:
        obj = self._get(place)
        finalizers = obj["metadata"].get("finalizers", ())
        if "deletionTimestamp" not in obj["metadata"]:
            self._judge(uid, place, obj)
        elif place.resource == NAMESPACES:
            self._empty(place)
        elif ORPHAN in finalizers:
            self._orphan(uid, place)
        elif FOREGROUND in finalizers and not self._blocking(uid):
            self._release(place, FOREGROUND)

    def _judge(self, uid: str, place: Place, obj: Object) -> None:
        """Delete an object whose owners are all going or gone; else drop the dead references."""
        references = obj["metadata"].get("ownerReferences", [])
        solid = [owner for owner in references if self._stays(owner, place)]
        if not references or len(solid) == len(references):
            return
        if solid:
            self._change_meta(place, ownerReferences=solid)
            return
        waiting = any(self._owner(owner, place) is not None for owner in references)
        foreground = waiting and self._dependents.get(uid)
        options = {
            "propagationPolicy": "Foreground" if foreground else "Background",
            "preconditions": {"uid": uid},
        }
        self._delete(place, options)

    def _stays(self, reference: Mapping[str, Any], dependent: Place) -> bool:
        """Whether the owner is there and is not waiting for its dependents to go."""
        owner = self._owner(reference, dependent)
        if owner is None:
            return False
        meta = self._get(owner)["metadata"]
        return "deletionTimestamp" not in meta or FOREGROUND not in meta.get("finalizers", ())

    def _owner(self, reference: Mapping[str, Any], dependent: Place) -> Place | None:
        """An owner is cluster-wide or in the same namespace; another one does not count."""
        owner = self._places.get(reference["uid"])
        return owner if owner and owner.namespace in ("", dependent.namespace) else None

    def _blocking(self, uid: str) -> bool:
        """Whether a dependent is left that asked to hold its owner's foreground deletion."""
        dependents = [self._get(self._places[one]) for one in self._dependents.get(uid, ())]
        return any(
            owner["uid"] == uid and owner.get("blockOwnerDeletion")
            for obj in dependents
            for owner in obj["metadata"].get("ownerReferences", ())
        )

    def _orphan(self, uid: str, place: Place) -> None:
        for dependent in list(self._dependents.get(uid, ())):
            where = self._places[dependent]
            references = self._get(where)["metadata"].get("ownerReferences", ())
            kept = [owner for owner in references if owner["uid"] != uid]
            self._change_meta(where, ownerReferences=kept)
        self._release(place, ORPHAN)

    def _empty(self, namespace: Place) -> None:
        """Delete what is in a namespace; when nothing is left, let it go."""
        left = False
        for resource in list(self._store.resources.values()):
            if not resource.namespaced:
                continue
            for obj in self._store.list(resource, namespace.name):
                if "deletionTimestamp" not in obj["metadata"]:
                    self._delete(Place(resource, namespace.name, obj["metadata"]["name"]), {})
            left = left or bool(self._store.list(resource, namespace.name))
        if not left:
            self._store.update(
                NAMESPACES, "", namespace.name, lambda obj: {**obj, "spec": {}}, "finalize"
            )

    def _release(self, place: Place, finalizer: str) -> None:
        kept = self._get(place)["metadata"]["finalizers"]
        self._change_meta(place, finalizers=[name for name in kept if name != finalizer])

    def _change_meta(self, place: Place, **fields: Any) -> None:
        self._store.update(
            place.resource,
            place.namespace,
            place.name,
            lambda obj: {**obj, "metadata": {**obj["metadata"], **fields}},
        )

    def _delete(self, place: Place, options: Mapping[str, Any]) -> None:
        self._store.delete(place.resource, place.namespace, place.name, options)

    def _get(self, place: Place) -> Object:
        return self._store.get(place.resource, place.namespace, place.name)


def _owner_uids(obj: Object) -> set[str]:
    return {owner["uid"] for owner in obj["metadata"].get("ownerReferences", ())}
