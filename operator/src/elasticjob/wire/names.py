"""The names that operator and agents share. No other package contains the label prefix."""

from __future__ import annotations

from elasticjob.wire.codec import whole_number

GROUP = "elasticjob.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
KIND = "ElasticJob"
PLURAL = "elasticjobs"
SINGULAR = "elasticjob"
SHORT_NAME = "ejob"

_PREFIX = f"{GROUP}/"
LABEL_JOB = f"{_PREFIX}job"
LABEL_JOB_UID = f"{_PREFIX}job-uid"
LABEL_INDEX = f"{_PREFIX}index"
LABEL_GENERATION = f"{_PREFIX}generation"
LABEL_LEASE = f"{_PREFIX}lease"
LEASE_ROUND = "round"
LEASE_AGENT = "agent"

# On the Round Lease.
ANNOTATION_DESIRED = f"{_PREFIX}desired"  # written by the operator only
ANNOTATION_ROUND = f"{_PREFIX}round"  # written by agents only, guarded by compare-and-swap
ANNOTATION_REPORT = f"{_PREFIX}report"  # written by the holder only, with its pulse
# On an agent Lease. Each has one writer, so that a renewal never removes a mark.
ANNOTATION_AGENT = f"{_PREFIX}agent"  # written by the agent only
ANNOTATION_ENDED = f"{_PREFIX}ended"  # written by the operator only
# On the ElasticJob: the user writes any new value to restart the job once.
ANNOTATION_RESTART = f"{_PREFIX}restart"
# On pods: what they were made from, as it was written, and each field with what it means.
ANNOTATION_TEMPLATE_HASH = f"{_PREFIX}template-hash"
ANNOTATION_TEMPLATE_FIELDS = f"{_PREFIX}template-fields"

AGENT_CLUSTER_ROLE = "elasticjob-agent"


def round_lease_name(job: str) -> str:
    """The name of the Round Lease of a job."""
    return f"{job}-round"


def pod_name(job: str, index: int, generation: int) -> str:
    """The name of a pod and of its agent Lease. No other pod of the job ever has this name."""
    return f"{job}-{index}-{generation}"


def parse_pod_name(name: str) -> tuple[int, int]:
    """The index and generation in a pod name. Raises ValueError if it is none."""
    parts = name.rsplit("-", 2)
    if len(parts) == 3 and parts[0]:
        index, generation = whole_number(parts[1]), whole_number(parts[2])
        if index is not None and generation is not None:
            return index, generation
    raise ValueError(f"{name!r} is not a pod name")


def job_name(name: str) -> str:
    """The job name in a pod name."""
    return name.rsplit("-", 2)[0]


def service_account_name(job: str) -> str:
    """The name of the ServiceAccount of a job's agents."""
    return f"elasticjob-{job}"
