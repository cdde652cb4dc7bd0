"""The resource ElasticJob on the local server."""

from __future__ import annotations

from typing import Any

import pytest

from elasticjob.api.rules import RULES
from elasticjob.local.api.kinds import jobs
from elasticjob.local.api.kinds.definitions import Definitions
from elasticjob.local.api.kinds.validation import admit
from elasticjob.local.api.objects.builtins import BUILTINS, CRDS, NAMESPACES, PODS
from elasticjob.local.api.objects.errors import ApiError
from elasticjob.local.api.objects.resource import Resource
from elasticjob.local.api.objects.store import Store
from elasticjob.wire.names import GROUP, PLURAL


@pytest.fixture
def store() -> Store:
    store = Store(BUILTINS)
    store.admission.append(admit)
    Definitions(store)
    store.admission += jobs.admission()
    for definition in jobs.definitions():
        store.create(CRDS, "", definition)
    store.create(NAMESPACES, "", {"metadata": {"name": "n"}})
    return store


@pytest.fixture
def resource(store: Store) -> Resource:
    return store.resources[GROUP, PLURAL]


def job(**spec: Any) -> dict[str, Any]:
    containers = [{"name": "w", "image": "i", "command": ["python"]}]
    return {
        "metadata": {"name": "j"},
        "spec": {"template": {"spec": {"containers": containers}}, **spec},
    }


def test_a_valid_job_gets_defaults(store: Store, resource: Resource) -> None:
    assert "maxRestarts" in store.create(resource, "n", job(replicas=2))["spec"]


def test_a_job_that_violates_a_rule_is_refused_with_its_message(
    store: Store, resource: Resource
) -> None:
    with pytest.raises(ApiError) as caught:
        store.create(resource, "n", job(replicas=1, minReplicas=2))
    assert (caught.value.code, caught.value.reason) == (422, "Invalid")
    (cause,) = caught.value.details["causes"]
    assert (cause["field"], cause["reason"]) in {(rule.path, rule.reason) for rule in RULES}


def test_every_reason_has_a_message_start() -> None:
    assert {rule.reason for rule in RULES} <= set(jobs.MESSAGE_STARTS)


def test_other_resources_are_admitted() -> None:
    assert jobs.admit(PODS, {"anything": 1}, None) == {"anything": 1}
