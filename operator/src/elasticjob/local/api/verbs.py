"""The verbs of a resource: get, list, watch, create, update, patch, delete, scale, log.

They are synchronous, so that a compare-and-swap is atomic: no other request runs between the read
and the write of an object.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

from elasticjob.local.api.bodies import check_options, decoded, delete_options, patch_of, patched
from elasticjob.local.api.call import BODY_TYPES, ONLY_METADATA, Call, Response, Stream, Target
from elasticjob.local.api.kinds.scale import scale_of, scaled
from elasticjob.local.api.listing import Listing, Page, list_object, matcher, metadata_list
from elasticjob.local.api.objects import errors
from elasticjob.local.api.objects.builtins import PODS
from elasticjob.local.api.objects.encoding import event_line
from elasticjob.local.api.objects.resource import Object, Resource
from elasticjob.local.api.objects.store import Store
from elasticjob.local.api.patches import PATCHES
from elasticjob.local.api.tables import table
from elasticjob.local.api.watch import Render, Watch, Watches, WatchOptions

INTERACTIVE = ("attach", "exec", "portforward", "proxy")

Verb = Callable[[Resource, Call, Target], Response | Stream]
LogSource = Callable[[Object, Call], AbstractContextManager[AsyncIterator[bytes]]]
"""Opens the log of a pod for a request. Raises ApiError if it is not available."""


class Verbs:
    """The verbs of all resources. `logs` is set by the kubelet, if there is one."""

    def __init__(self, store: Store, watches: Watches, *, watch_list: bool = True) -> None:
        self.store = store
        self.watches = watches
        self.logs: LogSource | None = None
        self._watch_list = watch_list
        self._listing = Listing(store)
        self._object_verbs: dict[str, Verb] = {
            "get": self._get,
            "list": self._list,
            "watch": self._watch,
            "create": self._create,
            "update": self._update,
            "patch": self._patch,
            "delete": self._delete,
            "deletecollection": self._delete_collection,
        }
        self._status_verbs: dict[str, Verb] = {
            "get": self._get,
            "update": self._update,
            "patch": self._patch,
        }
        self._subresources: dict[str, dict[str, Verb]] = {
            "": self._object_verbs,
            "status": self._status_verbs,
            "scale": {
                "get": self._get_scale,
                "update": self._write_scale,
                "patch": self._write_scale,
            },
            "log": {"get": self._log},
        }

    def perform(self, call: Call, target: Target) -> Response | Stream:
        """Perform a request. Raises ApiError."""
        resource = self.store.resources.get((target.group, target.plural))
        if resource is None or resource.version != target.version:
            raise errors.no_such_path()
        _check_path(resource, target)
        check_options(call)
        if not call.accepts_json and target.subresource != "log":
            raise errors.not_acceptable()
        verb = self._subresources[target.subresource].get(target.verb)
        if verb is None:
            raise _not_allowed()
        return verb(resource, call, target)

    # -- reads ----------------------------------------------------------------------------------

    def _get(self, resource: Resource, call: Call, target: Target) -> Response:
        obj = self.store.get(resource, *_key(resource, target))
        return self._object(resource, call, obj)

    def _list(self, resource: Resource, call: Call, target: Target) -> Response:
        page = self._listing.page(resource, target.namespace, call)
        if _accepts_table(call):
            return Response(self._table(resource, call, page.objects, page.meta))
        if ONLY_METADATA in call.accept:
            return Response(metadata_list(page))
        return Response(list_object(resource, page))

    def _watch(self, resource: Resource, call: Call, target: Target) -> Stream:
        options = WatchOptions.parse(target.namespace, call.query, watch_list=self._watch_list)
        render = self._row(resource, call) if _accepts_table(call) else None
        return Stream(Watch(self.watches, resource, options, render))

    def _log(self, resource: Resource, call: Call, target: Target) -> Stream:
        pod = self.store.get(resource, target.namespace, target.name)
        if self.logs is None:
            raise errors.no_such_path()
        return Stream(self.logs(pod, call), content_type="text/plain")

    def _get_scale(self, resource: Resource, call: Call, target: Target) -> Response:
        obj = self.store.get(resource, *_key(resource, target))
        return Response(scale_of(resource, obj))

    # -- writes ---------------------------------------------------------------------------------

    def _create(self, resource: Resource, call: Call, target: Target) -> Response:
        if target.name or (resource.namespaced and not target.namespace):
            raise _not_allowed()
        obj, warnings = decoded(resource, call, call.decode_body())
        created = self.store.create(resource, target.namespace, obj, dry_run=call.is_dry_run)
        return self._object(resource, call, created, 201, warnings)

    def _update(self, resource: Resource, call: Call, target: Target) -> Response:
        obj, warnings = decoded(resource, call, call.decode_body())
        meta = obj["metadata"]
        if meta.get("name") != target.name:
            raise errors.bad_request(
                f"the name of the object ({meta.get('name', '')}) "
                f"does not match the name on the URL ({target.name})"
            )
        old = self.store.find(resource, *_key(resource, target))
        if old is None and not resource.create_on_update:
            raise errors.not_found(resource, target.name)
        found = "" if old is None else old["metadata"]["uid"]
        if meta.get("uid") not in (None, "", found):
            raise errors.precondition(resource, target.name, "UID", meta["uid"], found)
        if old is None:
            return self._create_by_update(resource, call, target, obj)
        if not resource.unconditional_update and not meta.get("resourceVersion"):
            message = "Invalid value: 0: must be specified for an update"
            raise errors.invalid(resource, target.name, [("metadata.resourceVersion", message)])
        written = self._write(resource, call, target, lambda _: obj)
        return self._object(resource, call, written, warnings=warnings)

    def _create_by_update(
        self, resource: Resource, call: Call, target: Target, obj: Object
    ) -> Response:
        """Create an object by PUT. A real server creates a deleted Lease again in this way."""
        obj["metadata"].pop("resourceVersion", None)
        created = self.store.create(resource, target.namespace, obj, dry_run=call.is_dry_run)
        return self._object(resource, call, created, 201)

    def _patch(self, resource: Resource, call: Call, target: Target) -> Response:
        apply, body = patch_of(resource, call), call.decode_body(tuple(PATCHES))
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
        key = _key(resource, target)
        return self.store.update(resource, *key, change, subresource, dry_run=call.is_dry_run)

    def _write_scale(self, resource: Resource, call: Call, target: Target) -> Response:
        if target.verb == "patch":
            apply, body = patch_of(resource, call), call.decode_body(tuple(PATCHES))
        else:
            apply, body = _replaced, call.decode_body(BODY_TYPES)

        def change(obj: Object) -> Object:
            return scaled(resource, obj, lambda scale: apply(scale, body))

        return Response(scale_of(resource, self._write(resource, call, target, change)))

    def _delete(self, resource: Resource, call: Call, target: Target) -> Response:
        options, key = delete_options(call), _key(resource, target)
        obj = self.store.delete(resource, *key, options, dry_run=_dry_run(options))
        if resource.returns_deleted or self.store.find(resource, *key) is not None:
            return self._object(resource, call, obj)
        details = {
            "name": target.name,
            "group": resource.group,
            "kind": resource.plural,
            "uid": obj["metadata"]["uid"],
        }
        status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
        return Response({**status, "details": details})

    def _delete_collection(self, resource: Resource, call: Call, target: Target) -> Response:
        options = delete_options(call)
        found = self.store.list(resource, target.namespace, matcher(resource, call))
        for obj in found:
            key = (obj["metadata"].get("namespace", ""), obj["metadata"]["name"])
            self.store.delete(resource, *key, options, dry_run=_dry_run(options))
        page = Page(found, {"resourceVersion": str(self.store.version)})
        return Response(list_object(resource, page))

    # -- responses ------------------------------------------------------------------------------

    def _object(
        self,
        resource: Resource,
        call: Call,
        obj: Object,
        code: int = 200,
        warnings: Sequence[str] = (),
    ) -> Response:
        headers = tuple(("Warning", f'299 - "{_escaped(text)}"') for text in warnings)
        if _accepts_table(call):
            meta = {"resourceVersion": obj["metadata"].get("resourceVersion", "")}
            obj = self._table(resource, call, [obj], meta)
        return Response(obj, code, headers=headers)

    def _table(self, resource: Resource, call: Call, objects: list[Object], meta: Object) -> Object:
        include = call.query.get("includeObject") or "Metadata"
        return table(resource, objects, meta, self.store.now(), include)

    def _row(self, resource: Resource, call: Call) -> Render:
        def render(kind: str, obj: Object) -> bytes:
            meta = {"resourceVersion": obj["metadata"]["resourceVersion"]}
            return event_line(kind, self._table(resource, call, [obj], meta))

        return render


def _key(resource: Resource, target: Target) -> tuple[str, str]:
    """Namespace and name in the store. The path of a Namespace has its name as namespace, too."""
    return (target.namespace if resource.namespaced else "", target.name)


def _check_path(resource: Resource, target: Target) -> None:
    """Raise 404 for a path that the resource lacks, 405 for what needs a real kubelet."""
    if resource == PODS and target.subresource in INTERACTIVE:
        raise errors.ApiError(
            405,
            "MethodNotAllowed",
            f"{target.subresource} is not supported by the local server: "
            "a pod is a process on this machine",
        )
    if target.subresource and target.subresource not in resource.subresources:
        raise errors.no_such_path()
    if resource.namespaced and target.name and not target.namespace and not _is_collection(target):
        raise errors.no_such_path()


def _is_collection(target: Target) -> bool:
    return target.verb in ("list", "watch", "deletecollection")


def _dry_run(options: Object) -> bool:
    return options.get("dryRun") == ["All"]


def _not_allowed() -> errors.ApiError:
    message = "the server does not allow this method on the requested resource"
    return errors.ApiError(405, "MethodNotAllowed", message)


def _accepts_table(call: Call) -> bool:
    return "as=Table" in call.accept


def _replaced(old: Object, new: Any) -> Any:
    return new


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
