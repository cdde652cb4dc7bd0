"""Watches: history, initial events, selectors, bookmarks, and how they end."""

from __future__ import annotations

from typing import Any

import pytest
from dev.kube_client import Client
from dev.wait import wait_until
from tests.support.local_server import LocalServer

pytestmark = pytest.mark.slow


def lease(name: str, **labels: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "labels": labels}, "spec": {"holderIdentity": "0"}}


def hold(api: Client, leases: str, name: str, holder: str) -> str:
    return api.patch(f"{leases}/{name}", {"spec": {"holderIdentity": holder}}).version


def test_from_a_version_it_sends_later_changes(api: Client, leases: str) -> None:
    api.post(leases, lease("a"))
    version = hold(api, leases, "a", "1")
    hold(api, leases, "a", "2")
    api.delete(f"{leases}/a")
    with api.watch(leases, resourceVersion=version) as watch:
        assert watch.code == 200
        modified, deleted = watch.take(2)
        assert (modified.type, modified.object["spec"]["holderIdentity"]) == ("MODIFIED", "2")
        assert deleted.type == "DELETED"
        assert int(deleted.version) > int(modified.version)
        api.post(leases, lease("b"))
        assert [(e.type, e.name) for e in watch.take(1)] == [("ADDED", "b")]


@pytest.mark.parametrize("query", [{}, {"resourceVersion": "0"}])
def test_without_a_version_it_begins_with_existing_objects(
    api: Client, leases: str, query: dict[str, str]
) -> None:
    for name in "ab":
        api.post(leases, lease(name))
    wait_until(lambda: api.get(leases, resourceVersion="0").names == ["a", "b"])
    with api.watch(leases, **query) as watch:
        assert [(e.type, e.name) for e in watch.take(2)] == [("ADDED", "a"), ("ADDED", "b")]
        hold(api, leases, "b", "1")
        assert [(e.type, e.name) for e in watch.take(1)] == [("MODIFIED", "b")]


