"""The ElasticJob resource: the one place where its fields, defaults, bounds and docs are written.

The CRD (crd.py) and the API reference (reference.py) are made from these models; the docstring
under a field is what `kubectl explain` prints. What holds for every field:

* A field that the operator does not honour is not here.
* Every list, string and map has a bound: without one the API server refuses the CEL rules of
  rules.py, because it prices them at the largest object that the schema lets through.
* Defaults are literals, because the API server writes them. What depends on another field has no
  default: it is absent, and its text says what absence means.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

MAX_REPLICAS = 10_000
# Linux refuses an argument or variable above this (MAX_ARG_STRLEN), whatever Kubernetes takes.
MAX_ARGUMENT = 131_072

Name = Annotated[str, Field(min_length=1, max_length=63)]
LabelValue = Annotated[str, Field(max_length=63)]
Argument = Annotated[str, Field(max_length=MAX_ARGUMENT)]
Short = Annotated[str, Field(max_length=256)]
Message = Annotated[str, Field(max_length=1024)]
Count = Annotated[int, Field(ge=0)]
Millis = Annotated[int, Field(ge=0)]

_BY_NAME = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}
_BY_TYPE = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}


class _Fields(BaseModel):
    """camelCase on the wire, snake_case in Python; the docstring under a field describes it."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, use_attribute_docstrings=True
    )


class _Kept(_Fields):
    """As much of a Kubernetes object as the operator reads or changes; the rest is kept as it is.

    A whole PodTemplateSpec in a CRD is 400 KB and more, beyond what client-side apply can store.
    """

    model_config = ConfigDict(extra="allow")


class EnvVar(_Kept):
    """An environment variable; `valueFrom` works as in any pod."""

    name: Annotated[str, Field(min_length=1, max_length=256)]
    """Name of the variable. RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT and the other variables
    that the agent gives to each worker, and all that begin with ELASTICJOB_, are refused in the
    worker container."""
    value: Argument | None = None
    """Value of the variable."""


class VolumeMount(_Kept):
    """A volume of the pod in the container's file system."""

    name: Name
    """Name of the volume."""
    mount_path: Annotated[str, Field(min_length=1, max_length=1024)]
    """Where the container sees it. /opt/elasticjob, /var/run/elasticjob and
    /var/run/secrets/elasticjob are the operator's in the worker container."""


class Container(_Kept):
    """A container of the pod. Only the worker container is changed; the others are left alone."""

    name: Name
    """Name of the container; see `spec.containerName`."""
    image: Annotated[str, Field(max_length=1024)] | None = None
    """Image of the container. The worker's must have `python3`, 3.9 or later, in its PATH:
    the agent runs in it, from the standard library alone."""
    command: Annotated[list[Argument], Field(max_length=256)] | None = None
    """What each worker process runs, for example [python3, train.py]. Required in the worker
    container, because the agent is started in its place and cannot know the image's entrypoint."""
    args: Annotated[list[Argument], Field(max_length=1024)] | None = None
    """Arguments of the command, passed on as they are."""
    env: Annotated[list[EnvVar], Field(max_length=512)] | None = None
    """Environment of the container, passed on to the workers."""
    volume_mounts: Annotated[list[VolumeMount], Field(max_length=128)] | None = None
    """Volumes that the container sees. The operator adds three to the worker container: its
    agent, a directory for the agent's files, and a token for the agent."""
    termination_message_path: Annotated[str, Field(max_length=1024)] | None = None
    """Where the worker container's agent writes its verdict when it ends, instead of
    /dev/termination-log."""


class Volume(_Kept):
    """A volume of the pod."""

    name: Name
    """Name of the volume. Names that begin with elasticjob- are the operator's."""


class PodSpec(_Kept):
    """The pod's specification. Every field of a Kubernetes PodSpec may be used."""

    containers: Annotated[
        list[Container], Field(min_length=1, max_length=32, json_schema_extra=_BY_NAME)
    ]
    """Containers of the pod. One of them runs the workers; see `spec.containerName`."""
    volumes: Annotated[list[Volume], Field(max_length=128, json_schema_extra=_BY_NAME)] | None = (
        None
    )
    """Volumes of the pod, in addition to the operator's. A volume that only this pod has, such as
    an emptyDir, is lost with the pod."""
    restart_policy: Annotated[str, Field(max_length=16)] | None = None
    """Never or absent. The agent restarts workers in place; the operator replaces pods."""
    termination_grace_period_seconds: Annotated[int, Field(ge=0)] | None = None
    """The pod gets this or `spec.stopGraceSeconds` + 5 seconds, whichever is more."""
    service_account_name: Annotated[str, Field(max_length=253)] | None = None
    """Account of the pod; the operator gives it the right to the Leases of this namespace. Absent:
    an account of the job's own. That one has no imagePullSecrets; name yours in
    `template.spec.imagePullSecrets`, or name an account that has them."""
    automount_service_account_token: bool | None = None
    """Whether every container gets a token of the account. Absent: no; the agent has its own."""
    host_network: bool | None = None
    """Whether the pod uses its node's network. The ports of the job are chosen accordingly."""


