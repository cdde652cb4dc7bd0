"""The two kinds of Lease as the API server stores them, and the patches that change them.

Every patch is a JSON merge patch and a compare-and-swap: the API server answers 409 if the object
has another resourceVersion than `version`. Callers pass times as text, as this module has no clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from elasticjob.wire import names
from elasticjob.wire.agent_state import AgentPhase, AgentState
from elasticjob.wire.codec import (
    Admit,
    Json,
    WireError,
    as_is,
    dump,
    fields_of,
    flag,
    load,
    short_repr,
    text,
    whole_number,
)
from elasticjob.wire.dataclasses import dataclass
from elasticjob.wire.desired import Desired
from elasticjob.wire.member import Pod, pod_from_name
from elasticjob.wire.report import Report
from elasticjob.wire.round import Round

LEASE_API = "coordination.k8s.io/v1"

# Most versions of a Lease change its renewTime only, so the same texts come again and again.
_KEPT = 8
_desired = lru_cache(_KEPT)(Desired.from_json)
_state = lru_cache(_KEPT)(AgentState.from_json)
_known_round = lru_cache(_KEPT)(Round.from_json)


@dataclass(frozen=True)
class JobIdentity:
    """The job that a Lease belongs to. A new job of the same name has another UID."""

    namespace: str
    name: str
    uid: str


@dataclass(frozen=True)
class RoundLease:
    """The Round Lease of a job."""

    version: str  # resourceVersion
    uid: str
    job_uid: str
    desired: Desired
    round: Round
    holder: str = ""  # pod name of the holder; empty: none
    renew_time: str = ""  # of the holder's last pulse
    report: Report | None = None


@dataclass(frozen=True)
class AgentLease:
    """The agent Lease of a pod."""

    name: str
    pod: Pod
    version: str  # resourceVersion
    uid: str
    job_uid: str
    nonce: str  # identifies the incarnation of the agent
    renew_time: str
    state: AgentState
    ended: bool = False  # the operator has marked the Lease
    excused: bool = False  # the mark excuses the loss, see EndedMark


@dataclass(frozen=True)
class EndedMark:
    """The annotation `ended`, by which the operator marks an agent Lease."""

    reason: str  # why the pod is gone
    # The loss is not counted: the pod was deleted, evicted or preempted, or its loss was counted.
    excused: bool = False

    def to_json(self) -> str:
        """Encode the annotation."""
        return dump({"reason": self.reason, "excused": self.excused})

    @staticmethod
    def is_excused(annotation: Any) -> bool:
        """Whether this annotation excuses the loss. A malformed mark excuses nothing."""
        try:
            return isinstance(annotation, str) and flag(load(annotation, "ended"), "excused", "")
        except WireError:
            return False


def round_manifest(job: JobIdentity, desired: Desired, round_: Round) -> Json:
    """The Round Lease as the operator creates it, owned by the ElasticJob."""
    owner = {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND,
        "name": job.name,
        "uid": job.uid,
        "controller": True,
    }
    return {
        "apiVersion": LEASE_API,
        "kind": "Lease",
        "metadata": {
            "name": names.round_lease_name(job.name),
            "namespace": job.namespace,
            "labels": _labels(job, names.LEASE_ROUND),
            "annotations": {
                names.ANNOTATION_DESIRED: desired.to_json(),
                names.ANNOTATION_ROUND: round_.to_json(),
            },
            "ownerReferences": [owner],
        },
        "spec": {},
    }


def desired_patch(desired: Desired, version: str) -> Json:
    """The operator writes another `desired`."""
    return _patch(version, {names.ANNOTATION_DESIRED: desired.to_json()})


def round_again_patch(desired: Desired, round_: Round, version: str) -> Json:
    """Rule 9: the operator replaces a round whose members it has not created, and its report."""
    annotations = {
        names.ANNOTATION_DESIRED: desired.to_json(),
        names.ANNOTATION_ROUND: round_.to_json(),
        names.ANNOTATION_REPORT: None,
    }
    return _patch(version, annotations)


def round_patch(round_: Round, version: str, report: Report | None = None) -> Json:
    """Rules 4, 8: an agent writes the next round, and the last report with a terminal one."""
    annotations = {names.ANNOTATION_ROUND: round_.to_json()}
    if report is not None:
        annotations[names.ANNOTATION_REPORT] = report.to_json()
    return _patch(version, annotations)


def holder_patch(holder: str, now_text: str, version: str) -> Json:
    """Rules 5, 6, 9: claim the holder (a pod name) or clear it (empty)."""
    spec = {"holderIdentity": holder or None, "renewTime": now_text if holder else None}
    return {**_patch(version, {}), "spec": spec}


def pulse_patch(report: Report, now_text: str, version: str) -> Json:
    """Rule 6: the holder writes its pulse and its report."""
    body = _patch(version, {names.ANNOTATION_REPORT: report.to_json()})
    return {**body, "spec": {"renewTime": now_text}}


def agent_manifest(
    job: JobIdentity, round_lease_uid: str, pod: Pod, nonce: str, state: AgentState, now_text: str,
    duration_s: float,
) -> Json:  # fmt: skip
    """An agent Lease, owned by the Round Lease, which a deleted job owns in turn."""
    return {
        "apiVersion": LEASE_API,
        "kind": "Lease",
        "metadata": {
            "name": names.pod_name(job.name, pod.index, pod.generation),
            "namespace": job.namespace,
            "labels": _agent_labels(job, pod),
            "annotations": {names.ANNOTATION_AGENT: state.to_json()},
            "ownerReferences": [_owner(job, round_lease_uid)],
        },
        "spec": {
            "holderIdentity": nonce,
            "renewTime": now_text,
            "leaseDurationSeconds": max(1, round(duration_s)),
        },
    }


def _owner(job: JobIdentity, round_lease_uid: str) -> Json:
    name = names.round_lease_name(job.name)
    return {"apiVersion": LEASE_API, "kind": "Lease", "name": name, "uid": round_lease_uid}


def agent_patch(state: AgentState, now_text: str, version: str) -> Json:
    """Rule 3: an agent renews its Lease with its current state."""
    body = _patch(version, {names.ANNOTATION_AGENT: state.to_json()})
    return {**body, "spec": {"renewTime": now_text}}


def ended_patch(job: JobIdentity, round_lease_uid: str, mark: EndedMark, version: str) -> Json:
    """Rule 9: the operator marks the Lease of a pod that has ended or is given up.

    The owner is the current Round Lease: if the one before was deleted, garbage collection would
    delete the mark.
    """
    body = _patch(version, {names.ANNOTATION_ENDED: mark.to_json()})
    body["metadata"]["ownerReferences"] = [_owner(job, round_lease_uid)]
    return body


def ended_manifest(
    job: JobIdentity, round_lease_uid: str, pod: Pod, mark: EndedMark, n: int
) -> Json:
    """Rule 9: a marked Lease, which the operator creates for a given-up pod without a Lease."""
    body = agent_manifest(
        job, round_lease_uid, pod, "", AgentState(AgentPhase.READY, n), "", duration_s=1
    )
    body["metadata"]["annotations"][names.ANNOTATION_ENDED] = mark.to_json()
    body["spec"] = {}
    return body


def parse_round(lease: Json, admit: Admit = as_is) -> RoundLease:
    """Decode the Round Lease of a job. Raises WireError.

    admit: receives the pods that the round and the report name.
    """
    meta, spec = _part(lease, "metadata"), _part(lease, "spec")
    annotations = _part(meta, "annotations")
    report = _text(annotations, names.ANNOTATION_REPORT)
    return RoundLease(
        version=_version(meta),
        uid=_text(meta, "uid"),
        job_uid=job_uid_of(lease),
        desired=_desired(_annotation(annotations, names.ANNOTATION_DESIRED)),
        round=_round(_annotation(annotations, names.ANNOTATION_ROUND), admit),
        holder=_text(spec, "holderIdentity"),
        renew_time=_text(spec, "renewTime"),
        report=Report.from_json(report, admit) if report else None,
    )


def parse_agent(lease: Json, job: JobIdentity) -> AgentLease:
    """Decode an agent Lease of this job. Raises WireError, also for any other Lease.

    The name decides which pod's Lease it is: an agent may write any label on its own Lease, but the
    admission policy refuses a Lease of another name.
    """
    meta, spec = _part(lease, "metadata"), _part(lease, "spec")
    labels, annotations = _part(meta, "labels"), _part(meta, "annotations")
    return AgentLease(
        name=_text(meta, "name"),
        pod=_pod(meta, labels, job),
        version=_version(meta),
        uid=_text(meta, "uid"),
        job_uid=_text(labels, names.LABEL_JOB_UID),
        nonce=_text(spec, "holderIdentity"),
        renew_time=_text(spec, "renewTime"),
        state=_state(_annotation(annotations, names.ANNOTATION_AGENT)),
        ended=names.ANNOTATION_ENDED in annotations,
        excused=EndedMark.is_excused(annotations.get(names.ANNOTATION_ENDED)),
    )


def _round(annotation: str, admit: Admit) -> Round:
    return _known_round(annotation) if admit is as_is else Round.from_json(annotation, admit)


def job_uid_of(lease: Json) -> str:
    """The job UID in the labels of a Lease; empty if it has none. Raises WireError."""
    return _text(_part(_part(lease, "metadata"), "labels"), names.LABEL_JOB_UID)


def _labels(job: JobIdentity, kind: str) -> dict[str, str]:
    return {
        names.LABEL_JOB: job.name,
        names.LABEL_JOB_UID: job.uid,
        names.LABEL_LEASE: kind,
    }


def _agent_labels(job: JobIdentity, pod: Pod) -> dict[str, str]:
    return {
        **_labels(job, names.LEASE_AGENT),
        names.LABEL_INDEX: str(pod.index),
        names.LABEL_GENERATION: str(pod.generation),
    }


def _patch(version: str, annotations: Mapping[str, str | None]) -> Json:
    meta: Json = {"resourceVersion": version}
    if annotations:
        meta["annotations"] = dict(annotations)
    return {"metadata": meta}


def _part(owner: Json, key: str) -> Json:
    """The object in this field; empty if the field is absent or null."""
    found = fields_of(owner, "the Lease").get(key)
    return fields_of({} if found is None else found, f"the Lease's {key}")


def _text(part: Json, key: str, what: str = "the Lease's metadata") -> str:
    return "" if part.get(key) is None else text(part, key, what)


def _annotation(annotations: Json, key: str) -> str:
    if key not in annotations:
        raise WireError(f"the Lease has no annotation {key}")
    return text(annotations, key, "the Lease's annotations")


def _version(meta: Json) -> str:
    """The resourceVersion, which the rules compare: since KEP-5504 a growing decimal number."""
    version = _text(meta, "resourceVersion")
    if whole_number(version) is None:
        found = short_repr(version)
        raise WireError(f"the Lease's metadata.resourceVersion is {found}, not a number")
    return version


def _pod(meta: Json, labels: Json, job: JobIdentity) -> Pod:
    """The pod that the Lease's name names. The labels must agree, as selectors use them."""
    name, namespace = _text(meta, "name"), _text(meta, "namespace")
    pod, lease = pod_from_name(name, job.name), f"the Lease {short_repr(name)}"
    if pod is None:
        raise WireError(f"{lease} is not named like a pod of {job.name}")
    if namespace != job.namespace:
        raise WireError(f"{lease} is in another namespace: {short_repr(namespace)}")
    for key, value in _agent_labels(job, pod).items():
        if labels.get(key) != value:
            found = short_repr(labels.get(key))
            raise WireError(f"the label {key} of {lease} is {found}, not {value}")
    return pod
