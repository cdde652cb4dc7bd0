"""Versions, conflicts, history, finalizers, grace: the store without HTTP."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from elasticjob.local.api.objects.builtins import BUILTINS, CONFIGMAPS, LEASES, NAMESPACES, PODS
from elasticjob.local.api.objects.errors import ApiError
from elasticjob.local.api.objects.resource import Resource
from elasticjob.local.api.objects.store import HISTORY, Event, Store

WIDGETS = Resource(
    "test.example",
    "v1",
    "widgets",
    "Widget",
    subresources=("status",),
    tracks_generation=True,
    schema={"type": "object"},
)
START = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.at = START

    def __call__(self) -> datetime:
        return self.at


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock: Clock) -> Store:
    uids = (f"uid-{n}" for n in range(1, 100_000))
    store = Store([*BUILTINS, WIDGETS], now=clock, new_uid=lambda: next(uids), rng=random.Random(1))
    store.create(NAMESPACES, "", {"metadata": {"name": "default"}})
    return store


def named(name: str, **fields: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, **fields}


def refusal(caught: pytest.ExceptionInfo[ApiError]) -> tuple[int, str]:
    return caught.value.code, caught.value.reason


def edit(**fields: Any) -> Any:
    return lambda obj: {**obj, **fields}


def meta_edit(**fields: Any) -> Any:
    return lambda obj: {**obj, "metadata": {**obj["metadata"], **fields}}


def test_a_new_object_has_the_metadata_of_the_server(store: Store) -> None:
    sent = named("a", spec={"holderIdentity": "x"})
    sent["metadata"].update(uid="mine", generation=9, deletionTimestamp="2020-01-01T00:00:00Z")
    lease = store.create(LEASES, "default", sent)
    assert lease == {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {
            "name": "a",
            "namespace": "default",
            "uid": "uid-2",
            "creationTimestamp": "2026-03-01T12:00:00Z",
            "resourceVersion": str(store.version),
        },
        "spec": {"holderIdentity": "x"},
    }
    assert sent["metadata"]["uid"] == "mine"  # the caller's own object is left alone


def test_versions_start_at_the_clock_and_count_over_all_resources(store: Store) -> None:
    assert store.oldest == int(START.timestamp() * 1_000_000)
    first = store.create(LEASES, "default", named("a"))
    second = store.create(CONFIGMAPS, "default", named("a"))
    versions = [int(obj["metadata"]["resourceVersion"]) for obj in (first, second)]
    assert versions == [store.oldest + 2, store.oldest + 3]


@pytest.mark.parametrize(
    ("obj", "namespace", "expected"),
    [
        (named("a"), "nowhere", (404, "NotFound")),
        ({"metadata": {}}, "default", (422, "Invalid")),
        ({"metadata": {"name": "a", "namespace": "other"}}, "default", (400, "BadRequest")),
        ({"metadata": {"name": "a", "resourceVersion": "5"}}, "default", (500, "")),
        (named("taken"), "default", (409, "AlreadyExists")),
    ],
)
def test_creates_that_are_refused(
    store: Store, obj: dict[str, Any], namespace: str, expected: tuple[int, str]
) -> None:
    store.create(LEASES, "default", named("taken"))
    with pytest.raises(ApiError) as caught:
        store.create(LEASES, namespace, obj)
    assert refusal(caught) == expected


def test_a_generated_name_that_exists_is_generated_again(store: Store) -> None:
    names = set()
    for seed in (1, 1):
        store._rng = random.Random(seed)  # the same draws again
        obj = store.create(CONFIGMAPS, "default", {"metadata": {"generateName": "c-"}})
        names.add(obj["metadata"]["name"])
    assert len(names) == 2
    assert all(len(name) == len("c-") + 5 for name in names)


def test_a_generated_name_is_never_longer_than_a_label(store: Store) -> None:
    meta = {"generateName": "x" * 100}
    name = store.create(CONFIGMAPS, "default", {"metadata": meta})["metadata"]["name"]
    assert len(name) == 63


def test_the_initial_status_is_that_of_the_server(store: Store) -> None:
    assert "status" not in store.create(WIDGETS, "default", named("w", status={"phase": "Mine"}))
    pod = store.create(PODS, "default", named("p", status={"phase": "Running"}))
    assert pod["status"] == {"phase": "Pending"}


def test_an_update_from_a_stale_version_is_refused(store: Store) -> None:
    stale = store.create(LEASES, "default", named("a", spec={"n": 1}))
    store.update(LEASES, "default", "a", edit(spec={"n": 2}))
    with pytest.raises(ApiError) as caught:
        store.update(LEASES, "default", "a", lambda _: {**stale, "spec": {"n": 3}})
    assert refusal(caught) == (409, "Conflict")
    assert store.get(LEASES, "default", "a")["spec"] == {"n": 2}


@pytest.mark.parametrize(
    ("field", "value", "code"), [("uid", "other", 422), ("name", "b", 400), ("namespace", "x", 400)]
)
def test_an_update_of_another_object_is_refused(
    store: Store, field: str, value: str, code: int
) -> None:
    store.create(LEASES, "default", named("a"))
    with pytest.raises(ApiError) as caught:
        store.update(LEASES, "default", "a", meta_edit(**{field: value}))
    assert caught.value.code == code


def test_an_update_that_changes_nothing_makes_no_version_and_no_event(store: Store) -> None:
    seen: list[Event] = []
    before = store.create(LEASES, "default", named("a", spec={"n": 1}))
    store.listeners.append(lambda _, event: seen.append(event))
    assert store.update(LEASES, "default", "a", edit(spec={"n": 1})) is before
    assert store.update(LEASES, "default", "a", meta_edit(labels={})) is before
    assert seen == []


def test_the_generation_counts_changes_of_the_spec_only(store: Store) -> None:
    store.create(WIDGETS, "default", named("w", spec={"n": 1}))

    def generation() -> int:
        return int(store.get(WIDGETS, "default", "w")["metadata"]["generation"])

    store.update(WIDGETS, "default", "w", meta_edit(labels={"a": "b"}))
    store.update(WIDGETS, "default", "w", edit(status={"phase": "X"}), "status")
    assert generation() == 1
    store.update(WIDGETS, "default", "w", edit(spec={"n": 2}))
    assert generation() == 2


def test_status_and_the_rest_are_written_separately(store: Store) -> None:
    store.create(WIDGETS, "default", named("w", spec={"n": 1}))
    written = store.update(
        WIDGETS, "default", "w", edit(status={"phase": "X"}, spec={"n": 9}), "status"
    )
    assert (written["spec"], written["status"]) == ({"n": 1}, {"phase": "X"})
    written = store.update(WIDGETS, "default", "w", edit(status={"phase": "Y"}, spec={"n": 2}))
    assert (written["spec"], written["status"]) == ({"n": 2}, {"phase": "X"})


def test_a_change_in_place_does_not_change_the_old_version(store: Store) -> None:
    before = store.create(LEASES, "default", named("a", spec={"n": [1]}))

    def mutate(obj: dict[str, Any]) -> dict[str, Any]:
        obj["spec"]["n"].append(2)
        return obj

    after = store.update(LEASES, "default", "a", mutate)
    assert (before["spec"], after["spec"]) == ({"n": [1]}, {"n": [1, 2]})


def test_dry_runs_write_nothing(store: Store) -> None:
    store.create(LEASES, "default", named("a", spec={"n": 1}))
    version = store.version
    assert store.create(LEASES, "default", named("b"), dry_run=True)["metadata"]["uid"]
    assert store.update(LEASES, "default", "a", edit(spec={"n": 2}), dry_run=True)["spec"]["n"] == 2
    store.delete(LEASES, "default", "a", dry_run=True)
    assert [obj["metadata"]["name"] for obj in store.list(LEASES)] == ["a"]
    assert store.version == version


@pytest.mark.parametrize("field", ["uid", "resourceVersion"])
def test_deletion_preconditions(store: Store, field: str) -> None:
    lease = store.create(LEASES, "default", named("a"))
    with pytest.raises(ApiError) as caught:
        store.delete(LEASES, "default", "a", {"preconditions": {field: "1"}})
    assert refusal(caught) == (409, "Conflict")
    store.delete(LEASES, "default", "a", {"preconditions": {field: lease["metadata"][field]}})
    assert store.list(LEASES) == []


def test_a_finalizer_holds_a_deleted_object(store: Store) -> None:
    obj = named("w")
    obj["metadata"]["finalizers"] = ["test.example/hold"]
    store.create(WIDGETS, "default", obj)
    marked = store.delete(WIDGETS, "default", "w")
    assert marked["metadata"]["deletionTimestamp"] == "2026-03-01T12:00:00Z"
    assert marked["metadata"]["generation"] == 2
    assert store.delete(WIDGETS, "default", "w") == marked
    with pytest.raises(ApiError) as caught:
        store.update(WIDGETS, "default", "w", meta_edit(finalizers=["test.example/hold", "late/x"]))
    assert refusal(caught) == (422, "Invalid")
    store.update(WIDGETS, "default", "w", meta_edit(finalizers=[]))
    assert store.find(WIDGETS, "default", "w") is None


class TestPodGrace:
    @pytest.fixture(autouse=True)
    def running(self, store: Store) -> None:
        store.create(PODS, "default", named("p", spec={"terminationGracePeriodSeconds": 7}))
        store.update(
            PODS, "default", "p", edit(spec={"nodeName": "n", "terminationGracePeriodSeconds": 7})
        )

    def test_a_running_pod_is_held_until_the_kubelet_removes_it(self, store: Store) -> None:
        meta = store.delete(PODS, "default", "p")["metadata"]
        assert meta["deletionGracePeriodSeconds"] == 7
        assert meta["deletionTimestamp"] == "2026-03-01T12:00:07Z"
        store.delete(PODS, "default", "p", {"gracePeriodSeconds": 0})
        assert store.find(PODS, "default", "p") is None

    def test_a_second_deletion_can_only_shorten_the_grace_period(
        self, store: Store, clock: Clock
    ) -> None:
        marked = store.delete(PODS, "default", "p")
        clock.at += timedelta(seconds=1)
        assert store.delete(PODS, "default", "p", {"gracePeriodSeconds": 60}) == marked
        meta = store.delete(PODS, "default", "p", {"gracePeriodSeconds": 2})["metadata"]
        assert meta["deletionGracePeriodSeconds"] == 2
        assert meta["deletionTimestamp"] == "2026-03-01T12:00:03Z"

    @pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
    def test_a_pod_that_has_ended_is_removed_at_once(self, store: Store, phase: str) -> None:
        store.update(PODS, "default", "p", edit(status={"phase": phase}), "status")
        store.delete(PODS, "default", "p")
        assert store.find(PODS, "default", "p") is None


def test_a_pod_without_a_node_is_removed_at_once(store: Store) -> None:
    store.create(PODS, "default", named("p", spec={}))
    store.delete(PODS, "default", "p")
    assert store.find(PODS, "default", "p") is None


@pytest.mark.parametrize(
    ("options", "finalizer"),
    [
        ({"propagationPolicy": "Foreground"}, "foregroundDeletion"),
        ({"propagationPolicy": "Orphan"}, "orphan"),
        ({"orphanDependents": True}, "orphan"),
    ],
)
def test_a_propagation_policy_is_stored_as_a_finalizer(
    store: Store, options: dict[str, Any], finalizer: str
) -> None:
    store.create(LEASES, "default", named("a"))
    assert store.delete(LEASES, "default", "a", options)["metadata"]["finalizers"] == [finalizer]


def test_a_terminating_namespace_refuses_objects_and_is_held_until_empty(store: Store) -> None:
    marked = store.delete(NAMESPACES, "", "default")
    assert marked["status"]["phase"] == "Terminating"
    with pytest.raises(ApiError) as caught:
        store.create(LEASES, "default", named("late"))
    assert refusal(caught) == (403, "Forbidden")
    store.update(NAMESPACES, "", "default", edit(spec={"finalizers": []}))
    assert store.find(NAMESPACES, "", "default") is not None  # not through the main door
    store.update(NAMESPACES, "", "default", edit(spec={"finalizers": []}), "finalize")
    assert store.find(NAMESPACES, "", "default") is None


def test_a_version_before_the_history_is_expired(store: Store) -> None:
    store.create(LEASES, "default", named("a", spec={"n": 0}))
    start = store.version
    for n in range(1, 4):
        store.update(LEASES, "default", "a", edit(spec={"n": n}))
    assert [event.object["spec"]["n"] for event in store.since(LEASES, start)] == [1, 2, 3]
    assert store.since(LEASES, store.version) == []
    for n in range(HISTORY):
        store.update(LEASES, "default", "a", edit(spec={"n": n + 10}))
    for version in (start, 5):
        with pytest.raises(ApiError) as caught:
            store.since(LEASES, version)
        assert refusal(caught) == (410, "Expired")
    with pytest.raises(ApiError) as caught:
        store.since(LEASES, store.version + 1)
    assert refusal(caught) == (504, "Timeout")


def test_a_compaction_expires_earlier_versions(store: Store) -> None:
    store.create(LEASES, "default", named("a"))
    start = store.version
    store.update(LEASES, "default", "a", edit(spec={"n": 1}))
    store.compact()
    with pytest.raises(ApiError) as caught:
        store.since(LEASES, start)
    assert refusal(caught) == (410, "Expired")
    now = store.version
    store.update(LEASES, "default", "a", edit(spec={"n": 2}))
    assert len(store.since(LEASES, now)) == 1


def test_a_deletion_event_has_the_version_of_the_deletion(store: Store) -> None:
    seen: list[Event] = []
    store.create(LEASES, "default", named("a"))
    store.listeners.append(lambda _, event: seen.append(event))
    store.delete(LEASES, "default", "a")
    assert [event.type for event in seen] == ["DELETED"]
    assert seen[0].object["metadata"]["resourceVersion"] == str(store.version)
    assert seen[0].old is not None


def test_events_of_a_listener_follow_the_current_event(store: Store) -> None:
    told: list[tuple[str, str]] = []

    def echo(resource: Resource, event: Event) -> None:
        name = event.object["metadata"]["name"]
        if name == "first":
            store.create(LEASES, "default", named("second"))
        told.append(("echo", name))

    store.listeners += [
        echo,
        lambda _, event: told.append(("log", event.object["metadata"]["name"])),
    ]
    store.create(LEASES, "default", named("first"))
    assert told == [("echo", "first"), ("log", "first"), ("echo", "second"), ("log", "second")]


def test_a_failing_listener_fails_neither_the_write_nor_the_next_listener(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[Event] = []

    def fail(resource: Resource, event: Event) -> None:
        raise RuntimeError("boom")

    store.listeners += [fail, lambda _, event: seen.append(event)]
    store.create(LEASES, "default", named("a"))
    assert len(seen) == 1
    assert "listener failed on ADDED of leases.coordination.k8s.io" in caplog.text


def test_admission_may_change_or_refuse(store: Store) -> None:
    def admit(
        resource: Resource, new: dict[str, Any], old: dict[str, Any] | None
    ) -> dict[str, Any]:
        if new["spec"]["n"] < 0:
            raise ApiError(422, "Invalid", "negative")
        return {**new, "spec": {**new["spec"], "fresh": old is None}}

    store.admission.append(admit)
    assert store.create(LEASES, "default", named("a", spec={"n": 1}))["spec"]["fresh"]
    with pytest.raises(ApiError):
        store.update(LEASES, "default", "a", edit(spec={"n": -1}))
    assert not store.update(LEASES, "default", "a", edit(spec={"n": 2}))["spec"]["fresh"]
