"""The operator's API interface on the store of the local mode, without sockets.

The store detects conflicts and applies the status subresource, the CRD's schema and grace periods,
so tests of a reconcile need no server.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from elasticjob.controller import kube
from elasticjob.controller.kube import Page, Resource
from elasticjob.controller.observe.key import Key
from elasticjob.controller.watch.cache import Cache
from elasticjob.local.api.kinds import jobs
from elasticjob.local.api.objects import selectors
from elasticjob.local.api.objects.errors import ApiError
from elasticjob.local.api.objects.resource import Resource as Stored
from elasticjob.local.api.objects.store import Store, clone
from elasticjob.local.api.patches import merge
from elasticjob.local.api.server import new_store, preload
from elasticjob.wire.codec import Json

Refuse = Callable[[str], Exception | None]


@dataclass(frozen=True)
class Call:
    """One request."""

    verb: str
    plural: str
    what: str  # the name of the object, or the selector of a list

    def __str__(self) -> str:
        return f"{self.verb} {self.plural} {self.what}".strip()


@cache
def _definitions() -> Sequence[Json]:
    """The same for all stores: to make a copy takes as long as the rest of a store."""
    return jobs.definitions()


def store() -> Store:
    """A store with the definition of ElasticJob and its admission, and the namespace `team`."""
    made = new_store("CA", jobs.admission())
    preload(made, _definitions())
    made.create(made.resources["", "namespaces"], "", {"metadata": {"name": "team"}})
    return made


def take_list(cache: Cache, resource: Resource, bodies: Iterable[Json], version: str) -> set[Key]:
    """Let the cache take in a whole collection, which the API server sent in pages of one object.
    Returns the keys that this changed."""
    listing = cache.listing(resource)
    for body in bodies:
        listing.add([body])
    return listing.end(version)


class StoreApi:
    """kube.Api on a store."""

    def __init__(self, store_: Store) -> None:
        self.store = store_
        self.calls: list[Call] = []
        # By (verb, plural): an error to raise, or a function from the name to an error or None.
        self.refuse: dict[tuple[str, str], Exception | Refuse] = {}
        # (verb, plural) of the next requests that the store performs, and whose answers are lost.
        self.lose: list[tuple[str, str]] = []

    @property
    def writes(self) -> list[str]:
        """All requests except reads and those for events."""
        calls = (c for c in self.calls if c.verb not in ("get", "list") and c.plural != "events")
        return [str(call) for call in calls]

    async def get(self, resource: Resource, namespace: str, name: str) -> Json:
        return self._do("get", resource, name, lambda s: self.store.get(s, namespace, name))

    async def list(
        self,
        resource: Resource,
        namespace: str,
        selector: str = "",
        metadata: bool = False,
        fields: str = "",
    ) -> AsyncIterator[Page]:
        by_label = selectors.labels(selector)
        by_field = selectors.fields(fields, self.stored(resource))
        match = lambda body: by_label(body) and by_field(body)  # noqa: E731
        what = selector or fields
        found = self._do("list", resource, what, lambda s: self.store.list(s, namespace, match))
        yield Page(found, str(self.store.version))

    async def create(self, resource: Resource, namespace: str, body: Json) -> Json:
        name = body["metadata"]["name"]
        return self._do("create", resource, name, lambda s: self.store.create(s, namespace, body))

    async def patch(
        self, resource: Resource, namespace: str, name: str, body: Json, subresource: str = ""
    ) -> Json:
        what = f"{name}/{subresource}" if subresource else name
        return self._do(
            "patch",
            resource,
            what,
            lambda s: self.store.update(
                s, namespace, name, lambda old: merge(old, body), subresource
            ),
        )

    async def delete(self, resource: Resource, namespace: str, name: str, uid: str) -> None:
        options = {"preconditions": {"uid": uid}}
        self._do("delete", resource, name, lambda s: self.store.delete(s, namespace, name, options))

    def stored(self, resource: Resource) -> Stored:
        """The resource in the terms of the store."""
        return self.store.resources[resource.group, resource.plural]

    def _do(self, verb: str, resource: Resource, what: str, ask: Any) -> Any:
        self.calls.append(Call(verb, resource.plural, what))
        found = self.refuse.get((verb, resource.plural))
        if error := found(what) if callable(found) else found:
            raise error
        try:
            answer = clone(ask(self.stored(resource)))
        except ApiError as error:
            raise kube.error_of(error.code, error.reason, error.message) from error
        if (verb, resource.plural) in self.lose:
            self.lose.remove((verb, resource.plural))
            raise kube.UnavailableError("connection reset by peer")
        return answer
