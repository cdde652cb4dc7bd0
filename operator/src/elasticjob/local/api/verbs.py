"""What a request to a resource does: get, list, watch, create, update, patch, delete, scale, log.

Synchronous: from reading the object to writing it nothing else happens, which is what makes a
compare-and-swap one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

from elasticjob.local.api.bodies import check_options, decoded, delete_options, patch_of, patched
from elasticjob.local.api.call import BODY_TYPES, Answer, Call, Stream, Target
from elasticjob.local.api.kinds.scale import scale_of, scaled
from elasticjob.local.api.listing import Listing, Page, list_object, matcher
from elasticjob.local.api.objects.builtins import PODS
from elasticjob.local.api.objects.encoding import event_line
from elasticjob.local.api.objects.errors import (
    ApiError,
    bad_request,
    invalid,
    no_such_path,
    not_acceptable,
    not_found,
    precondition,
)
from elasticjob.local.api.objects.resource import Object, Resource
from elasticjob.local.api.objects.store import Store
from elasticjob.local.api.patches import PATCHES
from elasticjob.local.api.tables import table
from elasticjob.local.api.watch import Render, Watch, Watches, WatchOptions

INTERACTIVE = ("attach", "exec", "portforward", "proxy")

Verb = Callable[[Resource, Call, Target], Answer | Stream]
LogSource = Callable[[Object, Call], AbstractContextManager[AsyncIterator[bytes]]]
"""(pod, request) to its log, open while it is read; raises ApiError for what cannot be had."""


class Verbs:
    """The verbs of every resource. `logs` is the kubelet's, when there is one."""

    def __init__(self, store: Store, watches: Watches, *, watch_list: bool = True) -> None:
        self.store = store
        self.watches = watches
        self.logs: LogSource | None = None
        self._watch_list = watch_list
        self._listing = Listing(store)
        self._whole: dict[str, Verb] = {
            "get": self._get,
            "list": self._list,
            "watch": self._watch,
            "create": self._create,
            "update": self._update,
            "patch": self._patch,
            "delete": self._delete,
            "deletecollection": self._delete_collection,
        }
        self._status: dict[str, Verb] = {
            "get": self._get,
            "update": self._update,
            "patch": self._patch,
        }
        self._subresources: dict[str, dict[str, Verb]] = {
            "": self._whole,
            "status": self._status,
            "scale": {
                "get": self._get_scale,
                "update": self._write_scale,
                "patch": self._write_scale,
            },
            "log": {"get": self._log},
        }

    def perform(self, call: Call, target: Target) -> Answer | Stream:
        """Do what the call says, or raise ApiError."""
        resource = self.store.resources.get((target.group, target.plural))
        if resource is None or resource.version != target.version:
            raise no_such_path()
        _check_place(resource, target)
        check_options(call)
        if not call.acceptable and target.subresource != "log":
            raise not_acceptable()
        verb = self._subresources[target.subresource].get(target.verb)
        if verb is None:
            raise _not_allowed()
        return verb(resource, call, target)

    # -- reads ----------------------------------------------------------------------------------

    def _get(self, resource: Resource, call: Call, target: Target) -> Answer:
        obj = self.store.get(resource, *_place(resource, target))
        return self._object(resource, call, obj)

    def _list(self, resource: Resource, call: Call, target: Target) -> Answer:
        page = self._listing.page(resource, target.namespace, call)
        if _wants_table(call):
            return Answer(self._table(resource, call, page.objects, page.meta))
        return Answer(list_object(resource, page))

    def _watch(self, resource: Resource, call: Call, target: Target) -> Stream:
        options = WatchOptions.parse(target.namespace, call.query, watch_list=self._watch_list)
        render = self._row(resource, call) if _wants_table(call) else None
        return Stream(Watch(self.watches, resource, options, render))

    def _log(self, resource: Resource, call: Call, target: Target) -> Stream:
        pod = self.store.get(resource, target.namespace, target.name)
        if self.logs is None:
            raise no_such_path()
        return Stream(self.logs(pod, call), content_type="text/plain")

    def _get_scale(self, resource: Resource, call: Call, target: Target) -> Answer:
        obj = self.store.get(resource, *_place(resource, target))
        return Answer(scale_of(resource, obj))

    # -- writes ---------------------------------------------------------------------------------

    def _create(self, resource: Resource, call: Call, target: Target) -> Answer:
        if target.name or (resource.namespaced and not target.namespace):
            raise _not_allowed()
        obj, warnings = decoded(resource, call, call.decoded())
        created = self.store.create(resource, target.namespace, obj, dry_run=call.dry_run)
        return self._object(resource, call, created, 201, warnings)

    def _update(self, resource: Resource, call: Call, target: Target) -> Answer:
        obj, warnings = decoded(resource, call, call.decoded())
        meta = obj["metadata"]
        if meta.get("name") != target.name:
            raise bad_request(
                f"the name of the object ({meta.get('name', '')}) "
                f"does not match the name on the URL ({target.name})"
            )
        old = self.store.find(resource, *_place(resource, target))
        if old is None and not resource.create_on_update:
            raise not_found(resource, target.name)
        found = "" if old is None else old["metadata"]["uid"]
        if meta.get("uid") not in (None, "", found):
            raise precondition(resource, target.name, "UID", meta["uid"], found)
        if old is None:
            return self._create_by_update(resource, call, target, obj)
        if not resource.unconditional_update and not meta.get("resourceVersion"):
            message = "Invalid value: 0: must be specified for an update"
            raise invalid(resource, target.name, [("metadata.resourceVersion", message)])
        written = self._write(resource, call, target, lambda _: obj)
        return self._object(resource, call, written, warnings=warnings)

    def _create_by_update(
        self, resource: Resource, call: Call, target: Target, obj: Object
    ) -> Answer:
        """A real server does so for Leases: a PUT computed from one that is gone makes it anew."""
        obj["metadata"].pop("resourceVersion", None)
        created = self.store.create(resource, target.namespace, obj, dry_run=call.dry_run)
        return self._object(resource, call, created, 201)

    def _patch(self, resource: Resource, call: Call, target: Target) -> Answer:
        apply, body = patch_of(resource, call), call.decoded(tuple(PATCHES))
        warnings: list[str] = []

        def change(old: Object) -> Object:
            new, found = patched(resource, call, apply(old, body))
            warnings.extend(found)
            return new

        written = self._write(resource, call, target, change)
        return self._object(resource, call, written, warnings=warnings)

    def _write(
        self, resource: Resource, call: Call, target: Target, change: Callable[[Object], Object]
    ) -> Object:
        subresource = "status" if target.subresource == "status" else ""
        place = _place(resource, target)
        return self.store.update(resource, *place, change, subresource, dry_run=call.dry_run)

    def _write_scale(self, resource: Resource, call: Call, target: Target) -> Answer:
        if target.verb == "patch":
            apply, body = patch_of(resource, call), call.decoded(tuple(PATCHES))
        else:
            apply, body = _replaced, call.decoded(BODY_TYPES)

        def change(obj: Object) -> Object:
            return scaled(resource, obj, lambda scale: apply(scale, body))

        return Answer(scale_of(resource, self._write(resource, call, target, change)))

    def _delete(self, resource: Resource, call: Call, target: Target) -> Answer:
        options, place = delete_options(call), _place(resource, target)
        obj = self.store.delete(resource, *place, options, dry_run=_dry_run(options))
        if resource.returns_deleted or self.store.find(resource, *place) is not None:
            return self._object(resource, call, obj)
        details = {
            "name": target.name,
            "group": resource.group,
            "kind": resource.plural,
            "uid": obj["metadata"]["uid"],
        }
        status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
        return Answer({**status, "details": details})

    def _delete_collection(self, resource: Resource, call: Call, target: Target) -> Answer:
        options = delete_options(call)
        found = self.store.list(resource, target.namespace, matcher(resource, call))
        for obj in found:
            place = (obj["metadata"].get("namespace", ""), obj["metadata"]["name"])
            self.store.delete(resource, *place, options, dry_run=_dry_run(options))
        page = Page(found, {"resourceVersion": str(self.store.version)})
        return Answer(list_object(resource, page))

    # -- forms ----------------------------------------------------------------------------------

    def _object(
        self,
        resource: Resource,
        call: Call,
        obj: Object,
        code: int = 200,
        warnings: Sequence[str] = (),
    ) -> Answer:
        headers = tuple(("Warning", f'299 - "{_escaped(text)}"') for text in warnings)
        if _wants_table(call):
            meta = {"resourceVersion": obj["metadata"].get("resourceVersion", "")}
            obj = self._table(resource, call, [obj], meta)
        return Answer(obj, code, headers=headers)

    def _table(self, resource: Resource, call: Call, objects: list[Object], meta: Object) -> Object:
        include = call.query.get("includeObject") or "Metadata"
        return table(resource, objects, meta, self.store.now(), include)

    def _row(self, resource: Resource, call: Call) -> Render:
        def render(kind: str, obj: Object) -> bytes:
            meta = {"resourceVersion": obj["metadata"]["resourceVersion"]}
            return event_line(kind, self._table(resource, call, [obj], meta))

        return render


def _place(resource: Resource, target: Target) -> tuple[str, str]:
    """Where the store keeps it. A namespace's own path carries its name as its namespace, too."""
    return (target.namespace if resource.namespaced else "", target.name)


def _check_place(resource: Resource, target: Target) -> None:
    """404 for a path that the resource does not have, 405 for what only a real kubelet can do."""
    if resource == PODS and target.subresource in INTERACTIVE:
        raise ApiError(
            405,
            "MethodNotAllowed",
            f"{target.subresource} is not supported by the local server: "
            "a pod is a process on this machine",
        )
    if target.subresource and target.subresource not in resource.subresources:
        raise no_such_path()
    if resource.namespaced and target.name and not target.namespace and not _many(target):
        raise no_such_path()


def _many(target: Target) -> bool:
    return target.verb in ("list", "watch", "deletecollection")


def _dry_run(options: Object) -> bool:
    return options.get("dryRun") == ["All"]


def _not_allowed() -> ApiError:
    message = "the server does not allow this method on the requested resource"
    return ApiError(405, "MethodNotAllowed", message)


def _wants_table(call: Call) -> bool:
    return "as=Table" in call.accept


def _replaced(old: Object, new: Any) -> Any:
    return new


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
