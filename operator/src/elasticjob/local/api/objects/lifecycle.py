"""Creation, update and termination of objects, as pure functions.

They replace fields that the server owns in objects that clients send.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from elasticjob.local.api.objects import errors
from elasticjob.local.api.objects.builtins import NAMESPACES, PODS
from elasticjob.local.api.objects.resource import Object, Resource

SERVER_OWNED = (
    "name",
    "generateName",
    "namespace",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
)
DEFAULT_GRACE_S = 30
POLICY_FINALIZERS = {"Foreground": "foregroundDeletion", "Orphan": "orphan"}


def timestamp(at: datetime) -> str:
    """The instant as a metav1.Time: in UTC, with whole seconds."""
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def created(resource: Resource, namespace: str, new: Object, uid: str, at: datetime) -> Object:
    """The object to store for a create, except for its name. Changes `new`."""
    meta = new.setdefault("metadata", {})
    if meta.get("resourceVersion"):
        # A real server sends this 500 without a reason, too.
        raise errors.ApiError(500, "", "resourceVersion should not be set on objects to be created")
    if resource.namespaced and meta.setdefault("namespace", namespace) != namespace:
        raise errors.bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )
    if not resource.namespaced:
        meta.pop("namespace", None)
    for name in ("deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "generation"):
        meta.pop(name, None)
    meta.update(uid=uid, creationTimestamp=timestamp(at))
    if resource.tracks_generation:
        meta["generation"] = 1
    if resource.has_status:
        new.pop("status", None)
    if resource.initial_status is not None:
        new["status"] = dict(resource.initial_status)
    if resource == NAMESPACES:
        new.setdefault("spec", {})["finalizers"] = ["kubernetes"]
    return {"apiVersion": resource.api_version, "kind": resource.kind, **new, "metadata": meta}


def updated(resource: Resource, old: Object, new: Object, subresource: str) -> Object:
    """The object to store for an update: `new`, with the fields of `old` that are read-only."""
    meta = new.setdefault("metadata", {})
    _check_same_object(resource, old["metadata"], meta)
    if subresource == "status":
        return {**old, "status": new.get("status", {})}
    for name in SERVER_OWNED:
        meta.pop(name, None)
        if name in old["metadata"]:
            meta[name] = old["metadata"][name]
    for name in ("labels", "annotations", "finalizers", "ownerReferences"):
        if name in meta and not meta[name]:
            del meta[name]
    _check_finalizers(resource, old["metadata"], meta)
    if resource == NAMESPACES and subresource != "finalize":
        new["spec"] = old["spec"]
    new.update(apiVersion=resource.api_version, kind=resource.kind)
    if resource.has_status:
        new.pop("status", None)
        if "status" in old:
            new["status"] = old["status"]
    return new


def with_next_generation(resource: Resource, old: Object, new: Object) -> Object:
    """`new` with the next generation if fields other than metadata and status have changed."""
    hidden = {"metadata", "status"} if resource.has_status else {"metadata"}
    if "generation" not in old["metadata"] or _without(old, hidden) == _without(new, hidden):
        return new
    generation = old["metadata"]["generation"] + 1
    return {**new, "metadata": {**new["metadata"], "generation": generation}}


def terminating(
    resource: Resource, old: Object, options: Mapping[str, Any], at: datetime
) -> Object | None:
    """The object marked as being deleted, or None if it can be removed at once.

    Finalizers hold an object, including those of a namespace that has contents. So does the grace
    period of a pod, until the kubelet deletes the pod without a grace period.
    """
    meta = dict(old["metadata"])
    grace_s = _grace_s(resource, old, options)
    meta["finalizers"] = _finalizers(old["metadata"], options)
    if not meta["finalizers"]:
        del meta["finalizers"]
    if not grace_s and not remaining_finalizers(resource, {**old, "metadata": meta}):
        return None
    if "deletionTimestamp" not in meta:
        meta["deletionTimestamp"] = timestamp(at + timedelta(seconds=grace_s))
        meta["deletionGracePeriodSeconds"] = grace_s
        if "generation" in meta:
            meta["generation"] += 1
    elif grace_s < meta["deletionGracePeriodSeconds"]:
        meta["deletionTimestamp"] = timestamp(at + timedelta(seconds=grace_s))
        meta["deletionGracePeriodSeconds"] = grace_s
    marked = {**old, "metadata": meta}
    if resource == NAMESPACES:
        marked["status"] = {**old.get("status", {}), "phase": "Terminating"}
    return marked


def remaining_finalizers(resource: Resource, obj: Object) -> list[str]:
    """The finalizers that hold an object that is being deleted."""
    waiting = list(obj["metadata"].get("finalizers", ()))
    if resource == NAMESPACES:
        waiting += obj.get("spec", {}).get("finalizers", [])
    return waiting


def is_deletable(resource: Resource, obj: Object) -> bool:
    """Whether nothing holds an object that is being deleted."""
    meta = obj["metadata"]
    return (
        "deletionTimestamp" in meta
        and not meta.get("deletionGracePeriodSeconds")
        and not remaining_finalizers(resource, obj)
    )


def check_preconditions(resource: Resource, old: Object, options: Mapping[str, Any]) -> None:
    """Raise 409 unless the object has the UID and version of the preconditions."""
    wanted, meta = options.get("preconditions") or {}, old["metadata"]
    for field, called in (("uid", "UID"), ("resourceVersion", "ResourceVersion")):
        if wanted.get(field) and wanted[field] != meta[field]:
            raise errors.precondition(resource, meta["name"], called, wanted[field], meta[field])


def _check_same_object(resource: Resource, old: Object, new: Object) -> None:
    """Raise 409 for an update from another version, 422 for another UID, 400 for another name."""
    if new.get("resourceVersion") and new["resourceVersion"] != old["resourceVersion"]:
        raise errors.conflict(resource, old["name"])
    if new.get("uid") and new["uid"] != old["uid"]:
        message = f'Invalid value: "{new["uid"]}": field is immutable'
        raise errors.invalid(resource, old["name"], [("metadata.uid", message)])
    for field in ("name", "namespace"):
        if new.get(field) and new[field] != old.get(field):
            raise errors.bad_request(
                f"the {field} of the object ({new[field]}) does not match "
                f"the {field} on the URL ({old.get(field)})"
            )


def _check_finalizers(resource: Resource, old: Object, new: Object) -> None:
    added = sorted(set(new.get("finalizers", ())) - set(old.get("finalizers", ())))
    if added and "deletionTimestamp" in old:
        message = (
            "Forbidden: no new finalizers can be added if the object is being deleted, "
            f"found new finalizers {added}"
        )
        raise errors.invalid(resource, old["name"], [("metadata.finalizers", message)])


def _grace_s(resource: Resource, old: Object, options: Mapping[str, Any]) -> int:
    """The grace period, which is 0 except for a pod on a node that has not ended."""
    spec, phase = old.get("spec", {}), old.get("status", {}).get("phase")
    if resource != PODS or not spec.get("nodeName") or phase in ("Succeeded", "Failed"):
        return 0
    default = spec.get("terminationGracePeriodSeconds", DEFAULT_GRACE_S)
    requested = options.get("gracePeriodSeconds")
    return int(default if requested is None else requested)


def _finalizers(meta: Object, options: Mapping[str, Any]) -> list[str]:
    """The finalizers of the object with the one of the propagation policy in `options`."""
    policy = options.get("propagationPolicy")
    if policy is None and "orphanDependents" in options:
        policy = "Orphan" if options["orphanDependents"] else "Background"
    kept = list(meta.get("finalizers", ()))
    if policy is None:
        return kept
    kept = [name for name in kept if name not in POLICY_FINALIZERS.values()]
    return [*kept, POLICY_FINALIZERS[policy]] if policy in POLICY_FINALIZERS else kept


def _without(obj: Object, names: set[str]) -> Object:
    return {name: value for name, value in obj.items() if name not in names}
