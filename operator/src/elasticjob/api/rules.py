"""Validation rules of an ElasticJob that its schema cannot express, each in CEL and in Python.

The API server evaluates the CEL, so that it refuses an invalid job even without an operator. The
Python function is used where there is no CEL (the local API server) or where the CRD is older than
the operator. A test evaluates both on the same objects. Messages are constant, because a computed
one (messageExpression) exceeds the cost that the API server allows a rule.

A rule reads the value at its scope as `self`, after the API server has set the schema's defaults.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from elasticjob.api import launchers
from elasticjob.api.reserved import DIRECTORIES, ENV_PREFIX, VOLUME_PREFIX, WORKER_ENV
from elasticjob.wire import names
from elasticjob.wire.codec import Json

Reason = Literal["FieldValueInvalid", "FieldValueRequired", "FieldValueForbidden"]

MAX_NAME = 45  # leaves room in 63 characters for -<index>-<generation>
_NAME = "^[a-z]([-a-z0-9]*[a-z0-9])?$"


@dataclass(frozen=True)
class ValidationRule:
    """One condition that every ElasticJob fulfils, in CEL and in Python."""

    name: str
    scope: str  # the field that the rule reads: `spec`, or empty for the whole object
    field: str  # the field that the message is about, below the scope
    reason: Reason
    message: str
    cel: str
    holds: Callable[[Json], bool]
    # Whether a change leaves everything unchanged that the rule reads; if so, the rule is skipped.
    # From oldSelf to self in CEL, from the first to the second in Python. Default: the whole scope.
    unchanged_cel: str = ""
    is_unchanged: Callable[[Json, Json], bool] = operator.eq

    @property
    def is_for_writes_only(self) -> bool:
        """Whether a job that is already stored may violate the rule and still run."""
        return self.unchanged_cel != ""

    @property
    def path(self) -> str:
        """The path of the field that the message is about, from the root of the object."""
        return f"{self.scope}.{self.field}" if self.scope else self.field

    def scoped(self, job: Json) -> Json:
        """The part of an object that the rule reads as `self`."""
        scoped: Json = job[self.scope] if self.scope else job
        return scoped


def violations(new: Json, old: Json | None) -> list[tuple[str, str]]:
    """The violations of a write, each as (path of the field, message of one line with the cure).

    `new` has passed the schema and has its defaults. `old` is the object that it replaces. As in
    the API server from 1.30 (KEP-4008), a rule is skipped if everything that it reads is unchanged,
    so that an old job can be labelled, scaled down and finished after a rule became stricter.
    """
    return [
        (rule.path, rule.message)
        for rule in RULES
        if not (old is not None and rule.is_unchanged(rule.scoped(old), rule.scoped(new)))
        and not rule.holds(rule.scoped(new))
    ]


def violations_of_stored(job: Json) -> list[tuple[str, str]]:
    """The violations in a stored job of the rules that the operator relies on, in the same form."""
    return [
        (rule.path, rule.message)
        for rule in RULES
        if not rule.is_for_writes_only and not rule.holds(rule.scoped(job))
    ]


def worker_container(spec: Json) -> str | None:
    """The name of the worker container, or None if the spec does not determine it."""
    found = [container["name"] for container in _containers(spec)]
    given = spec.get("containerName")
    if given is not None:
        return given if given in found else None
    if len(found) == 1:
        return str(found[0])
    return "worker" if "worker" in found else None


def worker_command_line(spec: Json) -> list[str]:
    """The command line of each worker: the command and arguments of the worker container."""
    return [word for worker in _workers(spec) for word in _command_line(worker)]


# ---- the rules in Python -------------------------------------------------------------------------


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


def _is_template_unchanged(old: Json, new: Json) -> bool:
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


def _template_keys_are_free(spec: Json) -> bool:
    meta = spec["template"].get("metadata", {})
    keys = [*meta.get("labels", {}), *meta.get("annotations", {})]
    return not any(key.startswith(f"{names.GROUP}/") for key in keys)


def _command_line(container: Json) -> list[str]:
    return [*(container.get("command") or []), *(container.get("args") or [])]


def _containers(spec: Json) -> list[Json]:
    containers: list[Json] = spec["template"]["spec"]["containers"]
    return containers


def _workers(spec: Json) -> list[Json]:
    """The worker container as a list, which is empty if the spec does not determine it."""
    name = worker_container(spec)
    return [container for container in _containers(spec) if container["name"] == name]


# ---- the rules in CEL ----------------------------------------------------------------------------

_POD = "self.template.spec"
_IS_WORKER = (
    "(has(self.containerName) ? c.name == self.containerName"
    f" : {_POD}.containers.size() == 1 || c.name == 'worker')"
)
_COMMAND_LINE = "c.command + (has(c.args) ? c.args : [])"
# Compares whole values: the API server does not bound the lists of oldSelf, and refuses a loop.
_TEMPLATE_UNCHANGED = (
    "self.template == oldSelf.value().template"
    " && has(self.containerName) == has(oldSelf.value().containerName)"
    " && (!has(self.containerName) || self.containerName == oldSelf.value().containerName)"
)


def _cel_of_worker(condition: str) -> str:
    return f"{_POD}.containers.all(c, !{_IS_WORKER} || {condition})"


def _cel_list(texts: tuple[str, ...]) -> str:
    return f"[{', '.join(repr(text) for text in texts)}]"


_CEL_MOUNT_IS_FREE = " && ".join(
    f"m.mountPath != '{directory}' && !m.mountPath.startsWith('{directory}/')"
    for directory in DIRECTORIES
)
_CEL_KEYS_ARE_FREE = [
    f"(!has(self.template.metadata.{marks})"
    f" || !self.template.metadata.{marks}.exists(k, k.startsWith('{names.GROUP}/')))"
    for marks in ("labels", "annotations")
]

RULES = (
    ValidationRule(
        name="name length",
        scope="",
        field="metadata.name",
        reason="FieldValueInvalid",
        message=f"must be at most {MAX_NAME} characters, because pods are named after the job:"
        " choose a shorter name",
        cel=f"self.metadata.name.size() <= {MAX_NAME}",
        holds=_name_fits,
    ),
    ValidationRule(
        name="name shape",
        scope="",
        field="metadata.name",
        reason="FieldValueInvalid",
        message="must begin with a letter, contain only lower-case letters, digits and -, and end"
        " with a letter or digit, because pods are named after the job",
        cel=f"self.metadata.name.matches('{_NAME}')",
        holds=_name_is_a_dns_label,
    ),
    ValidationRule(
        name="min replicas",
        scope="spec",
        field="minReplicas",
        reason="FieldValueInvalid",
        message="must be at most replicas: lower minReplicas or raise replicas",
        cel="!has(self.minReplicas) || self.minReplicas <= self.replicas",
        holds=_min_is_not_above_replicas,
    ),
    ValidationRule(
        name="max replicas",
        scope="spec",
        field="maxReplicas",
        reason="FieldValueInvalid",
        message="must be at least replicas: raise maxReplicas or lower replicas",
        cel="!has(self.maxReplicas) || self.replicas <= self.maxReplicas",
        holds=_max_is_not_below_replicas,
    ),
    ValidationRule(
        name="known container",
        scope="spec",
        field="containerName",
        reason="FieldValueInvalid",
        message="must be the name of a container of the template: use the name of one of"
        " template.spec.containers",
        cel="!has(self.containerName)"
        f" || {_POD}.containers.exists(c, c.name == self.containerName)",
        holds=_named_container_exists,
    ),
    ValidationRule(
        name="one worker container",
        scope="spec",
        field="containerName",
        reason="FieldValueRequired",
        message="required if the template has several containers and none is named worker: set it"
        " to the name of the container that trains",
        cel=f"has(self.containerName) || {_POD}.containers.size() == 1"
        f" || {_POD}.containers.exists(c, c.name == 'worker')",
        holds=_worker_is_not_ambiguous,
    ),
    ValidationRule(
        name="command",
        scope="spec",
        field="template.spec.containers",
        reason="FieldValueRequired",
        message="the worker container must have a command, because the agent replaces the image's"
        " entrypoint: set command, for example to [python3, train.py]",
        cel=_cel_of_worker("(has(c.command) && c.command.size() > 0)"),
        holds=_worker_has_a_command,
    ),
    ValidationRule(
        name="launcher",
        scope="spec",
        field="template.spec.containers",
        reason="FieldValueForbidden",
        message="torchrun and other launchers would train one model per worker: set command to the"
        " training program, for example [python3, train.py], and set nprocPerNode",
        cel=_cel_of_worker(
            "!has(c.command) || c.command.size() == 0"
            f" || !{launchers.cel('c.command[0]', _COMMAND_LINE)}"
        ),
        holds=_worker_starts_no_launcher,
        unchanged_cel=_TEMPLATE_UNCHANGED,
        is_unchanged=_is_template_unchanged,
    ),
    ValidationRule(
        name="worker environment",
        scope="spec",
        field="template.spec.containers",
        reason="FieldValueForbidden",
        message="the agent sets RANK, WORLD_SIZE, MASTER_ADDR and similar variables for each"
        f" worker, and {ENV_PREFIX}* is reserved: remove them from env of the worker container",
        cel=_cel_of_worker(
            f"!has(c.env) || c.env.all(e, !(e.name in {_cel_list(WORKER_ENV)})"
            f" && !e.name.startsWith('{ENV_PREFIX}'))"
        ),
        holds=_worker_env_is_free,
    ),
    ValidationRule(
        name="worker mounts",
        scope="spec",
        field="template.spec.containers",
        reason="FieldValueForbidden",
        message=f"{', '.join(DIRECTORIES)} are reserved for the agent: mount the volumes of the"
        " worker container elsewhere",
        cel=_cel_of_worker(f"!has(c.volumeMounts) || c.volumeMounts.all(m, {_CEL_MOUNT_IS_FREE})"),
        holds=_worker_mounts_are_free,
    ),
    ValidationRule(
        name="volume names",
        scope="spec",
        field="template.spec.volumes",
        reason="FieldValueForbidden",
        message=f"names that begin with {VOLUME_PREFIX} are reserved for the operator: rename the"
        " volume",
        cel=f"!has({_POD}.volumes) || {_POD}.volumes.all(v, !v.name.startsWith('{VOLUME_PREFIX}'))",
        holds=_volume_names_are_free,
    ),
    ValidationRule(
        name="restart policy",
        scope="spec",
        field="template.spec.restartPolicy",
        reason="FieldValueInvalid",
        message="must be Never or absent, because the agent restarts workers and the operator"
        " replaces pods: remove restartPolicy",
        cel=f"!has({_POD}.restartPolicy) || {_POD}.restartPolicy == 'Never'",
        holds=_pods_are_not_restarted,
    ),
    ValidationRule(
        name="template labels",
        scope="spec",
        field="template.metadata",
        reason="FieldValueForbidden",
        message=f"labels and annotations that begin with {names.GROUP}/ are reserved for the"
        " operator: remove them from the template",
        cel=f"!has(self.template.metadata) || {' && '.join(_CEL_KEYS_ARE_FREE)}",
        holds=_template_keys_are_free,
    ),
)
