"""The cache stores an object or skips it, with any content, and keeps the other objects."""

from __future__ import annotations

import contextlib
import copy
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.support.jobs import elastic_job
from tests.support.store_api import take_list

from elasticjob.controller.act import manifests
from elasticjob.controller.kube import ELASTIC_JOBS, LEASES, PODS, Resource
from elasticjob.controller.observe.containers import ContainerState
from elasticjob.controller.observe.key import Key
from elasticjob.controller.watch.cache import Cache
from elasticjob.controller.watch.unreadable import Unreadable
from elasticjob.wire import lease as leases
from elasticjob.wire.codec import Json
from elasticjob.wire.desired import Desired
from elasticjob.wire.round import Round

GOOD = Key("team", "good")
JOB = leases.JobIdentity("team", "demo", "uid-of-demo")
FIELDS = ["name", "namespace", "uid", "resourceVersion", "labels", "annotations", "items", "state"]

texts = st.text(max_size=8) | st.sampled_from(["7", "²", "9" * 5000, "\ud800", "[" * 3000, "team"])
leaves = (
    st.none() | st.booleans() | st.integers() | st.floats() | texts | st.just(10**400) | st.just(())
)
values = st.recursive(
    leaves, lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(FIELDS) | texts, inner)
)


def nested(levels: int) -> Any:
    value: Any = []
    for _ in range(levels):
        value = {"a": [value]}
    return value


def pod(name: str) -> Json:
    return {
        **manifests.pod(elastic_job(name), 0, 0, "0123456789"),
        "status": {
            "phase": "Running",
            "conditions": [{"type": "PodScheduled", "status": "True"}],
            "containerStatuses": [
                {"name": "worker", "state": {"terminated": {"exitCode": 0, "message": "{}"}}}
            ],
        },
    }


BODIES: list[tuple[Resource, Json]] = [
    (ELASTIC_JOBS, elastic_job()),
    (PODS, pod("demo")),
    (LEASES, leases.round_manifest(JOB, Desired(()), Round(0))),
]


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of all parts of a body."""
    found = [path]
    if isinstance(value, dict | list):
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            found += paths(part, (*path, key))
    return found


@st.composite
def bodies(draw: st.DrawFn) -> tuple[Resource, Json]:
    """An object of which a few parts are replaced or missing."""
    resource, good = draw(st.sampled_from(BODIES))
    body = copy.deepcopy(good)
    body["metadata"] |= {"uid": "u", "resourceVersion": "5"}
    for path in draw(st.lists(st.sampled_from(paths(body)[1:]), min_size=1, max_size=3)):
        put(body, path, draw(values), is_missing=draw(st.booleans()))
    return resource, body


def put(body: Any, path: tuple[Any, ...], value: Any, *, is_missing: bool) -> None:
    """Replace the part at this path, if it exists."""
    with contextlib.suppress(KeyError, IndexError, TypeError):
        for step in path[:-1]:
            body = body[step]
        if is_missing:
            del body[path[-1]]
        else:
            body[path[-1]] = value


def with_others(resource: Resource, body: Any, whole: Any = None) -> None:
    """One object does not affect the objects of another job."""
    cache = Cache()
    running = pod("good")
    running["status"]["containerStatuses"][0]["state"] = {"running": {}}
    for each, good in ((ELASTIC_JOBS, elastic_job("good")), (PODS, running)):
        good["metadata"] |= {"uid": each.plural, "resourceVersion": "100", "namespace": "team"}
        assert cache.update(each, good) == (GOOD, 0.0)
    for gone in (False, False, True):
        cache.update(resource, body, gone)
    cache.update(resource, whole)
    take_list(cache, resource, [body, whole, body], version="7")
    take_list(cache, resource, [], version="0")
    entry = cache.entry(GOOD)
    assert entry is not None
    assert entry.job is not None
    assert "good-0-0" in entry.pods
    assert cache.agents["team"] == 1 + counted(cache, Key("team", "demo"))


def counted(cache: Cache, key: Key) -> int:
    entry = cache.entry(key)
    pods = entry.pods.values() if entry else ()
    return sum(1 for each in pods if each.container.state is ContainerState.RUNNING)


@given(bodies(), values)
@example((PODS, {"metadata": None}), None)
@example((LEASES, {}), None)
def test_no_object_stops_the_cache(found: tuple[Resource, Json], whole: Any) -> None:
    with_others(*found, whole)


@pytest.mark.parametrize(("resource", "body"), BODIES)
def test_no_depth_stops_the_cache(resource: Resource, body: Json) -> None:
    for place in ("metadata", "spec", "status"):
        deep = {**body, place: {**body.get(place, {}), "a": nested(5000)}}
        deep["metadata"] = {**deep["metadata"], "uid": "u", "resourceVersion": "5"}
        with_others(resource, deep)
        again = copy.copy(deep)
        again["spec"] = {**deep.get("spec", {}), "a": nested(5000)}
        again["metadata"] = {**deep["metadata"], "resourceVersion": "6"}
        cache = Cache()
        cache.update(resource, deep)
        cache.update(resource, again)


def test_each_version_is_counted_once() -> None:
    counted: list[str] = []
    cache = Cache(Unreadable(counted.append))
    body = pod("demo")
    body["metadata"] |= {"uid": "u", "resourceVersion": "5", "namespace": "team"}
    body["status"] = ["not", "an", "object"]
    for _ in range(3):
        cache.update(PODS, body)
        take_list(cache, PODS, [body], version="9")
    assert counted == ["pods"]
    body["metadata"]["resourceVersion"] = "6"
    cache.update(PODS, body)
    assert counted == ["pods", "pods"]
