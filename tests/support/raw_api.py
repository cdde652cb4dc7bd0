"""An API server that serves given lists and watch events byte for byte, valid or not."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from tests.support.scripted_api import (
    Answer,
    ReceivedRequest,
    Reply,
    ScriptedApi,
    Stream,
    scripted_api,
)

from elasticjob.controller.kube import Resource
from elasticjob.controller.watch.cache import WATCHED

EMPTY = b'{"metadata":{"resourceVersion":"1"},"items":[]}'
JSON = {"Content-Type": "application/json"}


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
) -> Iterator[ScriptedApi]:
    """Serve until the context ends; both mappings are by plural.

    The first `times` watches of a plural begin with its events; all watches stay open.
    """
    left = {plural: [lines] * times for plural, lines in events.items()}
    watches: list[Stream] = []

    def answer(request: ReceivedRequest) -> Answer:
        where = urlsplit(request.path)
        plural = where.path.rpartition("/")[2]
        if "watch=true" not in where.query:
            known = DISCOVERY.get(where.path)
            body = json.dumps(known).encode() if known else lists.get(plural, EMPTY)
            return Reply(body=body, headers=JSON)
        watches.append(Stream())
        if left.get(plural):
            watches[-1].raw(left[plural].pop())
        return watches[-1]

    with scripted_api(scheme="http") as api:
        api.otherwise = answer
        yield api
        for watch in watches:
            watch.end()
