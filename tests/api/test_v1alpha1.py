"""The models parse what the API server stores, and preserve or ignore unknown fields."""

from __future__ import annotations

import pytest
from pydantic import ValidationError
from tests.support.jobs import elastic_job, worker

from elasticjob.api.v1alpha1 import ElasticJob, ElasticJobSpec


def test_a_stored_job_is_parsed() -> None:
    job = ElasticJob.model_validate(elastic_job(minReplicas=2))
    assert (job.spec.replicas, job.spec.min_replicas, job.spec.max_replicas) == (4, 2, None)
    assert job.spec.clean_pod_policy == "Running"


def test_the_template_keeps_all_its_fields() -> None:
    pod = {
        "containers": [worker(resources={"limits": {"cpu": "1"}})],
        "nodeSelector": {"zone": "a"},
        "volumes": [{"name": "data", "emptyDir": {}}],
    }
    spec = ElasticJobSpec.model_validate(elastic_job(pod=pod)["spec"])
    assert spec.template.model_dump(by_alias=True, exclude_none=True) == {"spec": pod}


@pytest.mark.parametrize(
    "wrong",
    [
        {"replicas": 0},
        {"maxRestarts": -1},
        {"cleanPodPolicy": "Some"},
        {"nprocPerNode": 0},
        {"containerName": ""},
        {"template": {"spec": {"containers": []}}},
    ],
)
def test_values_out_of_bounds_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ElasticJob.model_validate(elastic_job(**wrong))


def test_the_status_of_a_later_release_is_accepted() -> None:
    ElasticJob.model_validate({**elastic_job(), "status": {"phase": "Running", "later": 1}})
