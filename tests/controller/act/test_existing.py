"""Which objects of a name that the operator uses are taken for its own."""

from __future__ import annotations

import base64
import copy
import hashlib
from typing import Any

import pytest
from tests.support.jobs import elastic_job

from elasticjob.controller.act import existing, manifests
from elasticjob.controller.act.bundle import Bundle
from elasticjob.wire import names
from elasticjob.wire.codec import Json
from elasticjob.wire.desired import Desired
from elasticjob.wire.lease import JobIdentity, round_manifest
from elasticjob.wire.round import Round

BUNDLE = Bundle(b"zip")
ACCOUNT, BINDING = manifests.rights(elastic_job())
CONFIG_MAP = manifests.agent_config_map("team", BUNDLE)
POD = manifests.pod(elastic_job(), 1, 0, BUNDLE.hash)
ROUND = round_manifest(JobIdentity("team", "demo", "uid-of-demo"), Desired((), 1, 5.0), Round())
OWNED = [ACCOUNT, BINDING, ROUND, POD]
SUBJECT = BINDING["subjects"][0]


def kind(made: Json) -> str:
    return str(made["kind"])


def with_(made: Json, path: str, value: Any) -> Json:
    """The object with another value of one field; None removes the field."""
    found = copy.deepcopy(made)
    *parents, last = path.split("/")
    inner = found
    for parent in parents:
        inner = inner[parent]
    inner[last] = value
    if value is None:
        del inner[last]
    return found


def labelled(made: Json, **labels: str) -> Json:
    by_name = {"job": names.LABEL_JOB, "uid": names.LABEL_JOB_UID, "index": names.LABEL_INDEX}
    changed = {by_name[name]: value for name, value in labels.items()}
    return with_(made, "metadata/labels", {**made["metadata"]["labels"], **changed})


def as_stored(made: Json) -> Json:
    """What API server, webhooks and controllers add."""
    found = copy.deepcopy(made)
    found["metadata"] |= {"uid": "u", "resourceVersion": "1", "annotations": {"note": "x"}}
    found["metadata"]["labels"]["team"] = "a"
    found |= {"secrets": [{"name": "x"}], "imagePullSecrets": [{"name": "y"}]}
    if kind(made) == "Pod":
        container = found["spec"]["containers"][0]
        container["command"] = ["vault-env", *container["command"]]
        found["spec"]["tolerations"] = [{"operator": "Exists"}]
    return found


@pytest.mark.parametrize("made", [*OWNED, CONFIG_MAP], ids=kind)
def test_what_the_operator_has_created_is_its_own(made: Json) -> None:
    assert existing.fault(made, as_stored(made)) == ""


@pytest.mark.parametrize("made", OWNED, ids=kind)
def test_an_object_of_another_job_is_not(made: Json) -> None:
    older, other = labelled(made, uid="older"), labelled(made, job="other")
    bare = with_(made, "metadata/labels", None)
    foreign = "exists and belongs to no job of this name"
    assert existing.fault(made, older) == "belongs to an older job of this name"
    assert existing.fault(made, other) == existing.fault(made, bare) == foreign
    found = [existing.may_delete(made, body) for body in (older, made, other, bare)]
    assert found == [True, True, False, False]


def role_ref(**changed: str) -> Json:
    return {**BINDING["roleRef"], **changed}


@pytest.mark.parametrize(
    ("made", "found", "fields"),
    [
        (BINDING, with_(BINDING, "roleRef", role_ref(name="edit")), "roleRef"),
        (BINDING, with_(BINDING, "roleRef", role_ref(kind="Role")), "roleRef"),
        (BINDING, with_(BINDING, "subjects", None), "subjects"),
        (BINDING, with_(BINDING, "subjects", [SUBJECT, {**SUBJECT, "name": "x"}]), "subjects"),
        (BINDING, with_(BINDING, "subjects", [{**SUBJECT, "namespace": "x"}]), "subjects"),
        (BINDING, with_(BINDING, "subjects", [{**SUBJECT, "kind": "User"}]), "subjects"),
        (CONFIG_MAP, with_(CONFIG_MAP, "immutable", None), "immutable"),
        (CONFIG_MAP, with_(CONFIG_MAP, "binaryData", {"agent.pyz": "eA=="}), "binaryData"),
        (CONFIG_MAP, with_(CONFIG_MAP, "binaryData", None), "binaryData"),
        (CONFIG_MAP, with_(CONFIG_MAP, "binaryData/x", "eA=="), "binaryData"),
        (CONFIG_MAP, with_(CONFIG_MAP, "data", {"x": "y"}), "data"),
        (ROUND, with_(ROUND, "metadata/ownerReferences", None), "metadata.ownerReferences"),
        (POD, with_(POD, "metadata/ownerReferences", None), "metadata.ownerReferences"),
        (POD, with_(POD, "spec/serviceAccountName", "admin"), "spec.serviceAccountName"),
        (POD, labelled(POD, index="0"), "metadata.labels"),
    ],
)
def test_another_value_is_named_by_its_field(made: Json, found: Json, fields: str) -> None:
    assert existing.fault(made, found) == f"has another {fields}"


def test_every_field_that_differs_is_named() -> None:
    found = with_(with_(CONFIG_MAP, "immutable", None), "data", {"x": "y"})
    assert existing.fault(CONFIG_MAP, found) == "has another immutable and data"


def test_the_empty_group_of_a_subject_may_be_written() -> None:
    found = with_(BINDING, "subjects", [{**SUBJECT, "apiGroup": ""}])
    assert existing.fault(BINDING, found) == ""


def test_a_round_may_have_continued() -> None:
    found = with_(ROUND, "metadata/annotations", {names.ANNOTATION_ROUND: "{}"})
    assert existing.fault(ROUND, with_(found, "spec", {"holderIdentity": "demo-0-0"})) == ""


def test_a_config_map_is_recognized_by_content_and_deleted_by_label() -> None:
    unlabelled = with_(CONFIG_MAP, "metadata/labels", None)
    assert existing.fault(CONFIG_MAP, unlabelled) == ""
    assert existing.may_delete(CONFIG_MAP, CONFIG_MAP)
    assert not existing.may_delete(CONFIG_MAP, unlabelled)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (CONFIG_MAP, hashlib.sha256(b"zip").hexdigest()),
        ({"binaryData": {"agent.pyz": base64.b64encode(b"x").decode()}}, Bundle(b"x").hash),
        ({"binaryData": {"other": "eA=="}}, ""),
        ({"data": {"agent.pyz": "zip"}}, ""),
        ({}, ""),
    ],
)
def test_the_hash_of_the_agent_in_a_config_map(body: Json, expected: str) -> None:
    assert existing.agent_hash(body) == expected
