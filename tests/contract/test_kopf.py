"""kopf, unmodified: it discovers, watches, patches and releases a resource."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kopf
import pytest
from dev.kube_client import Client
from dev.wait import wait_until
from tests.support.connections import forget_connections
from tests.support.following import DEADLINE_S, following
from tests.support.jobs import elastic_job
from tests.support.widgets import jobs_path

from elasticjob.api.crd import custom_resource_definition
from elasticjob.controller.kube import RefusedError

pytestmark = pytest.mark.slow

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
DEFINITION = f"{CRDS}/elasticjobs.elasticjob.dev"

Seen = list[tuple[str, str]]


@pytest.fixture
def seen() -> Seen:
    return []


@pytest.fixture
def operator(api: Client, kubeconfig: Path, namespace: str, seen: Seen) -> Iterator[None]:
    """Run an operator for widgets and Leases in a thread."""
    registry = kopf.OperatorRegistry()
    settings = kopf.OperatorSettings()
    settings.peering.standalone = True
    settings.posting.enabled = True

    @kopf.on.login(registry=registry)
    def login(**_: Any) -> kopf.ConnectionInfo:
        return kopf.ConnectionInfo(server=api.url, ca_data=api.ca, scheme="Bearer", token=api.token)

    @kopf.on.create("contract.example", "v1", "widgets", registry=registry)
    def created(body: Any, patch: Any, name: str, **_: Any) -> None:
        patch.status["phase"] = "Created"
        kopf.event(body, type="Normal", reason="Made", message="by kopf")
        seen.append(("created", name))

    @kopf.on.field("contract.example", "v1", "widgets", field="spec.replicas", registry=registry)
    def scaled(new: Any, **_: Any) -> None:
        seen.append(("scaled", str(new)))

    @kopf.on.delete("contract.example", "v1", "widgets", registry=registry)
    def deleted(name: str, **_: Any) -> None:
        seen.append(("deleted", name))

    @kopf.on.event("coordination.k8s.io", "v1", "leases", registry=registry)
    def lease(event: Any, name: str, **_: Any) -> None:
        seen.append((f"lease {event['type']}", name))

    ready, stop = threading.Event(), threading.Event()

    async def run() -> None:
        await kopf.operator(
            registry=registry,
            settings=settings,
            namespaces=[namespace],
            ready_flag=ready,
            stop_flag=stop,
        )

    thread = threading.Thread(target=lambda: asyncio.run(run()), daemon=True)
    thread.start()
    assert ready.wait(20)
    yield
    stop.set()
    thread.join(20)
    assert not thread.is_alive()
    forget_connections()


@pytest.mark.process
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_resource_is_handled_from_creation_to_deletion(
    api: Client, operator: None, seen: Seen, widgets: str, leases: str, namespace: str, widget: Any
) -> None:
    widget()
    wait_until(lambda: ("created", "w") in seen)
    wait_until(lambda: api.get(f"{widgets}/w").body.get("status", {}).get("phase") == "Created")
    api.patch(f"{widgets}/w", {"spec": {"replicas": 7}})
    wait_until(lambda: ("scaled", "7") in seen)
    api.post(leases, {"metadata": {"name": "first"}})
    wait_until(lambda: "first" in {name for _, name in seen})  # kopf watches Leases from now on
    api.post(leases, {"metadata": {"name": "l"}})
    api.patch(f"{leases}/l", {"spec": {"holderIdentity": "x"}})
    wait_until(lambda: {("lease ADDED", "l"), ("lease MODIFIED", "l")} <= set(seen))
    events = f"/api/v1/namespaces/{namespace}/events"
    wait_until(lambda: "Made" in {item["reason"] for item in api.get(events).body["items"]})
    assert api.get(f"{widgets}/w").body["metadata"]["finalizers"]
    api.delete(f"{widgets}/w")
    wait_until(lambda: ("deleted", "w") in seen)
    wait_until(lambda: api.get(f"{widgets}/w").code == 404)


@pytest.fixture
def definition(api: Client) -> Iterator[None]:
    """Create the CRD of ElasticJob again after a test that may delete it."""
    yield
    api.post(CRDS, custom_resource_definition())
    wait_until(lambda: api.get(jobs_path()).code == 200)


@pytest.mark.process
@pytest.mark.parametrize("scope", ["cluster", "namespace"])
def test_our_watches_end_with_the_reason_when_the_definition_is_deleted(
    api: Client, kubeconfig: Path, namespace: str, definition: None, scope: str
) -> None:
    """The operator relies on an internal of kopf: the end of one watch ends a root task."""
    namespaces = [namespace] if scope == "namespace" else []
    with following(kubeconfig, namespaces) as found:
        assert found.ready.wait(DEADLINE_S)
        made = api.post(jobs_path(namespace), {**elastic_job(), "metadata": {"name": "j"}})
        assert made.code == 201, made.body
        wait_until(lambda: ("elasticjobs", "j", False) in found.seen)
        api.delete(DEFINITION)
        why = found.why_ended()
    assert isinstance(why, RefusedError)
    assert found.starts == 1
    assert ": 404: " in str(why)
    assert str(why).endswith("; the definition of ElasticJob is not installed: apply crds/ first")


@pytest.mark.process
def test_our_watches_do_not_start_without_the_definition(
    api: Client, kubeconfig: Path, definition: None
) -> None:
    """kopf by itself would log a warning and watch the other resources."""
    api.delete(DEFINITION)
    wait_until(lambda: api.get(jobs_path()).code == 404)
    with following(kubeconfig) as found:
        why = found.why_ended()
        assert not found.ready.is_set()
    assert isinstance(why, RefusedError)
    assert "the definition of ElasticJob is not installed" in str(why)
