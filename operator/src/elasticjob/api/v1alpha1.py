"""The ElasticJob resource: the definition of its fields, defaults, bounds and descriptions.

The CRD (crd.py) and the API reference (reference.py) are generated from these models. The docstring
under a field is the text that `kubectl explain` prints. These rules hold for every field:

* The operator honours it.
* It has a bound if it is a list, string or map. Without one the API server refuses the CEL rules of
  rules.py, because it estimates their cost for the largest object that the schema allows.
* Its default is a literal, because the API server writes it. A field whose default depends on
  another field has none; its description gives the meaning of absence.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from elasticjob.wire.charges import KEPT
from elasticjob.wire.codec import LARGEST_SET

MAX_REPLICAS = LARGEST_SET
# Linux limits the length of an argument or variable to this (MAX_ARG_STRLEN); Kubernetes does not.
MAX_ARGUMENT = 131_072

Name = Annotated[str, Field(min_length=1, max_length=63)]
LabelValue = Annotated[str, Field(max_length=63)]
Argument = Annotated[str, Field(max_length=MAX_ARGUMENT)]
Short = Annotated[str, Field(max_length=256)]
Message = Annotated[str, Field(max_length=1024)]
ShortMessage = Annotated[str, Field(max_length=256)]
Count = Annotated[int, Field(ge=0)]
Millis = Annotated[int, Field(ge=0)]

_BY_NAME = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}
_BY_TYPE = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}


class _Model(BaseModel):
    """The base of all models: camelCase in JSON, snake_case in Python."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, use_attribute_docstrings=True
    )


class _OpenModel(_Model):
    """The fields of a Kubernetes object that the operator reads or changes; others are preserved.

    A complete PodTemplateSpec in a CRD exceeds 400 KB, which client-side apply cannot store.
    """

    model_config = ConfigDict(extra="allow")


class EnvVar(_OpenModel):
    """Environment variable of a container. All fields of a Kubernetes EnvVar are allowed."""

    name: Annotated[str, Field(min_length=1, max_length=256)]
    """Name of the variable. In the worker container, RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT,
    the other variables that the agent sets for each worker, and all names that begin with
    ELASTICJOB_ are reserved."""
    value: Argument | None = None
    """Value of the variable."""


class VolumeMount(_OpenModel):
    """Mount of a volume in a container. All fields of a Kubernetes VolumeMount are allowed."""

    name: Name
    """Name of the volume to mount."""
    mount_path: Annotated[str, Field(min_length=1, max_length=1024)]
    """Path in the container at which the volume is mounted. In the worker container,
    /opt/elasticjob, /var/run/elasticjob, /var/run/secrets/elasticjob and the paths below them are
    reserved."""


class Container(_OpenModel):
    """Container of the pod. The operator changes the worker container only. All fields of a
    Kubernetes Container are allowed."""

    name: Name
    """Name of the container. See `spec.containerName`."""
    image: Annotated[str, Field(max_length=1024)] | None = None
    """Image of the container. In the worker container, it must contain `python3`, version 3.9 or
    later, in its PATH: the agent runs on it and needs the standard library only."""
    command: Annotated[list[Argument], Field(max_length=256)] | None = None
    """Command of the container, for example [python3, train.py]. Required in the worker container,
    where each worker process runs it: the agent replaces the image's entrypoint, which the operator
    cannot read."""
    args: Annotated[list[Argument], Field(max_length=1024)] | None = None
    """Arguments to the command. They are passed to the workers unchanged."""
    env: Annotated[list[EnvVar], Field(max_length=512)] | None = None
    """Environment variables of the container. The workers inherit those of the worker container."""
    volume_mounts: Annotated[list[VolumeMount], Field(max_length=128)] | None = None
    """Volumes to mount in the container. The operator adds three mounts to the worker container:
    the agent, a directory for the agent's files, and the agent's token."""
    termination_message_path: Annotated[str, Field(max_length=1024)] | None = None
    """Path of the file to which the agent of the worker container writes its termination message.
    Absent: /dev/termination-log. Of an agent that could not write it, the status of the pod has the
    end of the log, unless `terminationMessagePolicy` is set to File."""


