"""From what the API server stores to what a plan looks at: dicts in, frozen records out.

A pod is judged by its worker container, not by its phase: a service mesh's sidecar outlives the
agent, and the pod then stays Running although nothing of the job is in it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import Any

from pydantic import ValidationError

from elasticjob.api.reserved import AGENT_DIRECTORY
from elasticjob.api.rules import violations_of_stored
from elasticjob.api.v1alpha1 import ElasticJobSpec, ElasticJobStatus
from elasticjob.controller import untrusted
from elasticjob.controller.observe.template import template_account, template_hash
from elasticjob.wire import lease as leases
from elasticjob.wire import names
from elasticjob.wire.codec import whole_number
from elasticjob.wire.member import Pod

Json = dict[str, Any]

# A pod that ends for one of these was taken away, by the scheduler, the node or a person; it did
# not bring it about. TerminationByKubelet is missing: it is said of a node that shuts
# down, where status.reason tells, and of memory pressure, which the job may have made.
_TAKEN_AWAY = {
    "PreemptionByScheduler",
    "EvictionByEvictionAPI",
    "DeletionByTaintManager",
    "DeletionByPodGC",
}
LONGEST_MESSAGE = 12 * 1024  # the kubelet keeps so many bytes of a pod's termination messages
DEEPEST_SPEC = 50  # levels; a pod's own fields are nested about 15 levels deep
_NODE_SHUTS_DOWN = {"Terminated", "NodeShutdown", "Shutdown", "NodeLost"}


class ContainerState(Enum):
    """Where a worker container stands."""

    WAITING = "waiting"  # not started, or its image is on the way
    RUNNING = "running"  # the agent runs
    TERMINATED = "terminated"  # the agent has ended; it is never started again


@dataclass(frozen=True)
class WorkerContainer:
    """The worker container of a pod. reason, message: of its waiting, or of its end.

    finished_at: as the kubelet wrote it; only good for telling which of two ended later.
    """

    state: ContainerState = ContainerState.WAITING
    reason: str = ""
    message: str = ""
    exit_code: int | None = None
    finished_at: str = ""


@dataclass(frozen=True)
class ObservedPod:
    """A pod as far as it matters here. refused: why no node takes it, in the scheduler's words.

    over: all its containers have ended, not the worker container alone. accepted: its node's
    kubelet has said that it has seen it.
    """

    name: str
    uid: str
    pod: Pod
    job_uid: str
    template_hash: str = ""
    node: str = ""
    container: WorkerContainer = WorkerContainer()
    all_terminated: bool = False
    deleting: bool = False
    grace_s: float = 30.0
    disrupted: bool = False
    unschedulable: str = ""
    accepted: bool = True

    @property
    def living(self) -> bool:
        """Whether its agent may still do something."""
        return self.container.state is not ContainerState.TERMINATED

    @property
    def excused(self) -> bool:
        """Whether its leaving is nobody's fault in the job."""
        return self.deleting or self.disrupted


def pod(body: Json) -> ObservedPod | None:
    """A pod with our labels; None if they cannot be read, for then it is not ours."""
    meta, spec, status = body["metadata"], body.get("spec") or {}, body.get("status") or {}
    labels = meta.get("labels") or {}
    index = whole_number(labels.get(names.LABEL_INDEX, ""))
    generation = whole_number(labels.get(names.LABEL_GENERATION, ""))
    if index is None or generation is None:
        return None
    conditions = {c.get("type"): c for c in status.get("conditions") or []}
    return ObservedPod(
        name=meta["name"],
        uid=meta["uid"],
        pod=Pod(index, generation),
        job_uid=labels.get(names.LABEL_JOB_UID, ""),
        template_hash=(meta.get("annotations") or {}).get(names.ANNOTATION_TEMPLATE_HASH, ""),
        node=spec.get("nodeName") or "",
        container=_worker(spec, status),
        all_terminated=_is_over(spec, status),
        deleting="deletionTimestamp" in meta,
        grace_s=float(spec.get("terminationGracePeriodSeconds") or 0),
        disrupted=_taken_away(status, conditions),
        unschedulable=_unschedulable(conditions.get("PodScheduled") or {}),
        accepted="startTime" in status or bool(status.get("containerStatuses")),
    )


def _is_over(spec: Json, status: Json) -> bool:
    """A kubelet reports the ends of the containers first, and the phase a moment later."""
    if status.get("phase") in ("Succeeded", "Failed"):
        return True
    states = {c.get("name"): c.get("state") or {} for c in status.get("containerStatuses") or []}
    containers = spec.get("containers") or []
    return all("terminated" in states.get(c["name"], {}) for c in containers)


def _worker(spec: Json, status: Json) -> WorkerContainer:
    name = _worker_name(spec)
    found = [c for c in status.get("containerStatuses") or [] if c.get("name") == name]
    state = (found[0].get("state") or {}) if found else {}
    if "terminated" in state:
        return _ended(state["terminated"])
    if status.get("phase") in ("Succeeded", "Failed"):  # ended before its containers ran
        return WorkerContainer(
            ContainerState.TERMINATED, status.get("reason") or "", status.get("message") or ""
        )
    if "running" in state:
        return WorkerContainer(ContainerState.RUNNING)
    waiting = state.get("waiting") or {}
    return WorkerContainer(
        ContainerState.WAITING, waiting.get("reason") or "", waiting.get("message") or ""
    )


