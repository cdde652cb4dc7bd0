"""Which changes of a job replace its pods, and which fields a restart names."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.jobs import elastic_job, worker

from elasticjob.controller.observe.template import (
    LONGEST_FIELDS,
    changed_fields,
    template_fields,
    template_hash,
)
from elasticjob.wire import names
from elasticjob.wire.codec import Json

POD = "spec.template.spec"
LOG_POLICY = {"terminationMessagePolicy": "FallbackToLogsOnError"}
SMALL = {"image": "python:3.12", "resources": {"limits": {"cpu": "1"}}}


def job(*containers: Json, pod: Json | None = None, **spec: Any) -> Json:
    return elastic_job(pod={"containers": list(containers) or [worker()], **(pod or {})}, **spec)


def restarted(value: str) -> Json:
    made = job()
    made["metadata"]["annotations"] = {names.ANNOTATION_RESTART: value}
    return made


INIT = job(pod={"initContainers": [{"name": "i"}]})
CHANGES: list[tuple[Json, Json, set[str]]] = [
    (job(), job(), set()),
    (job(), job(worker(image="python:3.13")), {f"{POD}.containers[0].image"}),
    (job(worker(args=["a"])), job(worker(args=["a", "b"])), {f"{POD}.containers[0].args"}),
    (job(worker(env=[{"name": "A", "value": "1"}])), job(worker(env=[{"name": "A"}])),
     {f"{POD}.containers[0].env[0].value"}),
    (job(worker(resources={"limits": {"cpu": "1"}})),
     job(worker(resources={"limits": {"cpu": "1000m", "nvidia.com/gpu": 1}})),
     {f"{POD}.containers[0].resources.limits[nvidia.com/gpu]"}),
    (job(worker("a")), job(worker("b")), {f"{POD}.containers[0].name", "spec.containerName"}),
    (job(), job(nprocPerNode=2), {"spec.nprocPerNode"}),
    (job(), job(stopGraceSeconds=26), {f"{POD}.terminationGracePeriodSeconds"}),
    (job(), job(stopGraceSeconds=24, pod={"terminationGracePeriodSeconds": 30}), set()),
    (job(), restarted("now"), {"metadata.annotations[elasticjob.dev/restart]"}),
    (job(), restarted(""), set()),
    (job(), job(worker(terminationMessagePolicy="FallbackToLogsOnError")), set()),
    (INIT, job(pod={"initContainers": [{"name": "i", **LOG_POLICY}]}),
     {f"{POD}.initContainers[0].terminationMessagePolicy"}),
    (INIT, job(pod={"initContainers": [{"name": "i", "terminationMessagePolicy": "File"}]}), set()),
    (job(), job(worker(terminationMessagePolicy="File")),
     {f"{POD}.containers[0].terminationMessagePolicy"}),
    (job(pod={"serviceAccount": "a"}), job(pod={"serviceAccountName": "a"}), set()),
    (job(), job(template={"metadata": {"labels": {"a": ""}}, "spec": {"containers": [worker()]}}),
     {"spec.template.metadata.labels.a"}),
    (job(), job(replicas=9, minReplicas=1, maxRestarts=1, crashGraceSeconds=9, suspend=True),
     set()),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "fields"), CHANGES)
def test_the_fields_that_have_changed(old: Json, new: Json, fields: set[str]) -> None:
    assert set(changed_fields(template_fields(old), new)) == fields
    assert (template_fields(old) == template_fields(new)) == (not fields)


def test_the_hash_is_that_of_the_first_releases() -> None:
    """Another value here, together with other fields, would restart every running job when the
    operator is upgraded."""
    assert template_hash(elastic_job()) == "745bf9c7b9"


@pytest.mark.parametrize(
    ("policy", "digest"),
    [
        ({}, None),
        ({"terminationMessagePolicy": "File"}, None),
        (LOG_POLICY, "f2d31894a3"),
    ],
)
def test_the_digests_of_init_containers_are_those_of_the_first_releases(
    policy: Json, digest: str | None
) -> None:
    """Other ones would restart a job when an edit after an upgrade changes nothing."""
    found = template_fields(job(pod={"initContainers": [{"name": "i", **policy}]}))
    path = f"{POD}.initContainers[0].terminationMessagePolicy"
    assert json.loads(found)["fields"].get(path) == digest


def many_variables(count: int, value: str = "x") -> Json:
    return job(worker(env=[{"name": f"A{n}", "value": value} for n in range(count)]))


@pytest.mark.parametrize("count", [1, 100, 512])
def test_a_template_with_many_fields_has_a_short_text(count: int) -> None:
    assert len(template_fields(many_variables(count))) <= LONGEST_FIELDS


def test_of_many_fields_the_one_that_they_are_in_is_named() -> None:
    old = template_fields(many_variables(300))
    assert changed_fields(old, many_variables(300, "y")) == (f"{POD}.containers[0].env",)
    assert set(changed_fields(old, many_variables(1))) == {f"{POD}.containers[0].env"}


def test_a_template_with_long_keys_has_a_short_text() -> None:
    """A label of a node can have a long name, and an unknown field one of any length."""
    old, new = (job(pod={"x": {str(n) * 9000: value for n in range(9)}}) for value in "ab")
    assert len(template_fields(old)) <= LONGEST_FIELDS
    assert changed_fields(template_fields(old), new) == (f"{POD}.x",)


TEXTS = ["", "x", "[]", "{}", '{"depth":1}', '{"depth":"x","fields":{}}',
         '{"depth":1,"fields":[1]}', '{"depth":1,"fields":[[1,2]]}', "[" * 5000]  # fmt: skip


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_that_no_operator_has_written_names_nothing(text: str) -> None:
    assert changed_fields(text, job()) == ()


@given(path=st.text(), depth=st.integers())
def test_the_names_of_fields_are_short_and_plain(path: str, depth: int) -> None:
    text = json.dumps({"depth": depth, "fields": {path + "\x1b" * 500: "0"}})
    for named in changed_fields(text, job()):
        assert len(named) <= 120
        assert "\x1b" not in named
