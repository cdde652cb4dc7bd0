"""Watches: from a version or from the present state, live, with bookmarks, bounded.

An event is encoded once, however many watch it. A watcher by name is filed under that name, so that
a thousand agents, each with its own watch, cost nothing to each other.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass
from types import TracebackType

from elasticjob.local.api.objects import selectors
from elasticjob.local.api.objects.builtins import CRDS
from elasticjob.local.api.objects.encoding import event_line
from elasticjob.local.api.objects.errors import ApiError, Violation, expired, invalid
from elasticjob.local.api.objects.resource import Key, Object, Resource
from elasticjob.local.api.objects.store import Event, Store
from elasticjob.local.api.query import number, truth

BOOKMARK_EVERY_S = 60
BOOKMARK_BEFORE_END_S = 2
SLOW_WATCHER = 8192
"""Undelivered events after which a watcher is cut: its client has stopped reading."""
LIST_OPTIONS = Resource("meta.k8s.io", "v1", "listoptions", "ListOptions")
INITIAL_EVENTS_END = {"k8s.io/initial-events-end": "true"}

Render = Callable[[str, Object], bytes]
"""(type, object) to the line of an event, for a client that wants another form than the object."""


@dataclass(frozen=True)
class WatchOptions:
    """What a client asks of a watch."""

    namespace: str = ""
    label_selector: str = ""
    field_selector: str = ""
    version: int = 0
    """Send what is after this version; 0: the present state first, as ADDED events."""
    initial_events: bool = False
    """The present state first, not older than `version`, and a bookmark at its end."""
    bookmarks: bool = False
    timeout_s: float | None = None

    @classmethod
    def parse(cls, namespace: str, query: Mapping[str, str], *, watch_list: bool) -> WatchOptions:
        """From a query; 422 in a real server's words for what does not go together."""
        faults = _faults(query, watch_list)
        if faults:
            raise invalid(LIST_OPTIONS, "", faults)
        return cls(
            namespace=namespace,
            label_selector=query.get("labelSelector", ""),
            field_selector=query.get("fieldSelector", ""),
            version=number(query, "resourceVersion"),
            initial_events=truth(query.get("sendInitialEvents")),
            bookmarks=truth(query.get("allowWatchBookmarks")),
            timeout_s=number(query, "timeoutSeconds") or None,
        )


class Watches:
    """All watches of the server, fed by the store."""

    def __init__(
        self,
        store: Store,
        *,
        bookmark_every_s: float = BOOKMARK_EVERY_S,
        rng: random.Random | None = None,
    ) -> None:
        self.store = store
        self.bookmark_every_s = bookmark_every_s
        self.rng = rng or random.Random()
        self._broad: dict[Key, set[Watch]] = {}
        self._named: dict[tuple[Key, str], set[Watch]] = {}
        store.listeners.append(self._on_event)

    def __len__(self) -> int:
        return sum(len(group) for group in [*self._broad.values(), *self._named.values()])

    def add(self, watch: Watch) -> None:
        """Feed a watch from now on."""
        self._group(watch).add(watch)

    def remove(self, watch: Watch) -> None:
        """Feed it no longer."""
        self._group(watch).discard(watch)
        if watch.name is not None and not self._group(watch):
            del self._named[watch.resource.key, watch.name]

    def _group(self, watch: Watch) -> set[Watch]:
        if watch.name is None:
            return self._broad.setdefault(watch.resource.key, set())
        return self._named.setdefault((watch.resource.key, watch.name), set())

    def _on_event(self, resource: Resource, event: Event) -> None:
        name = event.object["metadata"]["name"]
        for group in (self._broad.get(resource.key), self._named.get((resource.key, name))):
            for watch in group or ():
                watch.push(event)
        if resource == CRDS and event.type == "DELETED":
            self._end_watches_of(event.object["spec"])

    def _end_watches_of(self, spec: Object) -> None:
        """A resource whose definition is gone is watched no longer, as on a real server."""
        key = (spec["group"], spec["names"]["plural"])
        named = [group for (of, _), group in self._named.items() if of == key]
        for group in (self._broad.get(key, ()), *named):
            for watch in group:
                watch.end()


