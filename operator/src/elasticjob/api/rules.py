"""What the schema cannot say about an ElasticJob: each rule in CEL and as its twin in Python.

The API server runs the CEL, so a bad job is refused while the operator is away. The Python twin
stands in where there is no CEL (the local API server) or where the CRD is older than the operator.
A test evaluates both on the same objects. Messages are plain texts, because a computed one
(messageExpression) exceeds what the API server grants a rule.

A rule sees the value at its scope, after the schema's defaults, as `self`.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from elasticjob.api import launchers
from elasticjob.api.reserved import DIRECTORIES, ENV_PREFIX, VOLUME_PREFIX, WORKER_ENV
from elasticjob.wire import names

Json = dict[str, Any]
Reason = Literal["FieldValueInvalid", "FieldValueRequired", "FieldValueForbidden"]

MAX_NAME = 45  # leaves room in 63 characters for -<index>-<generation>
_NAME = "^[a-z]([-a-z0-9]*[a-z0-9])?$"


@dataclass(frozen=True)
class Rule:
    """One claim that holds for every ElasticJob.

    scope: the field that the rule looks at: `spec`, or empty for the whole object. field: the field
    to blame, below the scope. cel, holds: the claim, twice. same_cel, same: whether a change (of
    oldSelf to self, of the first to the second) leaves alone what the rule is about, twice; such a
    change is not judged. By default, that is whether the whole scope is unchanged.
    """

    name: str
    scope: str
    field: str
    reason: Reason
    message: str
    cel: str
    holds: Callable[[Json], bool]
    same_cel: str = ""
    same: Callable[[Json, Json], bool] = operator.eq

    @property
    def is_for_writes_only(self) -> bool:
        """Whether jobs that are stored already may break the rule, and run."""
        return self.same_cel != ""

    @property
    def path(self) -> str:
        """The field to blame, from the object's root."""
        return f"{self.scope}.{self.field}" if self.scope else self.field

    def scoped(self, job: Json) -> Json:
        """What the rule sees of an object as `self`."""
        scoped: Json = job[self.scope] if self.scope else job
        return scoped


def violations(new: Json, old: Json | None) -> list[tuple[str, str]]:
    """The rules that a write breaks: (path of the field, one line with the cure).

    `new` has passed the schema, defaults included. `old` is what it replaces: like the API server
    from 1.30 on (KEP-4008), a rule does not judge again what has not changed, so that a rule made
    stricter never stops an old job from being labelled, scaled down or finished.
    """
    return [
        (rule.path, rule.message)
        for rule in RULES
        if not (old is not None and rule.same(rule.scoped(old), rule.scoped(new)))
        and not rule.holds(rule.scoped(new))
    ]


def violations_of_stored(job: Json) -> list[tuple[str, str]]:
    """The rules that a stored job breaks and that the operator relies on, in the same form."""
    return [
        (rule.path, rule.message)
        for rule in RULES
        if not rule.is_for_writes_only and not rule.holds(rule.scoped(job))
    ]


def worker_container(spec: Json) -> str | None:
    """Name of the container whose command the workers run; None if the spec does not tell."""
    found = [container["name"] for container in _containers(spec)]
    given = spec.get("containerName")
    if given is not None:
        return given if given in found else None
    if len(found) == 1:
        return str(found[0])
    return "worker" if "worker" in found else None


def worker_command_line(spec: Json) -> list[str]:
    """What each worker runs: the command of the worker container and its arguments."""
    return [word for worker in _workers(spec) for word in _command_line(worker)]


# ---- the twins in Python -------------------------------------------------------------------------


def _name_fits(job: Json) -> bool:
    return len(job["metadata"]["name"]) <= MAX_NAME


def _name_is_a_dns_label(job: Json) -> bool:
    return re.search(_NAME, job["metadata"]["name"]) is not None


def _min_is_not_above_replicas(spec: Json) -> bool:
    return "minReplicas" not in spec or spec["minReplicas"] <= spec["replicas"]


def _max_is_not_below_replicas(spec: Json) -> bool:
    return "maxReplicas" not in spec or spec["replicas"] <= spec["maxReplicas"]


def _named_container_exists(spec: Json) -> bool:
    return "containerName" not in spec or worker_container(spec) is not None


def _worker_is_not_ambiguous(spec: Json) -> bool:
    return "containerName" in spec or worker_container(spec) is not None