class Volume(_OpenModel):
    """Volume of the pod. All fields of a Kubernetes Volume are allowed."""

    name: Name
    """Name of the volume. Names that begin with elasticjob- are reserved."""


class PodSpec(_OpenModel):
    """Specification of the pod. All fields of a Kubernetes PodSpec are allowed."""

    containers: Annotated[
        list[Container], Field(min_length=1, max_length=32, json_schema_extra=_BY_NAME)
    ]
    """Containers of the pod. One of them is the worker container: see `spec.containerName`."""
    volumes: Annotated[list[Volume], Field(max_length=128, json_schema_extra=_BY_NAME)] | None = (
        None
    )
    """Volumes of the pod, in addition to those of the operator. The contents of a volume that
    belongs to the pod, such as an emptyDir, are lost when the pod is replaced."""
    restart_policy: Annotated[str, Field(max_length=16)] | None = None
    """Restart policy of the containers. Must be Never or absent: the agent restarts workers, and
    the operator replaces pods."""
    termination_grace_period_seconds: Annotated[int, Field(ge=0)] | None = None
    """Time in seconds that the pod has to terminate after SIGTERM. The operator raises it to
    `spec.stopGraceSeconds` + 5 if it is less or absent."""
    service_account_name: Annotated[str, Field(max_length=253)] | None = None
    """Name of the ServiceAccount of the pod. Refused unless the operator's chart lists it in
    `templateServiceAccounts`, because the operator gives the account access to the Leases of the
    namespace. Absent: the operator creates an account for the job. That account has no
    imagePullSecrets: list them in `template.spec.imagePullSecrets`, or name an account that has
    them."""
    automount_service_account_token: bool | None = None
    """Whether the account's token is mounted in every container. Absent: false. The agent's token
    does not depend on it."""
    host_network: bool | None = None
    """Whether the pod uses the network of its node. If true, the agents choose a free MASTER_PORT
    between 20000 and 29999 instead of 29500. Absent: false."""


class TemplateMeta(_OpenModel):
    """Metadata of the pods."""

    labels: Annotated[dict[str, LabelValue], Field(max_length=64)] | None = None
    """Labels of each pod, in addition to those of the operator. Keys with the
    prefix of this API group are reserved."""
    annotations: (
        Annotated[dict[str, Annotated[str, Field(max_length=262_144)]], Field(max_length=64)] | None
    ) = None
    """Annotations of each pod, in addition to those of the operator. Keys with the
    prefix of this API group are reserved."""


class PodTemplate(_OpenModel):
    """Kubernetes pod template from which the operator creates the pods of the job."""

    metadata: TemplateMeta | None = None
    """Labels and annotations of each pod."""
    spec: PodSpec
    """Specification of each pod. All fields of a Kubernetes PodSpec are allowed."""


