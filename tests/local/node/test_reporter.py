from __future__ import annotations

from typing import Any

from elasticjob.local.api.objects.builtins import BUILTINS, EVENTS, NAMESPACES, PODS
from elasticjob.local.api.objects.store import Store
from elasticjob.local.node.reporter import Reports

Object = dict[str, Any]


def furnished() -> tuple[Store, Reports, Object]:
    store = Store(BUILTINS)
    store.create(NAMESPACES, "", {"metadata": {"name": "ns"}})
    return store, Reports(store, lambda: "now"), created(store)


def created(store: Store) -> Object:
    return store.create(PODS, "ns", {"metadata": {"name": "p"}, "spec": {"nodeName": "local"}})


def test_fields_and_conditions_of_others_stay() -> None:
    store, reports, pod = furnished()
    theirs = {"type": "DisruptionTarget", "status": "True"}

    def evict(old: Object) -> Object:
        return {**old, "status": {"phase": "Pending", "note": "x", "conditions": [theirs]}}

    store.update(PODS, "ns", "p", evict, "status")
    ready = {"type": "Ready", "status": "True"}
    reports.status(pod, {"phase": "Running", "conditions": [ready]})
    status = store.get(PODS, "ns", "p")["status"]
    assert status == {"phase": "Running", "note": "x", "conditions": [ready, theirs]}


def test_another_pod_of_the_same_name_is_left_alone() -> None:
    store, reports, pod = furnished()
    store.delete(PODS, "ns", "p", {"gracePeriodSeconds": 0})
    created(store)
    reports.status(pod, {"phase": "Failed"})
    reports.removed(pod)
    assert store.get(PODS, "ns", "p")["status"]["phase"] == "Pending"


def test_an_event_is_about_the_pod() -> None:
    store, reports, pod = furnished()
    reports.event(pod, "Normal", "Started", "Started container worker")
    (event,) = store.list(EVENTS, "ns")
    assert event["metadata"]["name"].startswith("p.")
    assert event["involvedObject"]["uid"] == pod["metadata"]["uid"]
    assert (event["type"], event["reason"]) == ("Normal", "Started")


def test_a_silent_node_says_the_last_word_when_it_is_back() -> None:
    store, reports, pod = furnished()
    reports.silence()
    reports.status(pod, {"phase": "Running", "podIP": "127.1.1.1"})
    reports.status(pod, {"phase": "Failed"})
    reports.event(pod, "Normal", "Started", "")
    assert store.get(PODS, "ns", "p")["status"] == {"phase": "Pending"}
    reports.resume()
    status = store.get(PODS, "ns", "p")["status"]
    assert status == {"phase": "Failed", "podIP": "127.1.1.1", "conditions": []}
    assert store.list(EVENTS) == []


def test_a_removal_is_made_up_for() -> None:
    store, reports, pod = furnished()
    store.delete(PODS, "ns", "p", {"gracePeriodSeconds": 30})
    reports.silence()
    reports.removed(pod)
    assert store.find(PODS, "ns", "p") is not None
    reports.resume()
    assert store.find(PODS, "ns", "p") is None
