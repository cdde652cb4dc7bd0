"""Values from a job's template: account, hash, and grace of its pods. Pure."""

from __future__ import annotations

import hashlib
import json

from elasticjob.api.rules import worker_container
from elasticjob.wire import names
from elasticjob.wire.codec import Json

HASH_LENGTH = 10
AGENT_GRACE_S = 5  # after the workers' grace: the agent kills what is left, and reports the end


def template_account(job: Json) -> str:
    """The account that the template names; empty if it names none."""
    spec = job["spec"]["template"]["spec"]
    # serviceAccount is the old name, which the API server still accepts.
    return str(spec.get("serviceAccountName") or spec.get("serviceAccount") or "")


def template_hash(job: Json) -> str:
    """The hash of the fields that pods are made from: another hash means new pods.

    The annotation `restart` is one of them, so that a user can restart a job. The agent is not, so
    that an upgrade of the operator restarts no job.
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
    """Seconds of grace of the job's pods: the template's, but at least what the agent needs."""
    wanted = job["spec"]["template"]["spec"].get("terminationGracePeriodSeconds", 0)
    return max(int(wanted), int(job["spec"]["stopGraceSeconds"]) + AGENT_GRACE_S)