class ElasticJobSpec(_Model):
    """Desired state of the job."""

    replicas: Annotated[int, Field(ge=1, le=MAX_REPLICAS)] = 1
    """Desired number of pods, each with one agent. It can be changed while the job runs, for
    example with `kubectl scale`: the workers stop and start again in a group of the new size. If
    `minReplicas` is absent, the minimum grows with it: if only some of the new pods are ready when
    the round is 60 s old and the first of them has waited for 30 s, all workers stop until the
    others are ready. Set `minReplicas` to avoid this. To run no pods, set `suspend`."""
    min_replicas: Annotated[int, Field(ge=1, le=MAX_REPLICAS)] | None = None
    """Minimum number of pods with which the workers run. While fewer are available, the remaining
    pods stop their workers and wait. At most `replicas`. Absent: the value of `replicas`, so that
    one lost or missing pod stops all workers. Set it if the script can run with fewer pods."""
    max_replicas: Annotated[int, Field(ge=1, le=MAX_REPLICAS)] | None = None
    """Maximum value of `replicas`. The API server refuses a higher value from every client,
    including autoscalers, which use the scale subresource. Absent: there is no limit, and the
    column MAX is empty."""
    nproc_per_node: Annotated[int, Field(ge=1, le=256)] = 1
    """Number of worker processes per pod, usually the number of its accelerators."""
    template: PodTemplate
    """Template of the pods. A change of `template`, `containerName`, `nprocPerNode` or
    `stopGraceSeconds` restarts the job once, with new pods, and the event TemplateChanged names the
    fields. This restart is planned and does not count against `maxRestarts`. Another notation of
    the same template restarts nothing: another order of keys, 1000m for 1, or a default that is
    written out."""
    container_name: Name | None = None
    """Name of the worker container: the container of the template whose command the workers run.
    Absent: the only container, or else the container named worker."""
    max_restarts: Annotated[int, Field(ge=0, le=10_000)] = 10
    """Number of failures that the job survives: crashes of workers and losses of pods. After one
    more, the job is Failed; with 0, after the first. Planned restarts are not counted: scaling,
    suspension, a new template, and pods that are drained or preempted."""
    max_start_restarts: Annotated[int, Field(ge=0, le=KEPT)] = 2
    """Number of crashes of workers that the job survives before it has trained, so that a wrong
    command or a missing file fails the job within seconds. A job has trained once it has reported
    progress, or once its workers have run for a minute. These crashes count against `maxRestarts`
    as well."""
    stop_grace_seconds: Annotated[int, Field(ge=0, le=86_400)] = 25
    """Time in seconds that workers have to save their state and exit after SIGTERM when a stop is
    planned: the job is scaled or suspended, or the pod is deleted. Then they are killed."""
    crash_grace_seconds: Annotated[int, Field(ge=0, le=3_600)] = 3
    """Time in seconds that the other workers have to exit after SIGTERM when one worker has failed.
    Then they are killed. The default is short because state that needs all members can no longer be
    saved."""
    suspend: bool = False
    """Whether the job is suspended. If true, the agents stop the workers with `stopGraceSeconds`,
    and the operator deletes the pods. If it becomes false again, the operator creates new pods. The
    counters in `status` are kept."""
    clean_pod_policy: Literal["All", "Running", "None", "KeepFailed"] = "Running"
    """Which pods the operator deletes. All: when the job has ended, all pods; before, all replaced
    pods, which are those that have ended and have a replacement. Running: when the job has ended,
    the pods in which a container still runs, so that the others remain with their logs until the
    job is deleted; before, all replaced pods except the one that failed last. KeepFailed: when the
    job has ended, all pods except the one that failed last; before, the same as Running. None: no
    pods. Exception to Running and KeepFailed: while the API server refuses to create a pod of the
    job, all replaced pods are deleted, because they may use up a quota. Pods that are lost or no
    longer wanted are deleted under each policy."""


class Condition(_Model):
    """One aspect of the current state of the job."""

    type: Annotated[str, Field(min_length=1, max_length=316)]
    """Type of the condition: Accepted, PodsReady, Running, Degraded, Restarting, Stalled, Unstable,
    Obstructed, Suspended, Complete or Failed. See the section Conditions."""
    status: Literal["True", "False", "Unknown"]
    """Status of the condition: True, False or Unknown."""
    reason: Annotated[str, Field(min_length=1, max_length=1024)]
    """Reason for the status, in one CamelCase word for programs. See the section Conditions."""
    message: Annotated[str, Field(max_length=32_768)]
    """Reason for the status, in a sentence for people."""
    last_transition_time: datetime
    """Time of the last change of `status`."""
    observed_generation: Count | None = None
    """The `metadata.generation` that the condition was computed from: the same in all conditions,
    also in those of a job that has ended."""


