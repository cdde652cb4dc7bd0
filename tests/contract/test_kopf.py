"""kopf, unmodified: it finds the resource, follows it, patches it, and lets it go."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kopf
import pytest
from tests.support.api_client import Client
from tests.support.connections import forget_connections
from tests.support.deadline import eventually

pytestmark = pytest.mark.slow

Seen = list[tuple[str, str]]


@pytest.fixture
def seen() -> Seen:
    return []


@pytest.fixture
def operator(api: Client, kubeconfig: Path, namespace: str, seen: Seen) -> Iterator[None]:
    """An operator of widgets and Leases in a thread."""
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
def test_a_resource_is_handled_from_birth_to_death(
    api: Client, operator: None, seen: Seen, widgets: str, leases: str, namespace: str, widget: Any
) -> None:
    widget()
    eventually(lambda: ("created", "w") in seen)
    eventually(lambda: api.get(f"{widgets}/w").body.get("status", {}).get("phase") == "Created")
    api.patch(f"{widgets}/w", {"spec": {"replicas": 7}})
    eventually(lambda: ("scaled", "7") in seen)
    api.post(leases, {"metadata": {"name": "l"}})
    api.patch(f"{leases}/l", {"spec": {"holderIdentity": "x"}})
    eventually(lambda: {("lease ADDED", "l"), ("lease MODIFIED", "l")} <= set(seen))
    events = f"/api/v1/namespaces/{namespace}/events"
    eventually(lambda: "Made" in {item["reason"] for item in api.get(events).body["items"]})
    assert api.get(f"{widgets}/w").body["metadata"]["finalizers"]
    api.delete(f"{widgets}/w")
    eventually(lambda: ("deleted", "w") in seen)
    eventually(lambda: api.get(f"{widgets}/w").code == 404)
