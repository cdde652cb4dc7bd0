"""What the operator reads from a job's template: account, hash, and grace of its pods. Pure."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from elasticjob.api.rules import worker_container
from elasticjob.wire import names

Json = dict[str, Any]

HASH_LENGTH = 10
GOODBYE_S = 5


def template_account(job: Json) -> str:
    """The account that the template names; empty: none."""
    spec = job["spec"]["template"]["spec"]
    # serviceAccount is the old name, which the API server still takes.
    return str(spec.get("serviceAccountName") or spec.get("serviceAccount") or "")


def template_hash(job: Json) -> str:
    """Ten digits for all of the spec that pods are made from: another hash, other pods.

    Another value of the annotation `restart` gives other pods too: so a person restarts a job. The
    agent is not in it: an upgrade of the operator restarts no job.
    """
    spec, marks = job["spec"], job["metadata"].get("annotations") or {}
    made_from = {
        "template": spec["template"],
        "container": worker_container(spec),
        "nproc": spec["nprocPerNode"],
        "grace": pod_grace_s(job),
    }
    if restart := marks.get(names.ANNOTATION_RESTART):
        made_from["restart"] = restart
    text = json.dumps(made_from, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:HASH_LENGTH]


def pod_grace_s(job: Json) -> int:
    """Seconds of grace of the job's pods: its own stop grace and what the agent needs to leave."""
    asked = job["spec"]["template"]["spec"].get("terminationGracePeriodSeconds", 0)
    return max(int(asked), int(job["spec"]["stopGraceSeconds"]) + GOODBYE_S)