class LastFailure(_Model):
    """First cause of the last counted failure, also of the one that ended the job. Failures that
    followed from it are not shown."""

    pod: Annotated[str, Field(max_length=253)] | None = None
    """Name of the pod that failed."""
    node: Annotated[str, Field(max_length=253)] | None = None
    """Name of the node on which the pod ran."""
    rank: Count | None = None
    """Global rank of the worker that failed. Absent: the whole pod was lost."""
    exit_code: Annotated[int, Field(ge=0, le=255)] | None = None
    """Exit code of the worker. Absent: the worker did not exit by itself."""
    signal: Annotated[int, Field(ge=1, le=64)] | None = None
    """Number of the signal that terminated the worker. Absent: no signal did."""
    reason: Short | None = None
    """Reason for the failure, in one CamelCase word: WorkerFailed, WorkerSignaled, WorkerHung,
    PodEnded, PodSilent, OOMKilled and others."""
    message: Message | None = None
    """Description of the failure. The first line names the error; then comes the end of the
    traceback or, without one, of what the worker wrote to stderr."""
    log_command: Message | None = None
    """Command that prints the log of the pod. Absent: the pod no longer exists."""
    time: datetime | None = None
    """Time at which the operator observed the failure."""
    round: Count | None = None
    """Number of the round that the failure ended."""


class RecentFailure(LastFailure):
    """One failure that ended a round, or one departure: a member that was deleted, evicted or
    preempted, or received SIGTERM. Scaling, suspension and a new template are none."""

    pod_uid: Annotated[str, Field(max_length=64)] | None = Field(default=None, alias="podUID")
    """UID of the pod. Absent: the pod no longer existed when the operator observed the failure."""
    message: ShortMessage | None = None
    """Description of the failure, shortened."""
    counted: bool
    """Whether the failure counts against `spec.maxRestarts`, or ended the job. It can change: the
    operator counts a departure when it has seen why the pod ended, and a failure that a later loss
    explains counts no longer."""
    not_counted: Short | None = None
    """Reason why the failure does not count, in one CamelCase word. DeletedOrEvicted: the pod was
    deleted, evicted or preempted. ReplacedForFailures: the operator deleted the pod after three
    counted failures of its workers. FollowedPodLoss: it followed from the loss of a pod, which was
    found later and counts instead. PodEndUnknown: the operator has not seen yet why the pod left.
    Absent: it counts."""


class LastRecovery(_Model):
    """Duration of the last recovery: from the last sign of life of what failed until the workers of
    all members ran again. The four parts follow one another, and `totalMillis` is their sum."""

    round: Count
    """Number of the round that the recovery led to."""
    detect_millis: Millis | None = None
    """Milliseconds from the last sign of life of what failed until the round that answers it was
    written: the exit of a worker, the last renewal of a silent or ended pod, the report of a
    leaving pod. 0 after a planned change."""
    stop_millis: Millis | None = None
    """Milliseconds in which the slowest pod stopped its workers of the previous round."""
    rendezvous_millis: Millis | None = None
    """Milliseconds for which the job had no members, because too few pods were available, or a
    round that was replaced before all its members ran."""
    start_millis: Millis | None = None
    """Milliseconds from the end of the old workers until the workers of all members had started,
    including the delay after repeated failures."""
    total_millis: Millis | None = None
    """Milliseconds from the last sign of life of what failed until the workers of all members had
    started, including the delay after repeated failures."""


class Progress(_Model):
    """Progress of the training, as rank 0 writes it to the file ELASTICJOB_PROGRESS_FILE."""

    step: Count | None = None
    """Number of steps done."""
    total: Count | None = None
    """Total number of steps."""


