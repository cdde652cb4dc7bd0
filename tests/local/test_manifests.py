from __future__ import annotations

from typing import Any

import pytest
from tests.support.scalars import ARRIVES, NO_JSON, REFUSED, job_yaml

from elasticjob.local.api.kinds import jobs
from elasticjob.local.api.objects.builtins import CONFIGMAPS, NAMESPACES
from elasticjob.local.api.server import new_store, preload
from elasticjob.local.api.verbs import Verbs
from elasticjob.local.api.watch import Watches
from elasticjob.local.manifests import ManifestError, create, parse
from elasticjob.wire.names import API_VERSION, KIND

CONFIG = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n"


@pytest.fixture
def verbs() -> Verbs:
    store = new_store("PEM", jobs.admission())
    preload(store, jobs.definitions())
    return Verbs(store, Watches(store))


def job(**spec: Any) -> dict[str, Any]:
    container = {"name": "worker", "command": ["python3", "train.py"]}
    template = {"spec": {"containers": [container]}}
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": "demo"},
        "spec": {"template": template, **spec},
    }


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        (CONFIG, ["ConfigMap"]),
        (f"---\n{CONFIG}---\n{CONFIG}", ["ConfigMap", "ConfigMap"]),
        (f"---\n# nothing\n---\n{CONFIG}", ["ConfigMap"]),
        ('{"kind": "List", "items": [{"kind": "A", "apiVersion": "v1", "metadata": {}}]}', ["A"]),
    ],
)
def test_the_objects_of_a_file(text: str, kinds: list[str]) -> None:
    assert [obj["kind"] for obj in parse(text, "f")] == kinds


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "f: must contain an object"),
        ("---\n---\n", "f: must contain an object"),
        ("a: [1\nb: 2", r"f: line 2, column 2: expected ',' or '\]', but got ':'"),
        ("\t- x", "f: line 1, column 1: found character"),
        ("just text", "f: object 1 must have apiVersion and kind"),
        (f"{CONFIG}---\nkind: Pod", "f: object 2 must have apiVersion and kind"),
        ("apiVersion: v1\nkind: Pod", r"f: object 1 \(Pod\) must have metadata"),
    ],
)
def test_an_invalid_file_is_refused_with_place_and_reason(text: str, fault: str) -> None:
    with pytest.raises(ManifestError, match=fault):
        parse(text, "f")


def test_objects_get_defaults_and_namespace(verbs: Verbs) -> None:
    (created,) = create(verbs, [job()], "f")
    assert created["metadata"]["namespace"] == "default"
    assert created["spec"]["maxRestarts"] == 10


def test_objects_are_created_in_order(verbs: Verbs) -> None:
    objects = parse(
        "apiVersion: v1\nkind: Namespace\nmetadata: {name: team}\n---\n"
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c, namespace: team}\n",
        "f",
    )
    create(verbs, objects, "f")
    assert verbs.store.get(CONFIGMAPS, "team", "c")


def test_an_existing_namespace_is_accepted(verbs: Verbs) -> None:
    present = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default"}}
    assert create(verbs, [present], "f") == [verbs.store.get(NAMESPACES, "", "default")]


@pytest.mark.parametrize(
    ("obj", "fault"),
    [
        (job(colour=1), 'f: ElasticJob demo: .*strict decoding error: unknown field "spec.colour"'),
        (job(minReplicas=3), r'f: ElasticJob.* "demo" is invalid: spec.minReplicas: '),
        (
            {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}},
            "f: Deployment d: apps/v1 is not served by the local mode",
        ),
        (
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": "c", "namespace": "nowhere"},
            },
            'f: ConfigMap c: namespaces "nowhere" not found',
        ),
    ],
)
def test_a_refusal_names_the_object(verbs: Verbs, obj: dict[str, Any], fault: str) -> None:
    with pytest.raises(ManifestError, match=fault):
        create(verbs, [obj], "f")


# tests/contract/test_kubectl.py shows that kubectl with a real API server judges these alike.


@pytest.mark.parametrize(("text", "expected"), ARRIVES.items())
def test_a_scalar_without_quotes_that_is_a_text_arrives_as_it_is(
    verbs: Verbs, text: str, expected: str
) -> None:
    (created,) = create(verbs, parse(job_yaml("j", text, text), "f"), "f")
    (container,) = created["spec"]["template"]["spec"]["containers"]
    assert (container["args"], container["env"][0]["value"]) == ([expected], expected)


@pytest.mark.parametrize(("text", "kind"), REFUSED.items())
def test_a_scalar_without_quotes_that_is_no_text_is_refused_by_field(
    verbs: Verbs, text: str, kind: str
) -> None:
    with pytest.raises(ManifestError) as refused:
        create(verbs, parse(job_yaml("j", text, text), "f"), "f")
    for field in ("args[0]", "env[0].value"):
        path = f"spec.template.spec.containers[0].{field}"
        assert f'{path}: Invalid value: "{kind}": ' in str(refused.value)
        assert f'{path} in body must be of type string: "{kind}"' in str(refused.value)


@pytest.mark.parametrize("text", NO_JSON)
def test_a_number_that_is_none_in_json_is_refused_with_its_line(text: str) -> None:
    with pytest.raises(ManifestError, match="f: line 13: infinity and NaN are no numbers in JSON"):
        parse(job_yaml("j", text), "f")


def test_of_a_field_that_is_given_twice_the_last_one_counts(verbs: Verbs) -> None:
    (created,) = create(
        verbs, parse(job_yaml("j", more="  replicas: 2\n  replicas: 3\n"), "f"), "f"
    )
    assert created["spec"]["replicas"] == 3


def test_a_tab_that_indents_is_refused_with_its_line() -> None:
    with pytest.raises(ManifestError, match="f: line 17, column 1: a tab must not indent"):
        parse(job_yaml("j", more="\treplicas: 2\n"), "f")