class TemplateMeta(_Kept):
    """What is kept of the template's metadata."""

    labels: Annotated[dict[str, LabelValue], Field(max_length=64)] | None = None
    """Labels of each pod, in addition to the operator's."""
    annotations: (
        Annotated[dict[str, Annotated[str, Field(max_length=262_144)]], Field(max_length=64)] | None
    ) = None
    """Annotations of each pod, in addition to the operator's."""


class PodTemplate(_Kept):
    """What each pod of the job is made from: a Kubernetes pod template."""

    metadata: TemplateMeta | None = None
    """Labels and annotations of each pod."""
    spec: PodSpec
    """The pod's specification. Every field of a Kubernetes PodSpec may be used."""


class ElasticJobSpec(_Fields):
    """What the job shall be."""

    replicas: Annotated[int, Field(ge=1, le=MAX_REPLICAS)] = 1
    """How many pods the job wants, each with its agent. `kubectl scale` changes it while the job
    runs: the workers stop, and go on with the new number. To run none, set `suspend`."""
    min_replicas: Annotated[int, Field(ge=1, le=MAX_REPLICAS)] | None = None
    """Workers run while at least this many pods take part; with fewer, those that are left stop
    their workers and wait. Absent: as many as `replicas`."""
    max_replicas: Annotated[int, Field(ge=1, le=MAX_REPLICAS)] | None = None
    """`replicas` is refused beyond this, whoever sets it: a person, or an autoscaler through the
    scale subresource. Absent: no limit; `status.maxReplicas` then equals `replicas`."""
    nproc_per_node: Annotated[int, Field(ge=1, le=256)] = 1
    """Worker processes per pod: as many as it has accelerators, as a rule."""
    template: PodTemplate
    """What each pod is made from. A change here, or of `containerName`, `nprocPerNode` or
    `stopGraceSeconds`, restarts the job once with new pods. That is planned, so it is not counted
    against `maxRestarts`."""
    container_name: Name | None = None
    """The container of the template whose command the workers run. Absent: the only container, or
    else the one named worker."""
    max_restarts: Annotated[int, Field(ge=0, le=10_000)] = 10
    """How many failures the job survives: crashes of workers, and losses of pods. One more, and it
    is Failed; with 0 that is the first one. Planned restarts are not counted: scaling, suspending,
    a new template, a pod that is drained or preempted."""
    stop_grace_seconds: Annotated[int, Field(ge=0, le=86_400)] = 25
    """How long workers may take to save and exit after SIGTERM when they are stopped by plan: the
    job is scaled or suspended, or the pod is deleted. Then they are killed."""
    crash_grace_seconds: Annotated[int, Field(ge=0, le=3_600)] = 3
    """How long the other workers may take to exit after SIGTERM when one has failed. Short,
    because with a member missing nothing that needs all of them can be saved any more."""
    suspend: bool = False
    """Whether the job has no pods for now. Suspending stops the workers like scaling does and
    deletes the pods; resuming makes new ones. Counters are kept."""
    clean_pod_policy: Literal["All", "Running", "None", "KeepFailed"] = "Running"
    """Which pods are deleted. When the job has ended: Running: those in which a container still
    runs; the others stay, with their logs, until the job is deleted. All: all. None: none.
    KeepFailed: all but the pod that failed last. While the job goes on, those that have ended and
    were replaced: All: all. Running and KeepFailed: all but the pod that failed last, and that
    one as well while the API server refuses a new pod of the job, whose place in a quota it may
    take. None: none."""


class Condition(_Fields):
    """One aspect of the job's state, as every Kubernetes object has them."""

    type: Annotated[str, Field(min_length=1, max_length=316)]
    """What is said: Accepted, PodsReady, Running, Suspended, Complete, Failed. And Unstable:
    within an hour there were many restarts that `spec.maxRestarts` does not count."""
    status: Literal["True", "False", "Unknown"]
    """Whether it is so."""
    reason: Annotated[str, Field(min_length=1, max_length=1024)]
    """Why, in one word for programs."""
    message: Annotated[str, Field(max_length=32_768)]
    """Why, in a sentence for people."""
    last_transition_time: datetime
    """When `status` changed last."""
    observed_generation: Count | None = None
    """The generation of the spec that this was said about."""