class ElasticJobStatus(_Model):
    """Observed state of the job. Only the operator writes it."""

    observed_generation: Count | None = None
    """The `metadata.generation` that this status was computed from."""
    phase: Short | None = None
    """Summary of the state of the job for people, in about 60 characters: a word, the problem if
    there is one, and what the job waits for, until a time in UTC. Programs read `conditions`, which
    have the details. `Pending: waiting for an operator`: no operator has seen the job. If this
    stays, none serves its namespace."""
    ready: Annotated[str, Field(max_length=32)] | None = None
    """Number of pods whose workers run in the current round, of the desired number: 3/4. Absent:
    the job has ended."""
    replicas: Count | None = None
    """Number of pods that exist and have not ended."""
    ready_replicas: Count | None = None
    """Number of pods whose workers run in the current round."""
    selector: Short | None = None
    """Label selector of the pods of the job, for the scale subresource."""
    min_replicas: Count | None = None
    """Effective minimum of pods: `spec.minReplicas` or, if absent, `spec.replicas`."""
    max_replicas: Count | None = None
    """The value of `spec.maxReplicas`. Absent: there is no limit."""
    round: Count | None = None
    """Number of the current round, or of the last one if the job has ended. Each change of members
    and each restart increases it, and so does a round that waits for pods and never runs. Workers
    have it in ELASTICJOB_ROUND."""
    restarts: Count | None = None
    """Number of times that the workers were started again after they had run, for any reason. A
    round that is replaced before a worker of it runs does not count."""
    counted: Count | None = None
    """Number of failures that count against `spec.maxRestarts`. The failure that ends the job is
    one of them: of a job that has used up `spec.maxRestarts`, this is one more."""
    generations: Annotated[str, Field(max_length=MAX_ARGUMENT)] | None = None
    """A record of the operator: the next pod of each index, as INDEX@GENERATION, where the name of
    a pod is JOB-INDEX-GENERATION. 0-2@1,3@2: the next pods of the indexes 0, 1 and 2 have the
    generation 1, and the next pod of index 3 has the generation 2. The operator writes this before
    it creates pods, so that no two pods of the job run an agent under one name. The name of a pod
    that was deleted before its agent had joined, while no operator ran, may be used again."""
    blamed: Annotated[str, Field(max_length=MAX_ARGUMENT)] | None = None
    """A record of the operator: the number of counted failures that began in the current pod of an
    index, as INDEXxNUMBER. 3x2: two in the pod of index 3. At three the operator replaces the pod.
    The condition PodsReady names these pods. Absent: there are none, or the job has ended."""
    agent_hash: Annotated[str, Field(max_length=64)] | None = None
    """SHA-256 of the agent that the pods run. Its first ten digits are in the name of the ConfigMap
    with the agent. It stays the same while pods of the job exist, so that an upgrade of the
    operator does not mix agents in one job."""
    template_hash: Annotated[str, Field(max_length=64)] | None = None
    """Hash of everything that the current pods are made from, as it was written when they were
    created."""
    conditions: (
        Annotated[list[Condition], Field(max_length=16, json_schema_extra=_BY_TYPE)] | None
    ) = None
    """Conditions of the job, one per type. Complete and Failed are final."""
    last_failure: LastFailure | None = None
    """First cause of the last counted failure, also of the one that ended the job. Failures that
    followed from it are not shown."""
    recent_failures: Annotated[list[RecentFailure], Field(max_length=10)] | None = None
    """The last failures and departures of pods, newest first. A failure that the operator did not
    observe, because it was away, has the reason Unknown. `lastFailure` is the first of them that is
    counted, with a longer message."""
    last_recovery: LastRecovery | None = None
    """Duration of the last recovery: from the last sign of life of what failed until the workers of
    all members ran again."""
    progress: Progress | None = None
    """Progress of the training, as rank 0 writes it to the file ELASTICJOB_PROGRESS_FILE."""
    start_time: datetime | None = None
    """Time at which the operator first observed the job."""
    completion_time: datetime | None = None
    """Time at which the job became Complete or Failed."""


class ElasticJob(_Model):
    """A PyTorch job whose pods form one process group, and form it again after each failure."""

    spec: ElasticJobSpec
    """Desired state of the job."""
    status: ElasticJobStatus | None = None
    """Observed state of the job. Only the operator writes it."""
