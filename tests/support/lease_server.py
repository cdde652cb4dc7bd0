"""An API server in memory that stores Leases and answers the requests of agents, without sockets.

It does what agents use of a kube-apiserver: reads, creations, merge patches that are a
compare-and-swap, lists, and watches that begin with initial events or resume after a version. The
caller decides when a request arrives and when the lines of a watch are delivered. Standard library
only, Python 3.9.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.support.merge_patch import merge

from elasticjob.agent.api.conversation import Open
from elasticjob.agent.api.messages import Request, Response
from elasticjob.wire import lease as leases
from elasticjob.wire import names
from elasticjob.wire.codec import Json

Piece = tuple[bytes, ...]
"""Lines of a watch that arrive together."""

INITIAL_END = {"k8s.io/initial-events-end": "true"}

HISTORY = 1024  # changes from which a watch can resume


class ApiError(Exception):
    """The server refuses a request."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Selection:
    """The Leases that a request selects. label: key and value. name: empty for a label."""

    name: str
    label: tuple[str, str]

    def matches(self, found: Json) -> bool:
        """Whether a Lease is selected."""
        meta = found["metadata"]
        if self.name:
            return bool(meta["name"] == self.name)
        return meta["labels"].get(self.label[0]) == self.label[1]


@dataclass(frozen=True)
class Change:
    """One change of a Lease. object: after a deletion, its last state with a new version."""

    kind: str
    object: Json
    version: int
    line: bytes


class Watcher:
    """An open watch. send: is called with each piece of its lines."""

    def __init__(self, selection: Selection, send: Callable[[Piece], None]) -> None:
        self.selection = selection
        self.send = send


