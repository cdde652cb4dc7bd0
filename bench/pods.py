"""What a kubelet would say of pods: no kubelet is here, so the bench says it."""

from __future__ import annotations

from typing import Any

from bench.crew import address
from bench.ledger import STUB

from elasticjob.wire import names

Json = dict[str, Any]


def job(name: str, replicas: int, **spec: Any) -> Json:
    """An ElasticJob of stub workers."""
    container = {"name": "worker", "image": "none", "command": ["bash", "-c", STUB]}
    template = {"spec": {"containers": [container]}}
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND,
        "metadata": {"name": name},
        "spec": {"replicas": replicas, "template": template, **spec},
    }


def running(index: int) -> Json:
    """The patch of a pod's status: its worker container runs."""
    container = {
        "name": "worker",
        "image": "none",
        "imageID": "none",
        "ready": True,
        "restartCount": 0,
        "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}},
    }
    return {
        "status": {
            "phase": "Running",
            "podIP": address(index),
            "podIPs": [{"ip": address(index)}],
            "containerStatuses": [container],
        }
    }


def selector(name: str) -> str:
    """Of a job's pods."""
    return f"{names.LABEL_JOB}={name}"
