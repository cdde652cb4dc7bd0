"""Watches without HTTP: bookmarks, slow clients, encoding."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator

import pytest

from elasticjob.local.api.objects.builtins import BUILTINS, LEASES, NAMESPACES
from elasticjob.local.api.objects.errors import ApiError
from elasticjob.local.api.objects.resource import Object
from elasticjob.local.api.objects.store import Store
from elasticjob.local.api.watch import MAX_QUEUED_EVENTS, Watch, Watches, WatchOptions


@pytest.fixture
def store() -> Store:
    store = Store(BUILTINS)
    store.create(NAMESPACES, "", {"metadata": {"name": "n"}})
    store.create(LEASES, "n", {"metadata": {"name": "a"}, "spec": {"n": 0}})
    return store


def change(store: Store, n: int, name: str = "a") -> None:
    store.update(LEASES, "n", name, lambda obj: {**obj, "spec": {"n": n}})


async def events(chunks: AsyncGenerator[bytes, None]) -> list[Object]:
    """The events of the next chunk."""
    return [json.loads(line) for line in (await anext(chunks)).splitlines()]


async def test_a_quiet_watch_sends_bookmarks_at_a_steady_pace(store: Store) -> None:
    watches = Watches(store, bookmark_every_s=0.01)
    options = WatchOptions(version=store.version, bookmarks=True)
    with Watch(watches, LEASES, options) as chunks:
        assert await events(chunks) == []
        for _ in range(3):
            (mark,) = await events(chunks)
            assert mark["type"] == "BOOKMARK"
            assert mark["object"]["metadata"]["resourceVersion"] == str(store.version)
        change(store, 1)
        assert [event["type"] for event in await events(chunks)] == ["MODIFIED"]
        await chunks.aclose()


async def test_bookmarks_are_sent_on_request_only(store: Store) -> None:
    watches = Watches(store, bookmark_every_s=0.01)
    options = WatchOptions(version=store.version, timeout_s=0.1)
    with Watch(watches, LEASES, options) as chunks:
        assert [chunk async for chunk in chunks] == [b""]


async def test_queued_events_are_sent_in_one_chunk(store: Store) -> None:
    watches = Watches(store)
    with Watch(watches, LEASES, WatchOptions(version=store.version)) as chunks:
        await events(chunks)
        for n in range(1, 4):
            change(store, n)
        assert [event["object"]["spec"]["n"] for event in await events(chunks)] == [1, 2, 3]
        await chunks.aclose()


async def test_a_watch_whose_client_does_not_read_ends_with_410(store: Store) -> None:
    watches = Watches(store)
    with Watch(watches, LEASES, WatchOptions(version=store.version)) as chunks:
        await events(chunks)
        for n in range(1, MAX_QUEUED_EVENTS + 2):
            change(store, n)
        seen = [json.loads(line) async for chunk in chunks for line in chunk.splitlines()]
    assert seen[-1]["type"] == "ERROR"
    assert seen[-1]["object"]["code"] == 410
    assert len(seen) <= MAX_QUEUED_EVENTS + 1


async def test_an_event_is_encoded_once(store: Store) -> None:
    watches = Watches(store)
    options = WatchOptions(version=store.version)
    with Watch(watches, LEASES, options) as first, Watch(watches, LEASES, options) as second:
        assert len(watches) == 2
        change(store, 1)
        assert await anext(first) == await anext(second) == b""
        lines = store.since(LEASES, store.version - 1)[0].line
        chunks = [await anext(first), await anext(second)]
        assert chunks == [lines, lines]
        await first.aclose()
        await second.aclose()
    assert len(watches) == 0


async def test_a_watch_by_name_receives_its_object_only(store: Store) -> None:
    store.create(LEASES, "n", {"metadata": {"name": "b"}, "spec": {"n": 0}})
    watches = Watches(store)
    options = WatchOptions(field_selector="metadata.name=b", version=store.version)
    with Watch(watches, LEASES, options) as chunks:
        await events(chunks)
        change(store, 1, "a")
        change(store, 1, "b")
        assert [event["object"]["metadata"]["name"] for event in await events(chunks)] == ["b"]
        await chunks.aclose()
    assert watches._by_name == {}


async def test_initial_events_older_than_requested_are_not_sent(store: Store) -> None:
    options = WatchOptions(version=store.version + 1, initial_events=True, bookmarks=True)
    with Watch(Watches(store), LEASES, options) as chunks:
        seen = [json.loads(line) async for chunk in chunks for line in chunk.splitlines()]
    assert [(event["type"], event["object"]["code"]) for event in seen] == [("ERROR", 504)]


@pytest.mark.parametrize(
    ("query", "watch_list", "field"),
    [
        ({"sendInitialEvents": "true"}, True, "resourceVersionMatch"),
        (
            {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"},
            False,
            "sendInitialEvents",
        ),
        ({"resourceVersionMatch": "NotOlderThan"}, True, "resourceVersionMatch"),
    ],
)
def test_contradicting_options_are_refused(
    query: dict[str, str], watch_list: bool, field: str
) -> None:
    with pytest.raises(ApiError) as caught:
        WatchOptions.parse("n", query, watch_list=watch_list)
    assert caught.value.code == 422
    assert {cause["field"] for cause in caught.value.details["causes"]} == {field}