class LeaseServer:
    """The Leases of a namespace. Stored objects are never changed in place."""

    def __init__(self, job: leases.JobIdentity) -> None:
        self.job = job
        self.version = 0
        self.objects: dict[str, Json] = {}
        self.bodies: dict[str, bytes] = {}  # the same, encoded
        self.changes: deque[Change] = deque(maxlen=HISTORY)
        self.oldest = 0  # a watch from before this version gets 410
        self.listeners: list[Callable[[Change], None]] = []
        self.watchers: list[Watcher] = []
        self.admit: Callable[[Json], None] = lambda made: None  # raises ApiError
        self._round: tuple[Json, leases.RoundLease] | None = None  # as stored, and what it means

    # ---- writes ----------------------------------------------------------------------------------

    def create(self, manifest: Json) -> Json:
        """Store a new Lease. Raises ApiError."""
        name = manifest["metadata"]["name"]
        if name in self.objects:
            raise ApiError(409, f"{name} already exists")
        meta = {**manifest["metadata"], "uid": f"uid-of-{name}-{self.version}"}
        return self.store("ADDED", {**manifest, "metadata": meta})

    def patch(self, name: str, change: Json) -> Json:
        """Apply a merge patch; with a resourceVersion it is a compare-and-swap. Raises ApiError."""
        if name not in self.objects:
            raise ApiError(404, f"{name} not found")
        stored = self.objects[name]
        expected = change["metadata"].get("resourceVersion")
        if expected not in (None, stored["metadata"]["resourceVersion"]):
            raise ApiError(409, "the object has been modified")
        return self.store("MODIFIED", merge(stored, change))

    def delete(self, name: str) -> None:
        """Delete a Lease, if it exists."""
        found = self.objects.pop(name, None)
        if found is not None:
            self.store("DELETED", found)

    def compact(self) -> None:
        """Drop the history, as etcd does every few minutes."""
        self.changes.clear()
        self.oldest = self.version

    def store(self, kind: str, made: Json) -> Json:
        """Store a version of a Lease, and report it. kind: ADDED, MODIFIED or DELETED."""
        meta = {**made["metadata"], "resourceVersion": str(self.version + 1)}
        made = {**made, "metadata": meta}
        self.admit(made)
        self.version += 1
        body = json.dumps(made).encode()
        if kind != "DELETED":
            self.objects[meta["name"]], self.bodies[meta["name"]] = made, body
        change = Change(kind, made, self.version, _line(kind, body))
        if len(self.changes) == HISTORY:
            self.oldest = self.changes[0].version
        self.changes.append(change)
        for listener in self.listeners:
            listener(change)
        for watcher in tuple(self.watchers):
            if watcher.selection.matches(made):
                watcher.send((change.line,))
        return made

    # ---- what is stored --------------------------------------------------------------------------

    def round(self) -> leases.RoundLease:
        """The Round Lease. It is read after each step of an agent, and few steps change it."""
        stored = self.objects[names.round_lease_name(self.job.name)]
        if self._round is None or self._round[0] is not stored:
            self._round = stored, leases.parse_round(stored)
        return self._round[1]

    def lease(self, name: str) -> leases.AgentLease | None:
        """An agent's Lease, or None."""
        found = self.objects.get(name)
        return leases.parse_agent(found, self.job) if found else None

    def leases(self) -> tuple[leases.AgentLease, ...]:
        """All agents' Leases."""
        round_name = names.round_lease_name(self.job.name)
        found = (self.lease(name) for name in sorted(self.objects) if name != round_name)
        return tuple(lease for lease in found if lease)

    # ---- requests --------------------------------------------------------------------------------

    def answer(self, request: Request) -> Response:
        """Perform a request that is no watch."""
        try:
            return self._perform(request)
        except ApiError as error:
            return refusal(error.status, str(error))

    def open(self, request: Open, send: Callable[[Piece], None]) -> tuple[Response, Watcher | None]:
        """Open a watch, which first sends its initial set or what it missed, in one piece."""
        _, query = _parsed(request.request.path)
        selection, since = _selection(query), query.get("resourceVersion")
        if since is not None and int(since) < self.oldest:
            return refusal(410, "too old resource version"), None
        if since is not None and int(since) > self.version:
            return too_large(since), None
        watcher = Watcher(selection, send)
        self.watchers.append(watcher)
        piece = self._initial(selection) if since is None else self._since(selection, int(since))
        if piece:
            send(piece)
        return Response(200), watcher

    def close(self, watcher: Watcher | None) -> None:
        """End a watch: it sends nothing more."""
        if watcher in self.watchers:
            self.watchers.remove(watcher)

    def _perform(self, request: Request) -> Response:
        name, query = _parsed(request.path)
        if request.method == "POST":
            made = self.create(json.loads(request.body))
            return Response(201, self.bodies[made["metadata"]["name"]])
        if request.method == "PATCH":
            self.patch(name, json.loads(request.body))
            return Response(200, self.bodies[name])
        if not name:
            found = [self.objects[key] for key in self._selected(_selection(query))]
            body = {"metadata": {"resourceVersion": str(self.version)}, "items": found}
            return Response(200, json.dumps(body).encode())
        if name not in self.objects:
            raise ApiError(404, f"{name} not found")
        return Response(200, self.bodies[name])

    def _selected(self, selection: Selection) -> list[str]:
        return [name for name in sorted(self.objects) if selection.matches(self.objects[name])]

    def _initial(self, selection: Selection) -> Piece:
        end = {"metadata": {"resourceVersion": str(self.version), "annotations": INITIAL_END}}
        lines = [_line("ADDED", self.bodies[name]) for name in self._selected(selection)]
        return (*lines, _line("BOOKMARK", json.dumps(end).encode()))

    def _since(self, selection: Selection, version: int) -> Piece:
        missed = [change for change in self.changes if change.version > version]
        return tuple(change.line for change in missed if selection.matches(change.object))


def refusal(status: int, message: str, retry_after_s: float | None = None) -> Response:
    """Return the response of a server that refuses a request."""
    body = {"kind": "Status", "code": status, "message": message}
    return Response(status, json.dumps(body).encode(), retry_after_s)


def too_large(version: str) -> Response:
    """Return the response of a server that has not received this version yet."""
    return refusal(504, f"Timeout: Too large resource version: {version}", retry_after_s=1.0)


def _line(kind: str, body: bytes) -> bytes:
    return b'{"type":"%s","object":%s}' % (kind.encode(), body)


@lru_cache(maxsize=1024)
def _parsed(path: str) -> tuple[str, dict[str, str]]:
    """The name in the path of a request, and its query."""
    parts = urlsplit(path)
    name = parts.path.partition("/leases")[2].lstrip("/")
    return name, {key: values[0] for key, values in parse_qs(parts.query).items()}


def _selection(query: dict[str, Any]) -> Selection:
    if "fieldSelector" in query:
        return Selection(query["fieldSelector"].partition("=")[2], ("", ""))
    key, _, value = query["labelSelector"].partition("=")
    return Selection("", (key, value))