def _worker_has_a_command(spec: Json) -> bool:
    return all(worker.get("command") for worker in _workers(spec))


def _worker_starts_no_launcher(spec: Json) -> bool:
    return not any(
        worker.get("command") and launchers.launcher(_command_line(worker))
        for worker in _workers(spec)
    )


def _same_template(old: Json, new: Json) -> bool:
    return all(old.get(field) == new.get(field) for field in ("template", "containerName"))


def _worker_env_is_free(spec: Json) -> bool:
    return not any(
        variable["name"] in WORKER_ENV or variable["name"].startswith(ENV_PREFIX)
        for worker in _workers(spec)
        for variable in worker.get("env", [])
    )


def _worker_mounts_are_free(spec: Json) -> bool:
    return not any(
        mount["mountPath"] == directory or mount["mountPath"].startswith(f"{directory}/")
        for worker in _workers(spec)
        for mount in worker.get("volumeMounts", [])
        for directory in DIRECTORIES
    )


def _volume_names_are_free(spec: Json) -> bool:
    volumes = spec["template"]["spec"].get("volumes", [])
    return not any(volume["name"].startswith(VOLUME_PREFIX) for volume in volumes)


def _pods_are_not_restarted(spec: Json) -> bool:
    return bool(spec["template"]["spec"].get("restartPolicy", "Never") == "Never")


def _template_marks_are_free(spec: Json) -> bool:
    meta = spec["template"].get("metadata", {})
    keys = [*meta.get("labels", {}), *meta.get("annotations", {})]
    return not any(key.startswith(f"{names.GROUP}/") for key in keys)


def _command_line(container: Json) -> list[str]:
    return [*(container.get("command") or []), *(container.get("args") or [])]


def _containers(spec: Json) -> list[Json]:
    containers: list[Json] = spec["template"]["spec"]["containers"]
    return containers


def _workers(spec: Json) -> list[Json]:
    """The worker container, or nothing while the spec does not tell which one it is."""
    name = worker_container(spec)
    return [container for container in _containers(spec) if container["name"] == name]


# ---- the same in CEL -----------------------------------------------------------------------------

_POD = "self.template.spec"
_IS_WORKER = (
    "(has(self.containerName) ? c.name == self.containerName"
    f" : {_POD}.containers.size() == 1 || c.name == 'worker')"
)
_COMMAND_LINE = "c.command + (has(c.args) ? c.args : [])"
# Whole values: the API server does not know how long a list of oldSelf is, and refuses a loop.
_SAME_TEMPLATE = (
    "self.template == oldSelf.value().template"
    " && has(self.containerName) == has(oldSelf.value().containerName)"
    " && (!has(self.containerName) || self.containerName == oldSelf.value().containerName)"
)


def _cel_of_worker(claim: str) -> str:
    return f"{_POD}.containers.all(c, !{_IS_WORKER} || {claim})"


def _cel_list(texts: tuple[str, ...]) -> str:
    return f"[{', '.join(repr(text) for text in texts)}]"


_CEL_MOUNT_IS_FREE = " && ".join(
    f"m.mountPath != '{directory}' && !m.mountPath.startsWith('{directory}/')"
    for directory in DIRECTORIES
)
_CEL_MARKS = [
    f"(!has(self.template.metadata.{marks})"
    f" || !self.template.metadata.{marks}.exists(k, k.startsWith('{names.GROUP}/')))"
    for marks in ("labels", "annotations")
]