def test_initial_events_end_with_a_marked_bookmark(
    api: Client, initial: dict[str, str], leases: str
) -> None:
    version = api.post(leases, lease("a")).version
    with api.watch(leases, fieldSelector="metadata.name=a", **initial) as watch:
        added, mark = watch.take(2)
        assert (added.type, added.name) == ("ADDED", "a")
        assert mark.type == "BOOKMARK"
        assert mark.object["kind"] == "Lease"
        assert mark.object["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
        assert int(mark.version) >= int(version)
        hold(api, leases, "a", "1")
        assert watch.take(1)[0].type == "MODIFIED"


def test_initial_events_of_nothing_are_the_bookmark_alone(
    api: Client, initial: dict[str, str], leases: str
) -> None:
    with api.watch(leases, **initial) as watch:
        assert [event.type for event in watch.take(1)] == ["BOOKMARK"]


@pytest.mark.parametrize(
    "query",
    [
        {"sendInitialEvents": "true"},
        {"resourceVersionMatch": "NotOlderThan"},
        {"sendInitialEvents": "true", "resourceVersionMatch": "Exact"},
    ],
)
def test_initial_events_and_their_match_go_together(
    api: Client, leases: str, query: dict[str, str]
) -> None:
    with api.watch(leases, **query) as watch:
        assert watch.code == 422
        assert watch.status["reason"] == "Invalid"


def test_a_version_that_is_no_longer_known_is_an_error_event(
    api: Client, leases: str, local: LocalServer
) -> None:
    version = api.post(leases, lease("a")).version
    hold(api, leases, "a", "1")
    local.call(lambda running: running.store.compact())
    for old in (version, "5"):
        with api.watch(leases, resourceVersion=old) as watch:
            assert watch.code == 200
            events = list(watch)
        assert [event.type for event in events] == ["ERROR"]
        assert events[0].object["kind"] == "Status"
        assert (events[0].object["code"], events[0].object["reason"]) == (410, "Expired")


def test_a_version_from_before_a_restart_of_the_server_is_gone(
    api: Client, leases: str, local: LocalServer
) -> None:
    oldest = local.call(lambda running: running.store.oldest)
    with api.watch(leases, resourceVersion=str(oldest - 1)) as watch:
        assert [event.object["code"] for event in watch] == [410]


def test_objects_enter_and_leave_the_view_of_a_selector(api: Client, leases: str) -> None:
    version = api.post(leases, lease("a", colour="red")).version
    with api.watch(leases, labelSelector="colour=blue", resourceVersion=version) as watch:
        api.patch(f"{leases}/a", {"metadata": {"labels": {"colour": "blue"}}})
        hold(api, leases, "a", "1")
        out = api.patch(f"{leases}/a", {"metadata": {"labels": {"colour": "red"}}}).version
        hold(api, leases, "a", "2")
        api.patch(f"{leases}/a", {"metadata": {"labels": {"colour": "blue"}}})
        api.delete(f"{leases}/a")
        events = watch.take(5)
    assert [event.type for event in events] == ["ADDED", "MODIFIED", "DELETED", "ADDED", "DELETED"]
    left = events[2]
    assert left.version == out
    assert left.object["metadata"]["labels"] == {"colour": "blue"}


def test_by_name_it_sees_one_object_only(api: Client, initial: dict[str, str], leases: str) -> None:
    with api.watch(leases, fieldSelector="metadata.name=b", **initial) as watch:
        watch.take(1)
        for name in "abc":
            api.post(leases, lease(name))
        hold(api, leases, "a", "1")
        hold(api, leases, "b", "1")
        assert [(e.type, e.name) for e in watch.take(2)] == [("ADDED", "b"), ("MODIFIED", "b")]


def test_across_namespaces(
    api: Client, initial: dict[str, str], leases: str, namespace: str
) -> None:
    selector = f"contract-run={namespace}"
    everywhere = "/apis/coordination.k8s.io/v1/leases"
    with api.watch(everywhere, labelSelector=selector, **initial) as watch:
        watch.take(1)
        api.post(leases, lease("a", **{"contract-run": namespace}))
        assert watch.take(1)[0].object["metadata"]["namespace"] == namespace


def test_it_sends_a_bookmark_before_it_ends_by_itself(api: Client, leases: str) -> None:
    api.post(leases, lease("a"))
    query = {"timeoutSeconds": "3", "allowWatchBookmarks": "true"}
    with api.watch(leases, resourceVersion=api.get(leases).version, **query) as watch:
        version = hold(api, leases, "a", "1")
        events = list(watch)
    assert events[0].type == "MODIFIED"
    assert {event.type for event in events[1:]} == {"BOOKMARK"}
    assert int(events[-1].version) >= int(version)
    with api.watch(leases, resourceVersion=version, timeoutSeconds="1") as watch:
        assert list(watch) == []


def test_events_come_in_the_order_of_versions(api: Client, leases: str) -> None:
    version = api.post(leases, lease("a")).version
    with api.watch(leases, resourceVersion=version) as watch:
        written = [hold(api, leases, "a", str(n + 1)) for n in range(50)]
        assert [event.version for event in watch.take(50)] == written


def test_a_watcher_that_disconnects_is_removed(
    api: Client, initial: dict[str, str], leases: str, local: LocalServer
) -> None:
    before = local.call(lambda running: len(running.watches))
    with api.watch(leases, **initial) as watch:
        watch.take(1)
        assert local.call(lambda running: len(running.watches)) == before + 1
    wait_until(lambda: local.call(lambda running: len(running.watches)) == before)


def test_a_list_has_no_initial_events(api: Client, leases: str) -> None:
    reply = api.get(leases, sendInitialEvents="true")
    assert (reply.code, reply.fields) == (422, {"sendInitialEvents"})