class Watch:
    """One client's watch, fed while its context lasts; the context gives the lines to send."""

    def __init__(
        self,
        watches: Watches,
        resource: Resource,
        options: WatchOptions,
        render: Render | None = None,
    ) -> None:
        self.resource = resource
        self.name = selectors.exact_name(options.field_selector)
        self._watches = watches
        self._store = watches.store
        self._options = options
        self._render = render
        self._labels = selectors.labels(options.label_selector)
        self._fields = selectors.fields(options.field_selector, resource)
        self._queue: deque[bytes] = deque()
        self._wake = asyncio.Event()
        self._last_words: bytes | None = None
        self._over = False

    def __enter__(self) -> AsyncGenerator[bytes, None]:
        first = self._first()
        self._watches.add(self)
        return self._lines(first)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._watches.remove(self)

    def push(self, event: Event) -> None:
        """Queue an event as this watch sees it: objects enter and leave a selector's view."""
        line = self._seen(event)
        if line is None:
            return
        if len(self._queue) < SLOW_WATCHER:
            self._queue.append(line)
        else:
            self._end(expired("too old resource version: the watcher was too slow"))
        self._wake.set()

    def end(self) -> None:
        """Send what is queued, and nothing after it."""
        self._over = True
        self._wake.set()

    def _end(self, error: ApiError) -> None:
        self._last_words = event_line("ERROR", error.status())

    def _seen(self, event: Event) -> bytes | None:
        is_in = event.type != "DELETED" and self._match(event.object)
        was_in = event.old is not None and self._match(event.old)
        if is_in:
            if was_in or event.type == "ADDED":
                return self._line(event)
            return self._encode("ADDED", event.object)
        if not was_in:
            return None
        if event.type == "DELETED":
            return self._line(event)
        return self._encode("DELETED", _at_version(event))

    def _match(self, obj: Object) -> bool:
        namespace = self._options.namespace
        if namespace and obj["metadata"].get("namespace") != namespace:
            return False
        return self._fields(obj) and self._labels(obj)

    def _first(self) -> list[bytes]:
        """What is sent before anything new; a version that cannot be served ends the watch."""
        version = self._options.version
        try:
            if version > self._store.version or (version and not self._options.initial_events):
                missed = self._store.since(self.resource, version)
                return [line for line in map(self._seen, missed) if line is not None]
        except ApiError as error:
            self._end(error)
            return []
        return self._present()

    def _present(self) -> list[bytes]:
        options = self._options
        found = self._store.list(self.resource, options.namespace, self._match)
        lines = [self._encode("ADDED", obj) for obj in found]
        if options.initial_events and options.bookmarks:
            lines.append(self._bookmark(INITIAL_EVENTS_END))
        return lines

    async def _lines(self, first: list[bytes]) -> AsyncGenerator[bytes, None]:
        """The stream, in chunks of whole lines."""
        yield b"".join(first)
        loop = asyncio.get_running_loop()
        timeout_s = self._options.timeout_s or self._watches.rng.uniform(1800, 3600)
        end = loop.time() + timeout_s
        beat = self._next_bookmark(loop.time(), end)
        while self._last_words is None:
            if self._queue:
                yield self._taken()
            elif self._over or loop.time() >= end:
                return
            elif loop.time() < beat:
                await self._woken(min(end, beat))
            else:
                beat = self._next_bookmark(loop.time(), end)
                if self._options.bookmarks:
                    yield self._bookmark()
        yield self._last_words

    def _next_bookmark(self, now: float, end: float) -> float:
        """Every minute, and shortly before the end, so that the next watch starts from there."""
        regular, last = now + self._watches.bookmark_every_s, end - BOOKMARK_BEFORE_END_S
        return last if now < last < regular else regular

    def _taken(self) -> bytes:
        chunk = b"".join(self._queue)
        self._queue.clear()
        return chunk

    async def _woken(self, until: float) -> None:
        self._wake.clear()
        timer = asyncio.get_running_loop().call_at(until, self._wake.set)
        try:
            await self._wake.wait()
        finally:
            timer.cancel()

    def _line(self, event: Event) -> bytes:
        return event.line if self._render is None else self._render(event.type, event.object)

    def _encode(self, kind: str, obj: Object) -> bytes:
        return (self._render or event_line)(kind, obj)

    def _bookmark(self, annotations: Mapping[str, str] | None = None) -> bytes:
        meta: Object = {"resourceVersion": str(self._store.version), "creationTimestamp": None}
        if annotations:
            meta["annotations"] = dict(annotations)
        resource = self.resource
        obj = {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": meta}
        return event_line("BOOKMARK", obj)


def _at_version(event: Event) -> Object:
    """The old object with the version of the change that took it out of view."""
    old = event.old or event.object
    return {**old, "metadata": {**old["metadata"], "resourceVersion": str(event.version)}}


def _faults(query: Mapping[str, str], watch_list: bool) -> list[Violation]:
    initial, match = query.get("sendInitialEvents"), query.get("resourceVersionMatch", "")
    faults = []
    if initial is not None:
        if match != "NotOlderThan":
            wish = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
            faults.append(("resourceVersionMatch", f"Forbidden: {wish}"))
        if not watch_list:
            wish = (
                "sendInitialEvents is forbidden for watch "
                "unless the WatchList feature gate is enabled"
            )
            faults.append(("sendInitialEvents", f"Forbidden: {wish}"))
    elif match:
        wish = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
        faults.append(("resourceVersionMatch", f"Forbidden: {wish}"))
    return faults
