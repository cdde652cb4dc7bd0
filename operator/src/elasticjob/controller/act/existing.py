"""Whether an object that exists is the one that the operator would have created. Pure.

A name can be predicted, so another user may have created the object, with labels and an owner as
this user chose them. `_COMPARED` has, by kind, the fields on which a job depends. All other fields
may differ: API server, webhooks, controllers and users add some.

* ServiceAccount: only its label. Pods define themselves whether they mount a token, and deleting
  the account would end the tokens of running agents.
* Lease: not `desired` and the round. Agents continue the round, and the next pass corrects
  `desired`.
* Pod: not its command and volumes. Webhooks change them in some clusters.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping

from elasticjob.controller.act.bundle import FILE_NAME
from elasticjob.wire import names
from elasticjob.wire.codec import Json

_POD_LABELS = (names.LABEL_INDEX, names.LABEL_GENERATION)


def fault(made: Json, found: Json) -> str:
    """Why `found` is not the object `made`, as the predicate of a sentence; empty if it is."""
    if _is_owned(made) and not _is_of_this_name(made, found):
        return "exists and belongs to no job of this name"
    if _job_uid(found) != _job_uid(made):
        return "belongs to an older job of this name"
    compared = _COMPARED[made["kind"]]
    fields = [field for field, value in compared.items() if value(found) != value(made)]
    return f"has another {' and '.join(fields)}" if fields else ""


def may_delete(made: Json, found: Json) -> bool:
    """Whether the operator may delete `found` to create `made`: labels mark it as an operator's."""
    if _is_owned(made):
        return _is_of_this_name(made, found)
    return bool(_labels(made).items() <= _labels(found).items())


def agent_hash(config_map: Json) -> str:
    """The hash of the agent in a ConfigMap; empty if it contains none."""
    text = (config_map.get("binaryData") or {}).get(FILE_NAME)
    return hashlib.sha256(base64.b64decode(text)).hexdigest() if text else ""


def _is_owned(made: Json) -> bool:
    return names.LABEL_JOB_UID in _labels(made)


def _is_of_this_name(made: Json, found: Json) -> bool:
    same_name = _labels(found).get(names.LABEL_JOB) == _labels(made)[names.LABEL_JOB]
    return same_name and bool(_job_uid(found))


def _job_uid(body: Json) -> str:
    return str(_labels(body).get(names.LABEL_JOB_UID) or "")


def _labels(body: Json) -> Json:
    return body["metadata"].get("labels") or {}


def _pod_labels(body: Json) -> object:
    return [_labels(body).get(label) for label in _POD_LABELS]


def _controller(body: Json) -> object:
    """The UID of the owner that garbage collection follows and that controls the object."""
    owners = body["metadata"].get("ownerReferences") or []
    return [owner.get("uid") for owner in owners if owner.get("controller")]


def _account(body: Json) -> object:
    return body["spec"].get("serviceAccountName")


def _role_ref(body: Json) -> object:
    return [(body.get("roleRef") or {}).get(key) for key in ("apiGroup", "kind", "name")]


def _subjects(body: Json) -> object:
    """Sorted, and with the empty group that the API server leaves out."""
    keys = ("apiGroup", "kind", "namespace", "name")
    return sorted([s.get(key) or "" for key in keys] for s in body.get("subjects") or [])


_COMPARED: Mapping[str, Mapping[str, Callable[[Json], object]]] = {
    "ServiceAccount": {},
    "RoleBinding": {"roleRef": _role_ref, "subjects": _subjects},
    "ConfigMap": {
        "immutable": lambda body: body.get("immutable") or False,
        "binaryData": lambda body: body.get("binaryData") or {},
        "data": lambda body: body.get("data") or {},
    },
    "Lease": {"metadata.ownerReferences": _controller},
    "Pod": {
        "metadata.labels": _pod_labels,
        "metadata.ownerReferences": _controller,
        "spec.serviceAccountName": _account,
    },
}
"""By kind: what is compared in addition to the job in the labels."""
