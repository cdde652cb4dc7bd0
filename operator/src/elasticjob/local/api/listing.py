"""Lists: selection, pages, and the versions that can be listed."""

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
from elasticjob.local.api.query import parse_int
from elasticjob.local.api.watch import LIST_OPTIONS

MAX_UNFINISHED_LISTS = 64
"""Number of unfinished paged lists that are kept. Older ones get 410, as after a compaction."""


@dataclass(frozen=True)
class Page:
    """One page of a list, and the metadata of the list."""

    objects: list[Object]
    meta: Object


class Listing:
    """Lists of a store in pages; later pages show the state at the time of the first page."""

    def __init__(
        self, store: Store, new_token: Callable[[], str] = lambda: secrets.token_urlsafe(9)
    ) -> None:
        self._store = store
        self._new_token = new_token
        self._remainders: OrderedDict[str, tuple[list[Object], str]] = OrderedDict()

    def page(self, resource: Resource, namespace: str, call: Call) -> Page:
        """The page that the parameters `limit` and `continue` request."""
        self._check_version(resource, call)
        token = call.query.get("continue", "")
        if not token:
            match = matcher(resource, call)
            objects = self._store.list(resource, namespace, match)
            version = str(self._store.version)
        elif token in self._remainders:
            objects, version = self._remainders[token]
        else:
            raise expired("The provided continue parameter is too old")
        limit = parse_int(call.query, "limit")
        meta: Object = {"resourceVersion": version}
        if limit and len(objects) > limit:
            meta["continue"] = self._save_remainder(objects[limit:], version)
            meta["remainingItemCount"] = len(objects) - limit
            objects = objects[:limit]
        return Page(objects, meta)

    def _save_remainder(self, remainder: list[Object], version: str) -> str:
        token = self._new_token()
        self._remainders[token] = (remainder, version)
        while len(self._remainders) > MAX_UNFINISHED_LISTS:
            self._remainders.popitem(last=False)
        return token

    def _check_version(self, resource: Resource, call: Call) -> None:
        """Raise an error for a version other than the current state, which alone can be listed."""
        match = call.query.get("resourceVersionMatch", "")
        if "sendInitialEvents" in call.query:
            message = "Forbidden: sendInitialEvents is forbidden for list"
            raise invalid(LIST_OPTIONS, "", [("sendInitialEvents", message)])
        if match and not call.query.get("resourceVersion"):
            message = "resourceVersionMatch is forbidden unless resourceVersion is provided"
            raise invalid(LIST_OPTIONS, "", [("resourceVersionMatch", f"Forbidden: {message}")])
        version = parse_int(call.query, "resourceVersion")
        if version > self._store.version:
            self._store.since(resource, version)
        if match == "Exact" and version != self._store.version:
            raise expired("The provided resource version is no longer kept by this server")


def matcher(resource: Resource, call: Call) -> selectors.Match:
    """The label selector and field selector of a request as one predicate."""
    by_label = selectors.labels(call.query.get("labelSelector", ""))
    by_field = selectors.fields(call.query.get("fieldSelector", ""), resource)
    return lambda obj: by_field(obj) and by_label(obj)


def list_object(resource: Resource, page: Page) -> Object:
    """The List object of a page. Items of built-in lists have no kind, as on a real server."""
    items = page.objects
    if not resource.is_custom:
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


def metadata_list(page: Page) -> Object:
    """The list of a page with the metadata of its objects only."""
    kind = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1"}
    return {
        "kind": "PartialObjectMetadataList",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": page.meta,
        "items": [{**kind, "metadata": obj["metadata"]} for obj in page.objects],
    }
