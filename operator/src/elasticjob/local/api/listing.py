"""Lists: selection, pages, and which versions can be listed."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from elasticjob.local.api.call import Call
from elasticjob.local.api.objects import selectors
from elasticjob.local.api.objects.errors import expired, invalid
from elasticjob.local.api.objects.resource import Object, Resource
from elasticjob.local.api.objects.store import Store
from elasticjob.local.api.query import number
from elasticjob.local.api.watch import LIST_OPTIONS

UNFINISHED_LISTS = 64
"""Paged lists whose rest is kept; an older one is answered 410, as when etcd has compacted."""


@dataclass(frozen=True)
class Page:
    """Some objects, and the metadata of the list that they are part of."""

    objects: list[Object]
    meta: Object


class Listing:
    """Lists a store in pages; the rest of a list stays as it was when it began."""

    def __init__(
        self, store: Store, new_token: Callable[[], str] = lambda: secrets.token_urlsafe(9)
    ) -> None:
        self._store = store
        self._new_token = new_token
        self._rests: OrderedDict[str, tuple[list[Object], str]] = OrderedDict()

    def page(self, resource: Resource, namespace: str, call: Call) -> Page:
        """The page that a call asks for by `limit` and `continue`."""
        self._check_version(resource, call)
        token = call.query.get("continue", "")
        if not token:
            match = matcher(resource, call)
            objects = self._store.list(resource, namespace, match)
            version = str(self._store.version)
        elif token in self._rests:
            objects, version = self._rests[token]
        else:
            raise expired("The provided continue parameter is too old")
        limit = number(call.query, "limit")
        meta: Object = {"resourceVersion": version}
        if limit and len(objects) > limit:
            meta["continue"] = self._keep(objects[limit:], version)
            meta["remainingItemCount"] = len(objects) - limit
            objects = objects[:limit]
        return Page(objects, meta)

    def _keep(self, rest: list[Object], version: str) -> str:
        token = self._new_token()
        self._rests[token] = (rest, version)
        while len(self._rests) > UNFINISHED_LISTS:
            self._rests.popitem(last=False)
        return token

    def _check_version(self, resource: Resource, call: Call) -> None:
        """The present state is what there is: good for any version but a future or an exact one."""
        match = call.query.get("resourceVersionMatch", "")
        if "sendInitialEvents" in call.query:
            message = "Forbidden: sendInitialEvents is forbidden for list"
            raise invalid(LIST_OPTIONS, "", [("sendInitialEvents", message)])
        if match and not call.query.get("resourceVersion"):
            wish = "resourceVersionMatch is forbidden unless resourceVersion is provided"
            raise invalid(LIST_OPTIONS, "", [("resourceVersionMatch", f"Forbidden: {wish}")])
        version = number(call.query, "resourceVersion")
        if version > self._store.version:
            self._store.since(resource, version)
        if match == "Exact" and version != self._store.version:
            raise expired("The provided resource version is no longer kept by this server")


def matcher(resource: Resource, call: Call) -> selectors.Match:
    """The two selectors of a call as one."""
    by_label = selectors.labels(call.query.get("labelSelector", ""))
    by_field = selectors.fields(call.query.get("fieldSelector", ""), resource)
    return lambda obj: by_field(obj) and by_label(obj)


def list_object(resource: Resource, page: Page) -> Object:
    """The List that answers; items of built-in lists carry no kind, as on a real server."""
    items = page.objects
    if not resource.custom:
        items = [
            {name: value for name, value in obj.items() if name not in ("kind", "apiVersion")}
            for obj in items
        ]
    return {
        "kind": f"{resource.kind}List",
        "apiVersion": resource.api_version,
        "metadata": page.meta,
        "items": items,
    }
