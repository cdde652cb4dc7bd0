"""The official Python client, unmodified: typed, custom, raw, dynamic, watching."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from dev.kube_client import Client
from kubernetes import client, config, dynamic, watch
from kubernetes.client.rest import ApiException
from tests.support.widgets import widget_object

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:.*:DeprecationWarning")]


@pytest.fixture
def python(api: Client, kubeconfig: Path) -> Iterator[client.ApiClient]:
    settings = client.Configuration()
    config.load_kube_config(str(kubeconfig), client_configuration=settings)
    with client.ApiClient(settings) as made:
        yield made


def test_typed_leases(python: client.ApiClient, namespace: str) -> None:
    leases = client.CoordinationV1Api(python)
    spec = client.V1LeaseSpec(
        holder_identity="me", lease_duration_seconds=15, renew_time=datetime.now(UTC)
    )
    meta = client.V1ObjectMeta(name="l", labels={"a": "b"})
    made = leases.create_namespaced_lease(namespace, client.V1Lease(metadata=meta, spec=spec))
    assert made.spec.holder_identity == "me"
    patched = leases.patch_namespaced_lease("l", namespace, {"spec": {"holderIdentity": "you"}})
    assert patched.spec.holder_identity == "you"
    with pytest.raises(ApiException) as caught:
        leases.replace_namespaced_lease("l", namespace, made)
    assert caught.value.status == 409
    assert json.loads(caught.value.body)["reason"] == "Conflict"
    assert [lease.metadata.name for lease in leases.list_namespaced_lease(namespace).items] == ["l"]


def test_typed_pods(python: client.ApiClient, namespace: str) -> None:
    core = client.CoreV1Api(python)
    containers = [{"name": "w", "image": "i", "command": ["true"]}]
    body = {"metadata": {"generateName": "p-"}, "spec": {"containers": containers}}
    name = core.create_namespaced_pod(namespace, body).metadata.name
    found = core.list_namespaced_pod(namespace, field_selector="status.phase=Pending").items
    assert [pod.metadata.name for pod in found] == [name]
    assert core.delete_namespaced_pod(name, namespace).metadata.name == name


def test_custom_objects(python: client.ApiClient, namespace: str) -> None:
    custom = client.CustomObjectsApi(python)
    place = ("contract.example", "v1", namespace, "widgets")
    made = custom.create_namespaced_custom_object(*place, widget_object(junk=1))
    assert made["spec"] == {"command": ["true"], "replicas": 2, "policy": "Never"}
    patched = custom.patch_namespaced_custom_object(*place, "w", {"spec": {"replicas": 3}})
    assert patched["metadata"]["generation"] == 2
    status = custom.patch_namespaced_custom_object_status(*place, "w", {"status": {"phase": "X"}})
    assert status["status"] == {"phase": "X"}
    with pytest.raises(ApiException) as caught:
        custom.patch_namespaced_custom_object(*place, "w", {"spec": {"replicas": "x"}})
    assert caught.value.status == 422
    preconditions = client.V1Preconditions(uid="bad")
    with pytest.raises(ApiException) as caught:
        custom.delete_namespaced_custom_object(
            *place, "w", body=client.V1DeleteOptions(preconditions=preconditions)
        )
    assert caught.value.status == 409
    assert custom.delete_namespaced_custom_object(*place, "w")["status"] == "Success"


def test_raw_requests(python: client.ApiClient, api: Client, leases: str) -> None:
    api.post(leases, {"metadata": {"name": "l"}})
    request = python.param_serialize(
        "PATCH",
        f"{leases}/l",
        header_params={
            "Content-Type": "application/merge-patch+json",
            "Accept": "application/json",
        },
        body={"spec": {"holderIdentity": "raw"}},
        auth_settings=["BearerToken"],
    )
    reply = python.call_api(*request)
    reply.read()
    assert json.loads(reply.data)["spec"]["holderIdentity"] == "raw"


def test_dynamic(python: client.ApiClient, tmp_path: Path, namespace: str, widget: Any) -> None:
    widget()
    discoverer = dynamic.DynamicClient(python, cache_file=str(tmp_path / "discovery.json"))
    widgets = discoverer.resources.get(api_version="contract.example/v1", kind="Widget")
    assert widgets.get(name="w", namespace=namespace).spec.replicas == 2
    kind = "application/merge-patch+json"
    patched = widgets.patch(
        name="w", namespace=namespace, body={"spec": {"replicas": 5}}, content_type=kind
    )
    assert patched.spec.replicas == 5


def test_watching(python: client.ApiClient, api: Client, leases: str, namespace: str) -> None:
    typed = client.CoordinationV1Api(python)
    api.post(leases, {"metadata": {"name": "l", "labels": {"job": "j"}}})
    seen: list[tuple[str, str | None]] = []
    first = threading.Event()

    def follow() -> None:
        stream = watch.Watch().stream(
            typed.list_namespaced_lease, namespace, label_selector="job=j", timeout_seconds=2
        )
        for event in stream:
            seen.append((event["type"], event["object"].spec.holder_identity))
            first.set()

    thread = threading.Thread(target=follow)
    thread.start()
    assert first.wait(10)
    api.patch(f"{leases}/l", {"spec": {"holderIdentity": "a"}})
    api.patch(f"{leases}/l", {"metadata": {"labels": {"job": "other"}}})
    thread.join(10)
    assert seen == [("ADDED", None), ("MODIFIED", "a"), ("DELETED", "a")]


def test_events_and_pages(python: client.ApiClient, api: Client, namespace: str) -> None:
    core = client.CoreV1Api(python)
    event = {
        "metadata": {"generateName": "e-"},
        "involvedObject": {"kind": "Pod", "namespace": namespace, "name": "p", "uid": "u"},
        "reason": "Because",
        "type": "Normal",
    }
    for _ in range(3):
        core.create_namespaced_event(namespace, event)
    selector = "involvedObject.name=p,involvedObject.uid=u"
    first = core.list_namespaced_event(namespace, field_selector=selector, limit=2)
    rest = core.list_namespaced_event(
        namespace, field_selector=selector, limit=2, _continue=first.metadata._continue
    )
    assert (len(first.items), len(rest.items)) == (2, 1)
