"""A small valid ElasticJob as the API server stores it, whose fields a test can replace."""

from __future__ import annotations

import copy
from typing import Any

from elasticjob.wire import names
from elasticjob.wire.codec import Json

_SPEC: Json = {
    "replicas": 4,
    "nprocPerNode": 1,
    "maxRestarts": 10,
    "stopGraceSeconds": 25,
    "crashGraceSeconds": 3,
    "suspend": False,
    "cleanPodPolicy": "Running",
}


def elastic_job(name: str = "demo", *, pod: Json | None = None, **spec: Any) -> Json:
    """A job with the schema's defaults. `pod` replaces the template's spec, `spec` other fields."""
    template = {"spec": pod if pod is not None else {"containers": [worker()]}}
    return copy.deepcopy(
        {
            "apiVersion": names.API_VERSION,
            "kind": names.KIND,
            "metadata": {"name": name, "namespace": "team", "uid": f"uid-of-{name}"},
            "spec": {**_SPEC, "template": template, **spec},
        }
    )


def worker(name: str = "worker", **fields: Any) -> Json:
    """A container that can be a job's worker container."""
    return {"name": name, "image": "python:3.12", "command": ["python3", "train.py"], **fields}
