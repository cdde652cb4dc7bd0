"""Watches from a version or from the current state, with bookmarks and a bounded queue.

An event is encoded once for all watches. A watch of one object is indexed by the object's name, so
that the cost of an event does not grow with the number of agents, each of which watches one object.
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
from elasticjob.local.api.query import parse_bool, parse_int

BOOKMARK_EVERY_S = 60
BOOKMARK_BEFORE_END_S = 2
MAX_QUEUED_EVENTS = 8192
"""Number of queued events at which a watch ends because its client does not read."""
LIST_OPTIONS = Resource("meta.k8s.io", "v1", "listoptions", "ListOptions")
INITIAL_EVENTS_END = {"k8s.io/initial-events-end": "true"}

Render = Callable[[str, Object], bytes]
"""Encodes an event, given as (type, object), for a client that requests another form."""


@dataclass(frozen=True)
class WatchOptions:
    """The options of a watch."""

    namespace: str = ""
    label_selector: str = ""
    field_selector: str = ""
    version: int = 0  # send later changes; 0: send the current state first, as ADDED events
    initial_events: bool = False  # send the current state first, followed by a bookmark
    bookmarks: bool = False
    timeout_s: float | None = None

    @classmethod
    def parse(cls, namespace: str, query: Mapping[str, str], *, watch_list: bool) -> WatchOptions:
        """Parse a query. Raises 422 if its parameters contradict each other."""
        violations = _violations(query, watch_list)
        if violations:
            raise invalid(LIST_OPTIONS, "", violations)
        return cls(
            namespace=namespace,
            label_selector=query.get("labelSelector", ""),
            field_selector=query.get("fieldSelector", ""),
            version=parse_int(query, "resourceVersion"),
            initial_events=parse_bool(query.get("sendInitialEvents")),
            bookmarks=parse_bool(query.get("allowWatchBookmarks")),
            timeout_s=parse_int(query, "timeoutSeconds") or None,
        )


class Watches:
    """All watches of the server. The store sends its events to them."""

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
        self._by_resource: dict[Key, set[Watch]] = {}
        self._by_name: dict[tuple[Key, str], set[Watch]] = {}
        store.listeners.append(self._on_event)

    def __len__(self) -> int:
        return sum(len(group) for group in [*self._by_resource.values(), *self._by_name.values()])

    def add(self, watch: Watch) -> None:
        """Start sending events to a watch."""
        self._group(watch).add(watch)

    def remove(self, watch: Watch) -> None:
        """Stop sending events to a watch."""
        self._group(watch).discard(watch)
        if watch.name is not None and not self._group(watch):
            del self._by_name[watch.resource.key, watch.name]

    def _group(self, watch: Watch) -> set[Watch]:
        if watch.name is None:
            return self._by_resource.setdefault(watch.resource.key, set())
        return self._by_name.setdefault((watch.resource.key, watch.name), set())

    def _on_event(self, resource: Resource, event: Event) -> None:
        name = event.object["metadata"]["name"]
        for group in (self._by_resource.get(resource.key), self._by_name.get((resource.key, name))):
            for watch in group or ():
                watch.push(event)
        if resource == CRDS and event.type == "DELETED":
            self._end_watches_of(event.object["spec"])

    def _end_watches_of(self, spec: Object) -> None:
        """End the watches of a resource whose definition was deleted, as a real server does."""
        key = (spec["group"], spec["names"]["plural"])
        named = [group for (of, _), group in self._by_name.items() if of == key]
        for group in (self._by_resource.get(key, ()), *named):
            for watch in group:
                watch.end()


class Watch:
    """The watch of one client. Its context yields the lines to send."""

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
        self._final_line: bytes | None = None
        self._is_ended = False

    def __enter__(self) -> AsyncGenerator[bytes, None]:
        initial = self._initial_lines()
        self._watches.add(self)
        return self._lines(initial)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._watches.remove(self)

    def push(self, event: Event) -> None:
        """Queue an event: ADDED or DELETED if the object starts or stops to match the selectors."""
        line = self._line_of(event)
        if line is None:
            return
        if len(self._queue) < MAX_QUEUED_EVENTS:
            self._queue.append(line)
        else:
            self._end_with(expired("too old resource version: the watcher was too slow"))
        self._wake.set()

    def end(self) -> None:
        """End the watch after the queued events are sent."""
        self._is_ended = True
        self._wake.set()

    def _end_with(self, error: ApiError) -> None:
        self._final_line = event_line("ERROR", error.status())

    def _line_of(self, event: Event) -> bytes | None:
        is_in = event.type != "DELETED" and self._match(event.object)
        was_in = event.old is not None and self._match(event.old)
        if is_in:
            if was_in or event.type == "ADDED":
                return self._encode_event(event)
            return self._encode("ADDED", event.object)
        if not was_in:
            return None
        if event.type == "DELETED":
            return self._encode_event(event)
        return self._encode("DELETED", _at_version(event))

    def _match(self, obj: Object) -> bool:
        namespace = self._options.namespace
        if namespace and obj["metadata"].get("namespace") != namespace:
            return False
        return self._fields(obj) and self._labels(obj)

    def _initial_lines(self) -> list[bytes]:
        """The lines to send before new events. A version that is not available ends the watch."""
        version = self._options.version
        try:
            if version > self._store.version or (version and not self._options.initial_events):
                missed = self._store.since(self.resource, version)
                return [line for line in map(self._line_of, missed) if line is not None]
        except ApiError as error:
            self._end_with(error)
            return []
        return self._current_state()

    def _current_state(self) -> list[bytes]:
        options = self._options
        found = self._store.list(self.resource, options.namespace, self._match)
        lines = [self._encode("ADDED", obj) for obj in found]
        if options.initial_events and options.bookmarks:
            lines.append(self._bookmark(INITIAL_EVENTS_END))
        return lines

    async def _lines(self, initial: list[bytes]) -> AsyncGenerator[bytes, None]:
        """The stream, in chunks of whole lines."""
        yield b"".join(initial)
        loop = asyncio.get_running_loop()
        timeout_s = self._options.timeout_s or self._watches.rng.uniform(1800, 3600)
        end_at = loop.time() + timeout_s
        bookmark_at = self._next_bookmark(loop.time(), end_at)
        while self._final_line is None:
            if self._queue:
                yield self._take_queued()
            elif self._is_ended or loop.time() >= end_at:
                return
            elif loop.time() < bookmark_at:
                await self._wait_until(min(end_at, bookmark_at))
            else:
                bookmark_at = self._next_bookmark(loop.time(), end_at)
                if self._options.bookmarks:
                    yield self._bookmark()
        yield self._final_line

    def _next_bookmark(self, now: float, end: float) -> float:
        """The time of the next bookmark: each minute, and shortly before the end of the watch."""
        regular, last = now + self._watches.bookmark_every_s, end - BOOKMARK_BEFORE_END_S
        return last if now < last < regular else regular

    def _take_queued(self) -> bytes:
        chunk = b"".join(self._queue)
        self._queue.clear()
        return chunk

    async def _wait_until(self, until: float) -> None:
        self._wake.clear()
        timer = asyncio.get_running_loop().call_at(until, self._wake.set)
        try:
            await self._wake.wait()
        finally:
            timer.cancel()

    def _encode_event(self, event: Event) -> bytes:
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
    """The old object with the version of the change since which it does not match."""
    old = event.old or event.object
    return {**old, "metadata": {**old["metadata"], "resourceVersion": str(event.version)}}


def _violations(query: Mapping[str, str], watch_list: bool) -> list[Violation]:
    initial, match = query.get("sendInitialEvents"), query.get("resourceVersionMatch", "")
    violations = []
    if initial is not None:
        if match != "NotOlderThan":
            message = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
            violations.append(("resourceVersionMatch", f"Forbidden: {message}"))
        if not watch_list:
            message = (
                "sendInitialEvents is forbidden for watch "
                "unless the WatchList feature gate is enabled"
            )
            violations.append(("sendInitialEvents", f"Forbidden: {message}"))
    elif match:
        message = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
        violations.append(("resourceVersionMatch", f"Forbidden: {message}"))
    return violations