RULES = (
    Rule(
        name="name length",
        scope="",
        field="metadata.name",
        reason="FieldValueInvalid",
        message=f"pods are named after the job: choose a name of at most {MAX_NAME} characters",
        cel=f"self.metadata.name.size() <= {MAX_NAME}",
        holds=_name_fits,
    ),
    Rule(
        name="name shape",
        scope="",
        field="metadata.name",
        reason="FieldValueInvalid",
        message="pods are named after the job: begin with a letter, go on with lower-case letters,"
        " digits and -, and end with a letter or digit",
        cel=f"self.metadata.name.matches('{_NAME}')",
        holds=_name_is_a_dns_label,
    ),
    Rule(
        name="min replicas",
        scope="spec",
        field="minReplicas",
        reason="FieldValueInvalid",
        message="minReplicas is above replicas: lower minReplicas or raise replicas",
        cel="!has(self.minReplicas) || self.minReplicas <= self.replicas",
        holds=_min_is_not_above_replicas,
    ),
    Rule(
        name="max replicas",
        scope="spec",
        field="maxReplicas",
        reason="FieldValueInvalid",
        message="replicas is above maxReplicas: lower replicas or raise maxReplicas",
        cel="!has(self.maxReplicas) || self.replicas <= self.maxReplicas",
        holds=_max_is_not_below_replicas,
    ),
    Rule(
        name="known container",
        scope="spec",
        field="containerName",
        reason="FieldValueInvalid",
        message="the template has no container of this name: use the name of one of"
        " template.spec.containers",
        cel="!has(self.containerName)"
        f" || {_POD}.containers.exists(c, c.name == self.containerName)",
        holds=_named_container_exists,
    ),
    Rule(
        name="one worker container",
        scope="spec",
        field="containerName",
        reason="FieldValueRequired",
        message="the template has several containers and none is named worker: set containerName"
        " to the one that trains",
        cel=f"has(self.containerName) || {_POD}.containers.size() == 1"
        f" || {_POD}.containers.exists(c, c.name == 'worker')",
        holds=_worker_is_not_ambiguous,
    ),
    Rule(
        name="command",
        scope="spec",
        field="template.spec.containers",
        reason="FieldValueRequired",
        message="the worker container has no command, and the image's entrypoint is not known here:"
        " set command, for example [python3, train.py]",
        cel=_cel_of_worker("(has(c.command) && c.command.size() > 0)"),
        holds=_worker_has_a_command,
    ),
    Rule(
        name="launcher",
        scope="spec",
        field="template.spec.containers",
        reason="FieldValueForbidden",
        message="torchrun and other launchers would train one model per worker: set command to the"
        " training program, as in [python3, train.py], and nprocPerNode",
        cel=_cel_of_worker(
            "!has(c.command) || c.command.size() == 0"
            f" || !{launchers.cel('c.command[0]', _COMMAND_LINE)}"
        ),
        holds=_worker_starts_no_launcher,
        same_cel=_SAME_TEMPLATE,
        same=_same_template,
    ),
    Rule(
        name="worker environment",
        scope="spec",
        field="template.spec.containers",
        reason="FieldValueForbidden",
        message="the agent gives RANK, WORLD_SIZE, MASTER_ADDR and the like to each worker, and"
        f" {ENV_PREFIX}* is its own: remove these from env of the worker container",
        cel=_cel_of_worker(
            f"!has(c.env) || c.env.all(e, !(e.name in {_cel_list(WORKER_ENV)})"
            f" && !e.name.startsWith('{ENV_PREFIX}'))"
        ),
        holds=_worker_env_is_free,
    ),
    Rule(
        name="worker mounts",
        scope="spec",
        field="template.spec.containers",
        reason="FieldValueForbidden",
        message=f"{', '.join(DIRECTORIES)} belong to the agent: mount volumes of the worker"
        " container elsewhere",
        cel=_cel_of_worker(f"!has(c.volumeMounts) || c.volumeMounts.all(m, {_CEL_MOUNT_IS_FREE})"),
        holds=_worker_mounts_are_free,
    ),
    Rule(
        name="volume names",
        scope="spec",
        field="template.spec.volumes",
        reason="FieldValueForbidden",
        message=f"volumes whose names begin with {VOLUME_PREFIX} are the operator's: rename yours",
        cel=f"!has({_POD}.volumes) || {_POD}.volumes.all(v, !v.name.startsWith('{VOLUME_PREFIX}'))",
        holds=_volume_names_are_free,
    ),
    Rule(
        name="restart policy",
        scope="spec",
        field="template.spec.restartPolicy",
        reason="FieldValueInvalid",
        message="the agent restarts workers and the operator replaces pods: set restartPolicy to"
        " Never or leave it out",
        cel=f"!has({_POD}.restartPolicy) || {_POD}.restartPolicy == 'Never'",
        holds=_pods_are_not_restarted,
    ),
    Rule(
        name="template labels",
        scope="spec",
        field="template.metadata",
        reason="FieldValueForbidden",
        message=f"labels and annotations that begin with {names.GROUP}/ are the operator's: remove"
        " them from the template",
        cel=f"!has(self.template.metadata) || {' && '.join(_CEL_MARKS)}",
        holds=_template_marks_are_free,
    ),
)