def _ended(state: Json) -> WorkerContainer:
    code = state.get("exitCode")
    return WorkerContainer(
        ContainerState.TERMINATED,
        state.get("reason") or "",
        termination_message(state.get("message") or ""),
        code if isinstance(code, int) else None,
        state.get("finishedAt") or "",
    )


def termination_message(text: str) -> str:
    """The agent's last word: `message` of the JSON that it writes, else the text as it is.

    Any process of the pod can write there as well. The answer can be written as UTF-8.
    """
    record = _record(text.encode(errors="replace")[-LONGEST_MESSAGE:])
    said = record.get("message") or "" if isinstance(record, dict) else text
    return said.encode(errors="replace").decode() if isinstance(said, str) else ""


def _record(raw: bytes) -> Any:
    """The JSON in a termination message; None if it is none, or deeper than an agent writes it."""
    try:
        return json.loads(raw.decode()) if untrusted.is_shallow(raw) else None
    except ValueError:
        return None


def _worker_name(spec: Json) -> str:
    """The container that was given the agent; the template may name another one by now."""
    for container in spec.get("containers") or []:
        mounts = container.get("volumeMounts") or []
        if any(mount.get("mountPath") == AGENT_DIRECTORY for mount in mounts):
            return str(container["name"])
    return ""


def _taken_away(status: Json, conditions: Mapping[Any, Json]) -> bool:
    disruption = conditions.get("DisruptionTarget") or {}
    said = disruption.get("reason") if disruption.get("status") == "True" else None
    return said in _TAKEN_AWAY or status.get("reason") in _NODE_SHUTS_DOWN


def _unschedulable(scheduled: Json) -> str:
    if scheduled.get("status") != "False" or scheduled.get("reason") != "Unschedulable":
        return ""
    return scheduled.get("message") or "Unschedulable"


@dataclass(frozen=True)
class Job:
    """An ElasticJob. spec None: it cannot be read or breaks a rule; `faults` says why."""

    body: Json
    spec: ElasticJobSpec | None
    status: ElasticJobStatus
    faults: tuple[tuple[str, str], ...] = ()

    @property
    def namespace(self) -> str:
        """Where it is."""
        return str(self.body["metadata"]["namespace"])

    @property
    def name(self) -> str:
        """Its name; a job made again under the same name has another UID."""
        return str(self.body["metadata"]["name"])

    @property
    def uid(self) -> str:
        """What tells it from others of its name."""
        return str(self.body["metadata"]["uid"])

    @property
    def version(self) -> str:
        """What a write of its status is computed from."""
        return str(self.body["metadata"]["resourceVersion"])

    @property
    def generation(self) -> int:
        """Which spec this is."""
        return int(self.body["metadata"].get("generation", 1))

    @property
    def deleting(self) -> bool:
        """Whether it is being deleted; garbage collection does the rest."""
        return "deletionTimestamp" in self.body["metadata"]

    @cached_property
    def template_hash(self) -> str:
        """What pods made from this spec carry."""
        return template_hash(self.body)

    @property
    def identity(self) -> leases.Job:
        """As the Leases name it."""
        return leases.Job(self.namespace, self.name, self.uid)

    def pod_name(self, pod_: Pod) -> str:
        """The name of this pod, and of its agent's Lease."""
        return names.pod_name(self.name, pod_.index, pod_.generation)


def job(body: Json, *, template_accounts: bool = True) -> Job:
    """An ElasticJob with its faults, if it has any.

    template_accounts: whether its template may name the account that its pods run as.
    """
    status = _status(body.get("status") or {})
    try:
        spec = ElasticJobSpec.model_validate(body.get("spec") or {})
    except ValidationError as error:
        return Job(body, None, status, tuple(_fault(e) for e in error.errors()))
    faults = (
        *_depth_faults(body),
        *violations_of_stored(body),
        *(() if template_accounts else _account_faults(body)),
    )
    return Job(body, None if faults else spec, status, faults)


def _depth_faults(body: Json) -> Iterator[tuple[str, str]]:
    """A template has fields that the API server does not know, of any depth; see `untrusted`."""
    if untrusted.is_nested_deeper(body.get("spec"), DEEPEST_SPEC):
        yield "spec.template", f"remove what is nested more than {DEEPEST_SPEC} levels deep"


def _account_faults(body: Json) -> Iterator[tuple[str, str]]:
    if template_account(body):
        path = "spec.template.spec.serviceAccountName"
        yield path, "leave it out, or have allowTemplateServiceAccount set in the operator's chart"


def _fault(error: Any) -> tuple[str, str]:
    return ".".join(["spec", *map(str, error["loc"])]), str(error["msg"])


def _status(fields: Json) -> ElasticJobStatus:
    """A status that somebody broke is made anew; the Round and the pods know the rest."""
    try:
        return ElasticJobStatus.model_validate(fields)
    except ValidationError:
        return ElasticJobStatus()