class LastFailure(_Fields):
    """The first cause of the last failure that was counted: what failed, not who was hit by it."""

    pod: Annotated[str, Field(max_length=253)] | None = None
    """Pod that failed."""
    node: Annotated[str, Field(max_length=253)] | None = None
    """Node that it ran on."""
    rank: Count | None = None
    """Global rank of the worker that failed; absent when the whole pod was lost."""
    exit_code: Annotated[int, Field(ge=0, le=255)] | None = None
    """Exit code of the worker, if it exited."""
    signal: Annotated[int, Field(ge=1, le=64)] | None = None
    """Number of the signal that ended the worker, if one did."""
    reason: Short | None = None
    """What happened, in one word: WorkerFailed, WorkerSignaled, PodEnded, PodSilent, OOMKilled and
    others."""
    message: Message | None = None
    """What happened, in a sentence; the last line of the traceback where there is one."""
    time: datetime | None = None
    """When the operator learned of it."""
    round: Count | None = None
    """The round that it ended."""


class LastRecovery(_Fields):
    """How long the last restart took, by parts."""

    round: Count
    """The round that it led to."""
    detect_millis: Millis | None = None
    """From the failure until the next round was written."""
    stop_millis: Millis | None = None
    """Until the slowest member had no old worker left; a part of `startMillis`."""
    rendezvous_millis: Millis | None = None
    """From then until the slowest member had seen the new round."""
    start_millis: Millis | None = None
    """From then until the slowest member had started its workers."""
    total_millis: Millis | None = None
    """From the failure until the last worker of the new round had been started."""


class Progress(_Fields):
    """How far the training is, by what rank 0 writes to the file ELASTICJOB_PROGRESS_FILE."""

    step: Count | None = None
    """Steps done."""
    total: Count | None = None
    """Steps in all."""


class ElasticJobStatus(_Fields):
    """What the job is, as the operator saw it last. Written by the operator alone."""

    observed_generation: Count | None = None
    """The generation of the spec that this status was made for."""
    phase: Short | None = None
    """The state of the job in a few words for people; programs read the conditions."""
    ready: Annotated[str, Field(max_length=32)] | None = None
    """Pods whose workers run in the present round, of those wanted: 3/4."""
    replicas: Count | None = None
    """Pods that exist and have not ended."""
    ready_replicas: Count | None = None
    """Pods whose workers run in the present round."""
    selector: Short | None = None
    """Label selector of the job's pods, for the scale subresource."""
    min_replicas: Count | None = None
    """The lower bound in force: `spec.minReplicas`, or what its absence means."""
    max_replicas: Count | None = None
    """The upper bound in force: `spec.maxReplicas`, or what its absence means."""
    round: Count | None = None
    """Number of the present round. It grows with each change of members and each restart."""
    restarts: Count | None = None
    """How often the workers have been started again, for whatever reason."""
    counted: Count | None = None
    """How many failures count against `spec.maxRestarts` now."""
    generations: Annotated[str, Field(max_length=MAX_ARGUMENT)] | None = None
    """The next generation of each pod index, as ranges: 0-2@1,3@2. Reserved here before pods are
    made, so that no pod name is ever used twice."""
    blamed: Annotated[str, Field(max_length=MAX_ARGUMENT)] | None = None
    """How many counted failures were blamed on the present pod of an index: 3x2. At three the pod
    is replaced."""
    agent_hash: Annotated[str, Field(max_length=64)] | None = None
    """Which agent the pods run: the hash in the name of its ConfigMap. Kept while pods of the
    job live, so that an upgrade of the operator does not mix agents in a running job."""
    template_hash: Annotated[str, Field(max_length=64)] | None = None
    """Hash of what the present pods are made from."""
    conditions: (
        Annotated[list[Condition], Field(max_length=16, json_schema_extra=_BY_TYPE)] | None
    ) = None
    """The state of the job for programs, one entry per type. Complete and Failed are final."""
    last_failure: LastFailure | None = None
    """The first cause of the last failure that was counted."""
    last_recovery: LastRecovery | None = None
    """How long the last restart took."""
    progress: Progress | None = None
    """How far the training is, if the workers say."""
    start_time: datetime | None = None
    """When the operator first saw the job."""
    completion_time: datetime | None = None
    """When the job ended, well or not."""


class ElasticJob(_Fields):
    """A PyTorch job: its pods form one process group, and form it anew after each failure."""

    spec: ElasticJobSpec
    """What the job shall be."""
    status: ElasticJobStatus | None = None
    """What the job is, as the operator saw it last."""
