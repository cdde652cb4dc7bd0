"""CustomResourceDefinitions. The write that creates one also establishes and serves it.

A real server needs about a second for this. Only the storage version is served.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from elasticjob.local.api.kinds.schema import ANY
from elasticjob.local.api.objects.builtins import CRDS
from elasticjob.local.api.objects.errors import Violation, invalid
from elasticjob.local.api.objects.resource import Object, Resource
from elasticjob.local.api.objects.store import Event, Store

CLEANUP = "customresourcecleanup.apiextensions.k8s.io"


def admit(resource: Resource, new: Object, old: Object | None) -> Object:
    """Refuse an invalid definition; set defaults and status Established of a valid one."""
    if resource != CRDS:
        return new
    faults = list(definition_faults(new, old))
    if faults:
        raise invalid(resource, new["metadata"]["name"], faults)
    return established(new if old is not None else _with_cleanup(new))


def definition_faults(new: Object, old: Object | None) -> Iterator[Violation]:
    """Validate the parts of a definition that users get wrong; the schema is not validated."""
    spec, name = new.get("spec", {}), new["metadata"]["name"]
    names, versions = spec.get("names", {}), spec.get("versions", [])
    for field, place in (("group", spec), ("scope", spec), ("kind", names), ("plural", names)):
        if not place.get(field):
            yield f"spec.{'names.' if place is names else ''}{field}", "Required value"
    wanted = f"{names.get('plural')}.{spec.get('group')}"
    if name != wanted:
        message = 'must be spec.names.plural+"."+spec.group'
        yield "metadata.name", f'Invalid value: "{name}": {message}'
    if sum(bool(version.get("storage")) for version in versions) != 1:
        message = "must have exactly one version marked as storage version"
        yield "spec.versions", f"Invalid value: {len(versions)}: {message}"
    for index, version in enumerate(versions):
        if "openAPIV3Schema" not in version.get("schema", {}):
            yield f"spec.versions[{index}].schema.openAPIV3Schema", "Required value"
    if old is not None:
        yield from _immutability_faults(spec, old["spec"])


def established(definition: Object) -> Object:
    """The definition with its defaults and with the status of an accepted definition."""
    spec = dict(definition["spec"])
    names = {
        "singular": spec["names"]["kind"].lower(),
        "listKind": f"{spec['names']['kind']}List",
        **spec["names"],
    }
    spec["names"] = names
    spec.setdefault("conversion", {"strategy": "None"})
    at = definition["metadata"]["creationTimestamp"]
    status = {
        "acceptedNames": names,
        "storedVersions": [storage_version(spec)["name"]],
        "conditions": [
            _condition("NamesAccepted", "NoConflicts", "no conflicts found", at),
            _condition(
                "Established", "InitialNamesAccepted", "the initial names have been accepted", at
            ),
        ],
    }
    return {**definition, "spec": spec, "status": status}


def resource_of(definition: Object) -> Resource:
    """The resource that a definition defines."""
    spec, names = definition["spec"], definition["spec"]["names"]
    version = storage_version(spec)
    subresources: Mapping[str, Any] = version.get("subresources") or {}
    return Resource(
        spec["group"],
        version["name"],
        names["plural"],
        names["kind"],
        namespaced=spec["scope"] == "Namespaced",
        short_names=tuple(names.get("shortNames", ())),
        categories=tuple(names.get("categories", ())),
        subresources=tuple(name for name in ("status", "scale") if name in subresources),
        singular=names["singular"],
        selectable=tuple(
            field["jsonPath"].lstrip(".") for field in version.get("selectableFields", ())
        ),
        tracks_generation=True,
        unconditional_update=False,
        schema=version["schema"]["openAPIV3Schema"] or ANY,
        columns=tuple(version.get("additionalPrinterColumns", ())),
        scale=subresources.get("scale"),
    )


def storage_version(spec: Object) -> Object:
    """The storage version, which is the only version served here."""
    version: Object = next(version for version in spec["versions"] if version.get("storage"))
    return version


class Definitions:
    """Registers the resources of the definitions in the store.

    A finalizer holds a definition that is being deleted until the last of its objects is deleted.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        store.admission.append(admit)
        store.listeners.append(self.on_event)

    def on_event(self, resource: Resource, event: Event) -> None:
        """Serve the resource of a definition, and delete its objects when it is being deleted."""
        if resource == CRDS:
            self._on_definition(event)
        elif resource.is_custom and event.type == "DELETED":
            self._finish_deletion(resource)

    def _on_definition(self, event: Event) -> None:
        custom = resource_of(event.object)
        if event.type == "DELETED":
            self.store.unregister(custom)
            return
        self.store.register(custom)
        if "deletionTimestamp" in event.object["metadata"]:
            for obj in self.store.list(custom):
                meta = obj["metadata"]
                self.store.delete(custom, meta.get("namespace", ""), meta["name"])
            self._finish_deletion(custom)

    def _finish_deletion(self, custom: Resource) -> None:
        """Remove the finalizer of a definition that is being deleted and has no objects."""
        definition = self.store.find(CRDS, "", custom.qualified_name)
        if definition is None or "deletionTimestamp" not in definition["metadata"]:
            return
        if not self.store.list(custom):
            self.store.update(CRDS, "", custom.qualified_name, _without_cleanup)


def _immutability_faults(new: Object, old: Object) -> Iterator[Violation]:
    for field in ("group", "scope"):
        if new.get(field) != old.get(field):
            yield f"spec.{field}", f'Invalid value: "{new.get(field)}": field is immutable'


def _with_cleanup(definition: Object) -> Object:
    meta = definition["metadata"]
    return {
        **definition,
        "metadata": {**meta, "finalizers": [*meta.get("finalizers", ()), CLEANUP]},
    }


def _without_cleanup(definition: Object) -> Object:
    meta = definition["metadata"]
    kept = [name for name in meta.get("finalizers", ()) if name != CLEANUP]
    return {**definition, "metadata": {**meta, "finalizers": kept}}


def _condition(kind: str, reason: str, message: str, at: str) -> Object:
    return {
        "type": kind,
        "status": "True",
        "reason": reason,
        "message": message,
        "lastTransitionTime": at,
    }
