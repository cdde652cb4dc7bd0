"""The operator reads the Events of one pod."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from dev.kube_client import Client

from elasticjob.controller import kube
from elasticjob.controller.act.pod_events import selector

pytestmark = pytest.mark.slow


def test_a_list_has_the_events_of_this_pod_alone(
    api: Client, kubeconfig: Path, namespace: str
) -> None:
    path = f"/api/v1/namespaces/{namespace}/events"
    for kind, name, uid in (("Pod", "p", "u"), ("Pod", "p", "older"), ("Job", "p", "u")):
        about = {"kind": kind, "namespace": namespace, "name": name, "uid": uid}
        event = {"metadata": {"generateName": "e-"}, "involvedObject": about, "type": "Warning"}
        assert api.post(path, {**event, "reason": "FailedMount", "message": uid}).code == 201
    client = kube.Kube(kubeconfig, threads=1)

    async def main() -> list[kube.Page]:
        pages = client.list(kube.EVENTS, namespace, fields=selector("p", "u"))
        return [page async for page in pages]

    (page,) = asyncio.run(main())
    client.close()
    (found,) = page.items
    assert (found["involvedObject"]["kind"], found["message"]) == ("Pod", "u")
