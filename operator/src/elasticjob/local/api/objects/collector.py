"""Garbage collection of the dependents of deleted owners and of the contents of namespaces.

A finalizer of the owner stores the propagation policy (see lifecycle). Without one, dependents are
deleted after the owner (background). `foregroundDeletion` holds the owner until every dependent
with `blockOwnerDeletion` is deleted, `orphan` until the references to it are removed.
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
class ObjectKey:
    """The identity of an object in the store."""

    resource: Resource
    namespace: str
    name: str


class Collector:
    """Deletes objects without owners in the iteration of the event loop after the change.

    `schedule` runs a function soon: `loop.call_soon`, or a list in a test.
    """

    def __init__(self, store: Store, schedule: Callable[[Callable[[], None]], object]) -> None:
        self._store = store
        self._schedule = schedule
        self._keys: dict[str, ObjectKey] = {}
        self._dependents: dict[str, set[str]] = {}
        self._pending: dict[str, None] = {}
        store.listeners.append(self._on_event)

    def collect(self) -> None:
        """Process all pending objects."""
        while self._pending:
            uid = next(iter(self._pending))
            del self._pending[uid]
            key = self._keys.get(uid)
            if key is None:
                continue
            try:
                self._process(uid, key)
            except ApiError as error:
                log.warning("cannot collect %s %s: %s", key.resource.plural, key.name, error)

    # -- events ---------------------------------------------------------------------------------

    def _on_event(self, resource: Resource, event: Event) -> None:
        meta = event.object["metadata"]
        uid, owners = meta["uid"], _owner_uids(event.object)
        if event.type == "DELETED":
            self._on_deleted(resource, meta, owners)
            return
        self._keys[uid] = ObjectKey(resource, meta.get("namespace", ""), meta["name"])
        before = set() if event.old is None else _owner_uids(event.old)
        for owner in before - owners:
            self._unlink(owner, uid)
        for owner in owners:
            self._dependents.setdefault(owner, set()).add(uid)
        if owners != before or "deletionTimestamp" in meta:
            self._enqueue(uid)
        if FOREGROUND in meta.get("finalizers", ()) and "deletionTimestamp" in meta:
            self._enqueue(*self._dependents.get(uid, ()))

    def _on_deleted(self, resource: Resource, meta: Object, owners: set[str]) -> None:
        uid = meta["uid"]
        self._keys.pop(uid, None)
        for owner in owners:
            self._unlink(owner, uid)
        self._enqueue(*self._dependents.get(uid, ()), *owners)
        if resource.namespaced:
            namespace = self._store.find(NAMESPACES, "", meta["namespace"])
            if namespace is not None and "deletionTimestamp" in namespace["metadata"]:
                self._enqueue(namespace["metadata"]["uid"])

    def _unlink(self, owner: str, uid: str) -> None:
        dependents = self._dependents.get(owner, set())
        dependents.discard(uid)
        if not dependents:
            self._dependents.pop(owner, None)

    def _enqueue(self, *uids: str) -> None:
        if uids and not self._pending:
            self._schedule(self.collect)
        self._pending.update(dict.fromkeys(uids))

    # -- deletion -------------------------------------------------------------------------------

    def _process(self, uid: str, key: ObjectKey) -> None:
        obj = self._get(key)
        finalizers = obj["metadata"].get("finalizers", ())
        if "deletionTimestamp" not in obj["metadata"]:
            self._collect_if_orphaned(uid, key, obj)
        elif key.resource == NAMESPACES:
            self._empty_namespace(key)
        elif ORPHAN in finalizers:
            self._orphan_dependents(uid, key)
        elif FOREGROUND in finalizers and not self._has_blocking_dependents(uid):
            self._remove_finalizer(key, FOREGROUND)

    def _collect_if_orphaned(self, uid: str, key: ObjectKey, obj: Object) -> None:
        """Delete an object that has lost all owners; else remove the references to lost owners."""
        references = obj["metadata"].get("ownerReferences", [])
        remaining = [owner for owner in references if self._keeps_dependents(owner, key)]
        if not references or len(remaining) == len(references):
            return
        if remaining:
            self._change_meta(key, ownerReferences=remaining)
            return
        waiting = any(self._owner(owner, key) is not None for owner in references)
        foreground = waiting and self._dependents.get(uid)
        options = {
            "propagationPolicy": "Foreground" if foreground else "Background",
            "preconditions": {"uid": uid},
        }
        self._delete(key, options)

    def _keeps_dependents(self, reference: Mapping[str, Any], dependent: ObjectKey) -> bool:
        """Whether the owner exists and does not wait for the deletion of its dependents."""
        owner = self._owner(reference, dependent)
        if owner is None:
            return False
        meta = self._get(owner)["metadata"]
        return "deletionTimestamp" not in meta or FOREGROUND not in meta.get("finalizers", ())

    def _owner(self, reference: Mapping[str, Any], dependent: ObjectKey) -> ObjectKey | None:
        """The owner of a reference, which is cluster-wide or in the namespace of the dependent."""
        owner = self._keys.get(reference["uid"])
        return owner if owner and owner.namespace in ("", dependent.namespace) else None

    def _has_blocking_dependents(self, uid: str) -> bool:
        """Whether a dependent blocks the foreground deletion of an owner."""
        dependents = [self._get(self._keys[one]) for one in self._dependents.get(uid, ())]
        return any(
            owner["uid"] == uid and owner.get("blockOwnerDeletion")
            for obj in dependents
            for owner in obj["metadata"].get("ownerReferences", ())
        )

    def _orphan_dependents(self, uid: str, key: ObjectKey) -> None:
        for dependent in list(self._dependents.get(uid, ())):
            where = self._keys[dependent]
            references = self._get(where)["metadata"].get("ownerReferences", ())
            kept = [owner for owner in references if owner["uid"] != uid]
            self._change_meta(where, ownerReferences=kept)
        self._remove_finalizer(key, ORPHAN)

    def _empty_namespace(self, namespace: ObjectKey) -> None:
        """Delete the contents of a namespace; when it is empty, finalize it."""
        left = False
        for resource in list(self._store.resources.values()):
            if not resource.namespaced:
                continue
            for obj in self._store.list(resource, namespace.name):
                if "deletionTimestamp" not in obj["metadata"]:
                    self._delete(ObjectKey(resource, namespace.name, obj["metadata"]["name"]), {})
            left = left or bool(self._store.list(resource, namespace.name))
        if not left:
            self._store.update(
                NAMESPACES, "", namespace.name, lambda obj: {**obj, "spec": {}}, "finalize"
            )

    def _remove_finalizer(self, key: ObjectKey, finalizer: str) -> None:
        kept = self._get(key)["metadata"]["finalizers"]
        self._change_meta(key, finalizers=[name for name in kept if name != finalizer])

    def _change_meta(self, key: ObjectKey, **fields: Any) -> None:
        self._store.update(
            key.resource,
            key.namespace,
            key.name,
            lambda obj: {**obj, "metadata": {**obj["metadata"], **fields}},
        )

    def _delete(self, key: ObjectKey, options: Mapping[str, Any]) -> None:
        self._store.delete(key.resource, key.namespace, key.name, options)

    def _get(self, key: ObjectKey) -> Object:
        return self._store.get(key.resource, key.namespace, key.name)


def _owner_uids(obj: Object) -> set[str]:
    return {owner["uid"] for owner in obj["metadata"].get("ownerReferences", ())}
