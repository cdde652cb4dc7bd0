"""A user of the namespace who may not create pods or jobs tries to run code in a job's pods.

This user may write ConfigMaps or RoleBindings. The names of those that a job uses can be predicted.
"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from tests.support.local_cluster import LocalCluster

from elasticjob.controller.act import manifests
from elasticjob.controller.act.bundle import Bundle, build
from elasticjob.local.api.objects.builtins import CONFIGMAPS, PODS, ROLEBINDINGS
from elasticjob.wire import names

pytestmark = pytest.mark.e2e

SHIPPED = manifests.agent_config_map("any", build())
NAME: str = SHIPPED["metadata"]["name"]
KEY = "agent.pyz"


def foreign_agent(cluster: LocalCluster, labels: dict[str, str]) -> tuple[dict[str, Any], Path]:
    """A ConfigMap of the agent's name with other code, and a file that this code writes."""
    proof = cluster.root / "proof"
    package = cluster.root / "elasticjob"
    for name in ("", "wire", "rendezvous", "agent"):
        (package / name).mkdir(parents=True)
        (package / name / "__init__.py").write_text("")
    code = f"import os\nopen({str(proof)!r}, 'w').write(os.environ['ELASTICJOB_TOKEN_DIR'])\n"
    (package / "agent" / "__main__.py").write_text(code)
    body = manifests.agent_config_map(cluster.namespace, build(package))
    body["metadata"] |= {"name": NAME, "labels": labels}
    return body, proof


def agent_in(cluster: LocalCluster) -> Bundle:
    """The agent in the ConfigMap."""
    found = cluster.store.get(CONFIGMAPS, cluster.namespace, NAME)
    return Bundle(base64.b64decode(found["binaryData"][KEY]))


async def test_code_in_a_config_map_that_was_created_first_does_not_run(
    cluster: LocalCluster,
) -> None:
    body, proof = foreign_agent(cluster, labels={})
    cluster.store.create(CONFIGMAPS, cluster.namespace, body)
    job = cluster.apply("job", replicas=1)
    why = f"no pods can be created: the ConfigMap {NAME} has another binaryData: delete it"
    await job.is_(f"Pending: {why}")
    assert why in job.condition("PodsReady")["message"]
    await job.reports("PodsRefused", why)
    assert job.pods == {}
    cluster.store.delete(CONFIGMAPS, cluster.namespace, NAME)
    await job.runs(1, pods=1)
    assert not proof.exists()
    assert agent_in(cluster) == build()


async def test_code_in_a_config_map_with_the_operators_labels_is_replaced(
    cluster: LocalCluster,
) -> None:
    body, proof = foreign_agent(cluster, SHIPPED["metadata"]["labels"])
    del body["immutable"]
    cluster.store.create(CONFIGMAPS, cluster.namespace, body)
    await cluster.running("job", replicas=1)
    assert not proof.exists()
    assert agent_in(cluster) == build()


async def test_code_in_a_config_map_that_is_exchanged_later_does_not_run(
    cluster: LocalCluster,
) -> None:
    """The operator has just read the shipped one, and replaces a pod."""
    job = await cluster.running("job", replicas=2)
    body, proof = foreign_agent(cluster, SHIPPED["metadata"]["labels"])
    cluster.store.delete(CONFIGMAPS, cluster.namespace, NAME)
    cluster.store.create(CONFIGMAPS, cluster.namespace, body)
    job.delete_pod("0-0")
    await job.until(lambda: "0-1" in str(job.pods) and job.ended("0-1"), "the end of 0-1")
    why = f"{KEY} has another SHA-256 than the pod's command: delete the ConfigMap"
    why = f"ConfigMap {NAME}: {why}"
    assert job.ended("0-1")["exitCode"] == 75
    assert why in job.ended("0-1")["message"]
    await job.until(lambda: why in job.condition("PodsReady")["message"], "why")
    assert job.phase.startswith("Restarting: 1/2 agents cannot start")
    await cluster.prints(job.pod("0-1"), why)
    assert not proof.exists()
    assert job.status["counted"] == 0


async def test_a_role_binding_that_was_created_first_gives_no_other_rights(
    cluster: LocalCluster,
) -> None:
    """The job's UID is known as soon as the job exists, and any label can be written."""
    await cluster.take_operator_away()
    job = cluster.apply("job", replicas=1)
    meta = cluster.store.get(cluster.jobs, cluster.namespace, "job")["metadata"]
    body = {
        "metadata": {
            "name": names.service_account_name("job"),
            "labels": {names.LABEL_JOB: "job", names.LABEL_JOB_UID: meta["uid"]},
        },
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "mine"},
        "subjects": [{"kind": "ServiceAccount", "name": "mine", "namespace": cluster.namespace}],
    }
    cluster.store.create(ROLEBINDINGS, cluster.namespace, body)
    cluster.bring_operator_back()
    await job.runs(1, pods=1)
    found = cluster.store.get(ROLEBINDINGS, cluster.namespace, names.service_account_name("job"))
    assert found["roleRef"]["name"] == names.AGENT_CLUSTER_ROLE
    assert [each["name"] for each in found["subjects"]] == [names.service_account_name("job")]


async def test_a_pod_that_was_created_first_is_not_taken_for_the_jobs(
    cluster: LocalCluster,
) -> None:
    """A pod with the label of the job's UID alone: the watch of the operator does not select it."""
    await cluster.take_operator_away()
    job = cluster.apply("job", replicas=1)
    uid = cluster.store.get(cluster.jobs, cluster.namespace, "job")["metadata"]["uid"]
    body = {
        "metadata": {"name": "job-0-0", "labels": {names.LABEL_JOB_UID: uid}},
        "spec": {"containers": [{"name": "a", "image": "b", "command": ["sleep", "1000"]}]},
    }
    cluster.store.create(PODS, cluster.namespace, body)
    cluster.bring_operator_back()
    await job.runs(1, pods=1)
    assert list(job.pods) == ["job-0-1"]
    cluster.store.delete(PODS, cluster.namespace, "job-0-0", {"gracePeriodSeconds": 0})
