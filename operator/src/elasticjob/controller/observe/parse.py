"""Parsing of what the API server stores into the frozen records that a plan reads."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pydantic import ValidationError

from elasticjob.api.rules import violations_of_stored
from elasticjob.api.v1alpha1 import ElasticJobSpec, ElasticJobStatus
from elasticjob.controller.observe.containers import (
    NOT_REPORTED,
    ContainerState,
    InitContainer,
    WorkerContainer,
    are_all_terminated,
    init_container,
    never_ran,
    words,
    worker_container,
    worker_container_name,
)
from elasticjob.controller.observe.template import (
    LONGEST_FIELDS,
    template_account,
    template_fields,
    template_hash,
)
from elasticjob.wire import lease as leases
from elasticjob.wire import names, untrusted
from elasticjob.wire.codec import Json, load_tagged
from elasticjob.wire.member import Pod, load_pods, pod_from_name

# Reasons of the condition DisruptionTarget that the job cannot have caused: the scheduler, the node
# or a user ended the pod. TerminationByKubelet is missing, as it also stands for memory pressure,
# which the job may have caused; a node that shuts down has a reason in the pod's status.
_DISRUPTIONS = {
    "PreemptionByScheduler",
    "EvictionByEvictionAPI",
    "DeletionByTaintManager",
    "DeletionByPodGC",
}
DEEPEST_SPEC = 50  # levels; a pod's own fields are nested about 15 levels deep
_SHOWN_FINALIZERS = 3
_LONGEST_NAME = 253
_NODE_SHUTS_DOWN = {"Terminated", "NodeShutdown", "Shutdown", "NodeLost"}


@dataclass(frozen=True)
class ObservedPod:
    """The fields of a pod that a plan depends on."""

    name: str
    uid: str
    pod: Pod
    job_uid: str  # of the job that controls it, or else in its label
    template_hash: str = ""
    node: str = ""
    container: WorkerContainer = NOT_REPORTED
    init: InitContainer | None = None  # that keeps its containers from starting
    all_terminated: bool = False  # all containers, not only the worker container
    deleting: bool = False
    finalizers: tuple[str, ...] = ()  # what keeps it, if it is being deleted
    grace_s: float = 30.0
    disrupted: bool = False  # ended for a reason outside of the job
    unschedulable: str = ""  # the scheduler's message if it has found no node
    accepted: bool = True  # the kubelet of its node has acknowledged it
    template_fields: str = ""  # empty: an operator of an earlier release created it

    @property
    def living(self) -> bool:
        """Whether its agent may still run."""
        return self.container.state is not ContainerState.TERMINATED

    @property
    def excused(self) -> bool:
        """Whether the job has not caused its end."""
        return self.deleting or self.disrupted


def pod(body: Json) -> ObservedPod | None:
    """Parse a pod of a job; None for any other pod, even if it has the labels of one.

    A pod of a job has a name that only a pod of this job has, it runs an agent, and no other
    controller owns it. Labels can be changed: that of the job only selects, that of its UID counts
    while the pod has no controller, that is after a deletion of the job with `--cascade=orphan`.
    """
    meta, spec, status = body["metadata"], body.get("spec") or {}, body.get("status") or {}
    labels = meta.get("labels") or {}
    place = pod_from_name(meta["name"], labels.get(names.LABEL_JOB, ""))
    controller = _controller_uid(meta)
    if place is None or controller is None or not worker_container_name(spec):
        return None
    conditions = {c.get("type"): c for c in status.get("conditions") or []}
    marks = meta.get("annotations") or {}
    container = worker_container(spec, status)
    return ObservedPod(
        name=meta["name"],
        uid=meta["uid"],
        pod=place,
        job_uid=controller or labels.get(names.LABEL_JOB_UID, ""),
        template_hash=marks.get(names.ANNOTATION_TEMPLATE_HASH, ""),
        template_fields=_template_fields(marks),
        node=spec.get("nodeName") or "",
        container=container,
        init=init_container(spec, status) if never_ran(container) else None,
        all_terminated=are_all_terminated(spec, status),
        deleting="deletionTimestamp" in meta,
        finalizers=finalizers(meta),
        grace_s=float(spec.get("terminationGracePeriodSeconds") or 0),
        disrupted=_is_disrupted(status, conditions),
        unschedulable=_unschedulable(conditions.get("PodScheduled") or {}),
        accepted="startTime" in status or bool(status.get("containerStatuses")),
    )


def _template_fields(marks: Json) -> str:
    """The fields of the template, which all pods of a template share in memory."""
    found = str(marks.get(names.ANNOTATION_TEMPLATE_FIELDS) or "")
    return sys.intern(found) if len(found) <= LONGEST_FIELDS else ""


def _controller_uid(meta: Json) -> str | None:
    """The UID of the job that controls an object; empty without a controller, and None if the
    controller is no job. Garbage collection deletes the object with its controller."""
    for owner in meta.get("ownerReferences") or ():
        if owner.get("controller"):
            group = owner["apiVersion"].partition("/")[0]  # in any version
            is_job = (group, owner["kind"]) == (names.GROUP, names.KIND)
            return str(owner["uid"]) if is_job else None
    return ""


def finalizers(meta: Json) -> tuple[str, ...]:
    """The first finalizers of an object that is being deleted; empty if it is not."""
    found = meta.get("finalizers") if "deletionTimestamp" in meta else None
    shown = found[:_SHOWN_FINALIZERS] if isinstance(found, list) else ()
    return tuple(str(each)[:_LONGEST_NAME] for each in shown)


def _is_disrupted(status: Json, conditions: Mapping[Any, Json]) -> bool:
    disruption = conditions.get("DisruptionTarget") or {}
    reason = disruption.get("reason") if disruption.get("status") == "True" else None
    return reason in _DISRUPTIONS or status.get("reason") in _NODE_SHUTS_DOWN


def _unschedulable(scheduled: Json) -> str:
    """Why the scheduler has found no node, also if it waits for a gate or failed."""
    if scheduled.get("status") != "False":
        return ""
    return words(scheduled, "message") or words(scheduled, "reason") or "Unschedulable"


@dataclass(frozen=True)
class Job:
    """An ElasticJob."""

    body: Json
    spec: ElasticJobSpec | None  # None: it is invalid
    status: ElasticJobStatus
    faults: tuple[tuple[str, str], ...] = ()  # field and fault, if it is invalid

    @property
    def namespace(self) -> str:
        """The namespace of the job."""
        return str(self.body["metadata"]["namespace"])

    @property
    def name(self) -> str:
        """The name of the job; a later job of the same name has another UID."""
        return str(self.body["metadata"]["name"])

    @property
    def uid(self) -> str:
        """The UID of the job, which no other job has."""
        return str(self.body["metadata"]["uid"])

    @property
    def version(self) -> str:
        """The resourceVersion, on which a write of the status depends."""
        return str(self.body["metadata"]["resourceVersion"])

    @property
    def generation(self) -> int:
        """The generation of the spec."""
        return int(self.body["metadata"].get("generation", 1))

    @property
    def deleting(self) -> bool:
        """Whether the job is being deleted; garbage collection deletes its objects."""
        return "deletionTimestamp" in self.body["metadata"]

    @cached_property
    def template_hash(self) -> str:
        """The template hash of pods that are created from this spec."""
        return template_hash(self.body)

    @cached_property
    def template_fields(self) -> str:
        """The fields of the template of this spec. Computed only if another hash needs them."""
        return template_fields(self.body)

    @property
    def identity(self) -> leases.JobIdentity:
        """The job as its Leases identify it."""
        return leases.JobIdentity(self.namespace, self.name, self.uid)

    def pod_name(self, pod_: Pod) -> str:
        """The name of a pod and of its agent's Lease."""
        return names.pod_name(self.name, pod_.index, pod_.generation)


