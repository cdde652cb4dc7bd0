from __future__ import annotations

from elasticjob.local.api.objects.builtins import BUILTINS, EVENTS, NAMESPACES, PODS
from elasticjob.local.api.objects.resource import Object
from elasticjob.local.api.objects.store import Store
from elasticjob.local.node.reporter import PodReporter


def furnished() -> tuple[Store, PodReporter, Object]:
    store = Store(BUILTINS)
    store.create(NAMESPACES, "", {"metadata": {"name": "ns"}})
    return store, PodReporter(store, lambda: "now"), created(store)


def created(store: Store) -> Object:
    return store.create(PODS, "ns", {"metadata": {"name": "p"}, "spec": {"nodeName": "local"}})


def test_other_fields_and_conditions_are_kept() -> None:
    store, reporter, pod = furnished()
    theirs = {"type": "DisruptionTarget", "status": "True"}

    def evict(old: Object) -> Object:
        return {**old, "status": {"phase": "Pending", "note": "x", "conditions": [theirs]}}

    store.update(PODS, "ns", "p", evict, "status")
    ready = {"type": "Ready", "status": "True"}
    reporter.write_status(pod, {"phase": "Running", "conditions": [ready]})
    status = store.get(PODS, "ns", "p")["status"]
    assert status == {"phase": "Running", "note": "x", "conditions": [ready, theirs]}


def test_another_pod_of_the_same_name_is_not_written() -> None:
    store, reporter, pod = furnished()
    store.delete(PODS, "ns", "p", {"gracePeriodSeconds": 0})
    created(store)
    reporter.write_status(pod, {"phase": "Failed"})
    reporter.remove_pod(pod)
    assert store.get(PODS, "ns", "p")["status"]["phase"] == "Pending"


def test_an_event_refers_to_the_pod() -> None:
    store, reporter, pod = furnished()
    reporter.create_event(pod, "Normal", "Started", "Started container worker")
    (event,) = store.list(EVENTS, "ns")
    assert event["metadata"]["name"].startswith("p.")
    assert event["involvedObject"]["uid"] == pod["metadata"]["uid"]
    assert (event["type"], event["reason"]) == ("Normal", "Started")


def test_the_last_status_is_written_after_a_pause() -> None:
    store, reporter, pod = furnished()
    reporter.pause()
    reporter.write_status(pod, {"phase": "Running", "podIP": "127.1.1.1"})
    reporter.write_status(pod, {"phase": "Failed"})
    reporter.create_event(pod, "Normal", "Started", "")
    assert store.get(PODS, "ns", "p")["status"] == {"phase": "Pending"}
    reporter.resume()
    status = store.get(PODS, "ns", "p")["status"]
    assert status == {"phase": "Failed", "podIP": "127.1.1.1", "conditions": []}
    assert store.list(EVENTS) == []


def test_a_pod_is_removed_after_a_pause() -> None:
    store, reporter, pod = furnished()
    store.delete(PODS, "ns", "p", {"gracePeriodSeconds": 30})
    reporter.pause()
    reporter.remove_pod(pod)
    assert store.find(PODS, "ns", "p") is not None
    reporter.resume()
    assert store.find(PODS, "ns", "p") is None
