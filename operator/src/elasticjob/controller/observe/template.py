"""Values from a job's template: account, hash, fields, and grace of its pods. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from elasticjob.api.rules import worker_container
from elasticjob.controller.observe import normal_form
from elasticjob.controller.observe.pod_defaults import MESSAGE_POLICY
from elasticjob.wire import names
from elasticjob.wire.codec import Json
from elasticjob.wire.untrusted import WireError, decode, plain

HASH_LENGTH = 10
AGENT_GRACE_S = 5  # after the workers' grace: the agent kills what is left, and reports the end
LONGEST_FIELDS = 8192  # bytes of the annotation with the digests of the fields
_DEEPEST_FIELD = 16  # levels below the spec of the job; a pod's own fields have no more
_LONGEST_PATH = 120
_GRACE, _ACCOUNT = "terminationGracePeriodSeconds", "serviceAccountName"


def template_account(job: Json) -> str:
    """The account that the template names; empty if it names none."""
    spec = job["spec"]["template"]["spec"]
    # serviceAccount is the old name, which the API server still accepts.
    return str(spec.get("serviceAccountName") or spec.get("serviceAccount") or "")


def template_hash(job: Json) -> str:
    """The hash of the fields that pods are made from, as they are written.

    This function never changes: each release of the operator recognizes the pods of an unchanged
    template by it, also those that another release has created.
    """
    return _hash(_made_from(job))


def template_fields(job: Json) -> str:
    """The fields that pods are made from, each with a digest of what it means.

    Two templates that mean the same have the same text. A field of many values, or the fields at
    the same depth if there are too many of them, have one digest.
    """
    return _fields_of(_made_from(job))


def changed_fields(old: str, job: Json) -> tuple[str, ...]:
    """The paths of the fields in which the template of a job differs from `template_fields` of
    another one, which stands in a pod; empty if this text cannot be read."""
    try:
        record = decode(old, "the fields of the template")
        depth, before = record["depth"], record["fields"]
        after = _digests(_meaning(_made_from(job)), min(int(depth), _DEEPEST_FIELD))
    except (WireError, TypeError, ValueError, LookupError):
        return ()
    if not isinstance(before, dict):
        return ()
    paths = [path for path in {**after, **before} if before.get(path) != after.get(path)]
    inner = [path for path in paths if not any(_is_inside(other, path) for other in paths)]
    return tuple(plain(path)[:_LONGEST_PATH] or "spec" for path in inner)


def _is_inside(path: str, other: str) -> bool:
    """Whether the first field is a part of the other one. An empty map has a path, too."""
    return path.startswith((f"{other}.", f"{other}["))


def pod_grace_s(job: Json) -> int:
    """Seconds of grace of the job's pods: the template's, but at least what the agent needs."""
    wanted = job["spec"]["template"]["spec"].get("terminationGracePeriodSeconds", 0)
    return max(int(wanted), int(job["spec"]["stopGraceSeconds"]) + AGENT_GRACE_S)


def _made_from(job: Json) -> str:
    """All that pods are made from, as a text.

    The annotation `restart` is a part of it, so that a user can restart a job. The agent is not, so
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
    return _text(made_from)


@lru_cache(maxsize=16)  # the pods of a job are created one after the other
def _fields_of(made_from: str) -> str:
    meaning, depth = _meaning(made_from), _DEEPEST_FIELD
    while depth and _length(meaning, depth) > LONGEST_FIELDS:
        depth -= 1
    return _text({"depth": depth, "fields": _digests(meaning, depth)})


def _length(meaning: Json, depth: int) -> int:
    paths = (path for path, _ in _fields("", meaning, depth))
    return len(_text({"depth": depth, "fields": dict.fromkeys(paths, "0" * HASH_LENGTH)}))


def _with_policy(spec: Json, worker: str) -> Json:
    """The spec with the termination message policy that the operator gives the worker container."""
    policy = {"terminationMessagePolicy": MESSAGE_POLICY}
    containers = spec.get("containers") or ()
    return {
        **spec,
        "containers": [{**policy, **c} if c["name"] == worker else c for c in containers],
    }


def _meaning(made_from: str) -> Json:
    """What pods are made from, in the structure of the job and in normal form."""
    parts = decode(made_from, "the template")
    template = parts["template"]
    meta = template.get("metadata") or {}
    spec = normal_form.pod_spec(_with_policy(template["spec"], parts["container"]))
    account = spec.pop("serviceAccount", "")
    pod = {_ACCOUNT: account, **spec, _GRACE: parts["grace"]}
    return {
        "spec": {
            "template": {
                "metadata": {key: meta.get(key) or {} for key in ("labels", "annotations")},
                "spec": pod,
            },
            "containerName": parts["container"],
            "nprocPerNode": parts["nproc"],
        },
        "metadata": {"annotations": {names.ANNOTATION_RESTART: parts.get("restart", "")}},
    }


def _digests(meaning: Json, depth: int) -> dict[str, str]:
    return {path: _hash(_text(value)) for path, value in _fields("", meaning, depth)}


def _fields(path: str, value: Any, depth: int) -> Iterator[tuple[str, Any]]:
    """The paths and values of fields, as Kubernetes writes paths, down to this depth."""
    below = dict(_below(path, value)) if depth > 0 else {}
    if not below:
        yield path, value
    for inner, each in below.items():
        yield from _fields(inner, each, depth - 1)


def _below(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, each in value.items():
            is_plain = key.isidentifier() and key.isascii()
            yield (f"{path}.{key}" if path else key) if is_plain else f"{path}[{key}]", each
    elif isinstance(value, list) and any(isinstance(each, dict) for each in value):
        for index, each in enumerate(value):
            yield f"{path}[{index}]", each


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:HASH_LENGTH]