def job(body: Json, *, template_accounts: Collection[str] = ()) -> Job:
    """Parse and validate an ElasticJob.

    template_accounts: the accounts that its template may name for its pods.
    """
    status = _status(body.get("status") or {})
    try:
        spec = ElasticJobSpec.model_validate(body.get("spec") or {})
    except ValidationError as error:
        return Job(body, None, status, tuple(_fault(e) for e in error.errors()))
    faults = (
        *_depth_faults(body),
        *violations_of_stored(body),
        *_account_faults(body, template_accounts),
    )
    return Job(body, None if faults else spec, status, faults)


def _depth_faults(body: Json) -> Iterator[tuple[str, str]]:
    """A fault if the spec is nested too deep: the API server does not limit it, see `untrusted`."""
    if untrusted.is_nested_deeper(body.get("spec"), DEEPEST_SPEC):
        yield "spec.template", f"remove values that are nested more than {DEEPEST_SPEC} levels deep"


def _account_faults(body: Json, allowed: Collection[str]) -> Iterator[tuple[str, str]]:
    """A fault if the template names an account that is not allowed."""
    account = template_account(body)
    if account and account not in allowed:
        cure = f"leave it out, or add {account} to templateServiceAccounts in the operator's chart"
        yield "spec.template.spec.serviceAccountName", cure


def _fault(error: Any) -> tuple[str, str]:
    path = ".".join(["spec", *map(str, error["loc"])])
    return untrusted.plain(path), untrusted.plain(str(error["msg"]))


def _status(fields: Json) -> ElasticJobStatus:
    """Parse a status. An invalid one is dropped, and computed again from Round Lease and pods."""
    try:
        found = ElasticJobStatus.model_validate(fields)
    except ValidationError:
        return ElasticJobStatus()
    broken = [name for name, read in _RECORDS.items() if not _can_read(getattr(found, name), read)]
    return found.model_copy(update=dict.fromkeys(broken)) if broken else found


def _can_read(text: str | None, read: Callable[[str, str], object]) -> bool:
    try:
        read(text or "", "the status")
    except untrusted.WireError:
        return False
    return True


_RECORDS: Mapping[str, Callable[[str, str], object]] = {
    "generations": load_pods,
    "blamed": lambda text, what: load_tagged(text, "x", what),
}
"""The texts of the status that a plan reads."""
