"""What the operator creates is recognized when it is read back, with all that a server adds."""

from __future__ import annotations

import pytest
from dev.kube_client import Client
from tests.support.jobs import elastic_job
from tests.support.widgets import jobs_path

from elasticjob.controller import kube
from elasticjob.controller.act import existing, manifests
from elasticjob.controller.act.bundle import build
from elasticjob.controller.kube import Resource
from elasticjob.wire.codec import Json
from elasticjob.wire.desired import Desired
from elasticjob.wire.lease import JobIdentity, round_manifest
from elasticjob.wire.round import Round

pytestmark = pytest.mark.slow

BUNDLE = build()


def objects(job: Json) -> list[tuple[Resource, Json]]:
    """The objects of a job, in the order in which the operator creates them."""
    namespace = job["metadata"]["namespace"]
    account, binding = manifests.rights(job)
    identity = JobIdentity(namespace, "demo", job["metadata"]["uid"])
    return [
        (kube.LEASES, round_manifest(identity, Desired((), 1, 5.0), Round())),
        (kube.SERVICE_ACCOUNTS, account),
        (kube.ROLE_BINDINGS, binding),
        (kube.CONFIG_MAPS, manifests.agent_config_map(namespace, BUNDLE)),
        (kube.PODS, manifests.pod(job, 0, 0, BUNDLE.hash)),
    ]


def test_every_object_is_recognized(api: Client, namespace: str) -> None:
    job = elastic_job()
    job["metadata"] = {"name": "demo", "namespace": namespace}
    reply = api.post(jobs_path(namespace), job)
    assert reply.code == 201, reply.body
    for resource, made in objects(reply.body):
        reply = api.post(resource.path(namespace), made)
        assert reply.code == 201, reply.body
        found = api.get(resource.path(namespace, made["metadata"]["name"])).body
        assert existing.fault(made, found) == ""
        assert existing.may_delete(made, found)
