"""An API server that answers with given bytes: what no store of ours would hold."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any
from urllib.parse import urlsplit

import yaml

from elasticjob.controller.kube import Resource
from elasticjob.controller.watch.cache import WATCHED

EMPTY = b'{"metadata":{"resourceVersion":"1"},"items":[]}'


class RawApi(ThreadingHTTPServer):
    """lists, events: by plural; an event is a line of the first `times` watches, which then stay
    open, as all do."""

    daemon_threads = True

    def __init__(self, lists: Mapping[str, bytes], events: Mapping[str, bytes], times: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.lists = lists
        self.lines = {plural: [lines] * times for plural, lines in events.items()}
        self.over = Event()

    def kubeconfig(self, root: Path) -> Path:
        """How to reach it."""
        path = root / "kubeconfig"
        cluster = {"server": f"http://127.0.0.1:{self.server_port}"}
        found = {
            "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
            "clusters": [{"name": "k", "cluster": cluster}],
            "users": [{"name": "u", "user": {"token": "secret"}}],
        }
        path.write_text(yaml.safe_dump(found))
        return path

    def line(self, plural: str) -> bytes:
        """What the next watch sends."""
        left = self.lines.get(plural)
        return left.pop() if left else b""


class _Handler(BaseHTTPRequestHandler):
    server: RawApi

    def do_GET(self) -> None:
        where = urlsplit(self.path)
        plural = where.path.rpartition("/")[2]
        known = DISCOVERY.get(where.path)
        is_watch = "watch=true" in where.query
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        answer = json.dumps(known).encode() if known else self.server.lists.get(plural, EMPTY)
        with suppress(BrokenPipeError):  # the client has ended meanwhile
            self.wfile.write(self.server.line(plural) if is_watch else answer)
            self.wfile.flush()
        if is_watch:
            self.server.over.wait()

    def log_message(self, *args: Any) -> None:
        """Not to stderr."""


def _discovery() -> dict[str, Any]:
    groups = {resource.group: resource.version for resource in WATCHED if resource.group}
    found: dict[str, Any] = {"/api": {"versions": ["v1"]}, "/apis": {"groups": []}}
    for name, version in groups.items():
        group = {"name": name, "versions": [{"version": version}]}
        found["/apis"]["groups"].append({**group, "preferredVersion": {"version": version}})
    for resource in (*WATCHED, Resource("", "v1", "namespaces")):  # kopf waits for the last
        path = resource.path("").rpartition("/")[0]
        served = {"name": resource.plural, "kind": "K", "singularName": "", "namespaced": True}
        served["verbs"] = ["list", "watch", "patch"]
        found.setdefault(path, {"resources": []})["resources"].append(served)
    return found


DISCOVERY = _discovery()


@contextmanager
def raw_api(
    lists: Mapping[str, bytes], events: Mapping[str, bytes], times: int = 1
) -> Iterator[RawApi]:
    """The server while the context lasts."""
    with RawApi(lists, events, times) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.over.set()
            server.shutdown()
            thread.join()
