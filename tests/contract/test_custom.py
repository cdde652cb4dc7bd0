"""Custom resources: defaults, pruning, validation, status, scale, generation, definitions."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from dev.kube_client import Client
from dev.wait import wait_until
from tests.support.commands import LAUNCHERS, OTHERS
from tests.support.jobs import elastic_job, worker
from tests.support.local_server import LocalServer
from tests.support.widgets import WIDGET, jobs_path, widget_object

from elasticjob.api.crd import custom_resource_definition
from elasticjob.local.api.kinds import jobs
from elasticjob.wire import names

pytestmark = pytest.mark.slow

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


def test_defaults_and_pruning(api: Client, widgets: str) -> None:
    body = widget_object(junk=1, template={"kept": {"deep": [1]}})
    reply = api.post(widgets, body)
    assert reply.body["spec"] == {
        "command": ["true"],
        "replicas": 2,
        "policy": "Never",
        "template": {"kept": {"deep": [1]}},
    }
    assert reply.headers["warning"] == '299 - "unknown field \\"spec.junk\\""'


def test_strict_clients_get_errors_for_unknown_fields(
    api: Client, widgets: str, widget: Any
) -> None:
    reply = api.post(widgets, widget_object(junk=1), fieldValidation="Strict")
    assert (reply.code, reply.reason) == (400, "BadRequest")
    assert reply.body["message"] == (
        'Widget in version "v1" cannot be handled as a Widget: '
        'strict decoding error: unknown field "spec.junk"'
    )
    widget()
    patch = {"spec": {"junk": 1}}
    assert api.patch(f"{widgets}/w", patch, fieldValidation="Strict").code == 422
    assert api.patch(f"{widgets}/w", patch, fieldValidation="Ignore").code == 200


@pytest.mark.parametrize(
    ("spec", "field", "message"),
    [
        (
            {"replicas": "x"},
            "spec.replicas",
            'Invalid value: "string": spec.replicas in body must be of type integer: "string"',
        ),
        (
            {"replicas": -1},
            "spec.replicas",
            "Invalid value: -1: spec.replicas in body should be greater than or equal to 0",
        ),
        (
            {"replicas": 11},
            "spec.replicas",
            "Invalid value: 11: spec.replicas in body should be less than or equal to 10",
        ),
        (
            {"policy": "Sometimes"},
            "spec.policy",
            'Unsupported value: "Sometimes": supported values: "Never", "OnFailure"',
        ),
        (
            {"command": []},
            "spec.command",
            "Invalid value: 0: spec.command in body should have at least 1 items",
        ),
        (
            {"command": ["a", "b", "c", "d"]},
            "spec.command",
            "Too many: 4: must have at most 3 items",
        ),
        (
            {"command": ["a", ""]},
            "spec.command[1]",
            'Invalid value: "": spec.command[1] in body should be at least 1 chars long',
        ),
        ({"command": None}, "spec.command", None),
        ({"code": "abcde"}, "spec.code", "Too long: may not be more than 4 bytes"),
        (
            {"code": "A"},
            "spec.code",
            "Invalid value: \"A\": spec.code in body should match '^[a-z]*$'",
        ),
        ({"port": True}, "spec.port", None),
    ],
)
def test_faults_have_the_messages_of_kubernetes(
    api: Client, widgets: str, spec: dict[str, Any], field: str, message: str | None
) -> None:
    reply = api.post(widgets, widget_object(**spec))
    assert (reply.code, reply.reason) == (422, "Invalid")
    assert reply.body["message"].startswith('Widget.contract.example "w" is invalid: ')
    causes = {cause["field"]: cause["message"] for cause in reply.body["details"]["causes"]}
    assert field in causes
    if message is not None:
        assert causes[field] == message


def test_several_faults_are_listed(api: Client, widgets: str) -> None:
    reply = api.post(widgets, widget_object(replicas=-1, policy="x"))
    assert {"spec.replicas", "spec.policy"} <= reply.fields
    assert " is invalid: [" in reply.body["message"]


def test_status_and_the_rest_are_written_separately(api: Client, widgets: str, widget: Any) -> None:
    made = widget()
    assert "status" not in made
    both = {"status": {"phase": "X"}, "spec": {"replicas": 9}}
    written = api.patch(f"{widgets}/w/status", both).body
    assert (written["spec"]["replicas"], written["status"]) == (2, {"phase": "X"})
    assert written["metadata"]["generation"] == 1
    before = api.get(f"{widgets}/w").version
    assert api.patch(f"{widgets}/w", {"status": {"phase": "Y"}}).version == before
    stale = {"metadata": {"resourceVersion": made["metadata"]["resourceVersion"]}}
    assert api.patch(f"{widgets}/w/status", {**stale, "status": {"phase": "Z"}}).code == 409
    assert api.get(f"{widgets}/w/status").body["status"] == {"phase": "X"}
    assert api.patch(f"{widgets}/w/status", {"status": {"replicas": "x"}}).code == 422


def test_status_can_be_put(api: Client, widgets: str, widget: Any) -> None:
    made = widget()
    reply = api.put(f"{widgets}/w/status", {**made, "status": {"phase": "P"}, "spec": made["spec"]})
    assert (reply.code, reply.body["status"]) == (200, {"phase": "P"})
    assert api.put(f"{widgets}/w/status", {**made, "status": {"phase": "Q"}}).code == 409


def test_generation_counts_changes_of_the_spec(api: Client, widgets: str, widget: Any) -> None:
    widget()

    def generation(body: dict[str, Any]) -> int:
        return int(api.patch(f"{widgets}/w", body).body["metadata"]["generation"])

    assert generation({"metadata": {"labels": {"a": "b"}}}) == 1
    assert generation({"spec": {"replicas": 3}}) == 2
    assert generation({"spec": {"replicas": 3}}) == 2


class TestScale:
    def test_it_shows_and_changes_one_number(self, api: Client, widgets: str, widget: Any) -> None:
        widget(replicas=3)
        api.patch(f"{widgets}/w/status", {"status": {"replicas": 1, "selector": "a=b"}})
        scale = api.get(f"{widgets}/w/scale").body
        assert (scale["kind"], scale["apiVersion"]) == ("Scale", "autoscaling/v1")
        assert (scale["spec"], scale["status"]) == (
            {"replicas": 3},
            {"replicas": 1, "selector": "a=b"},
        )
        assert api.patch(f"{widgets}/w/scale", {"spec": {"replicas": 5}}).code == 200
        assert api.get(f"{widgets}/w").body["spec"]["replicas"] == 5

    def test_it_keeps_versions_and_the_schema(self, api: Client, widgets: str, widget: Any) -> None:
        widget()
        scale = api.get(f"{widgets}/w/scale").body
        assert api.put(f"{widgets}/w/scale", {**scale, "spec": {"replicas": 4}}).code == 200
        assert api.put(f"{widgets}/w/scale", {**scale, "spec": {"replicas": 6}}).code == 409
        assert api.patch(f"{widgets}/w/scale", {"spec": {"replicas": 11}}).code == 422
        assert api.patch(f"{widgets}/w/scale", {"spec": {"replicas": -1}}).code == 422
        assert api.get(f"{widgets}/w").body["spec"]["replicas"] == 4


class TestDefinitions:
    def test_a_definition_is_created_and_deleted_with_its_objects(
        self, api: Client, namespace: str
    ) -> None:
        definition = copy.deepcopy(WIDGET)
        plural = f"{namespace}s"
        definition["metadata"]["name"] = f"{plural}.contract.example"
        definition["spec"]["names"] = {"plural": plural, "kind": "Gadget", "singular": namespace}
        definition["spec"]["names"]["kind"] = namespace.title().replace("-", "")
        assert api.post(CRDS, definition).code == 201
        path = f"/apis/contract.example/v1/namespaces/{namespace}/{plural}"
        wait_until(lambda: api.get(path).code == 200)
        body = {**widget_object(), "kind": definition["spec"]["names"]["kind"]}
        assert api.post(path, body).code == 201
        found = api.get(f"{CRDS}/{definition['metadata']['name']}").body
        conditions = {item["type"]: item["status"] for item in found["status"]["conditions"]}
        assert conditions["Established"] == "True"
        with api.watch(path, resourceVersion=api.get(path).version) as watch:
            assert api.delete(f"{CRDS}/{definition['metadata']['name']}").code == 200
            assert [(seen.type, seen.name) for seen in watch][-1] == ("DELETED", "w")  # it ends
        wait_until(lambda: api.get(f"{CRDS}/{definition['metadata']['name']}").code == 404)
        wait_until(lambda: api.get(path).code == 404)

    def test_a_wrong_name_is_refused(self, api: Client) -> None:
        wrong = {**WIDGET, "metadata": {"name": "gadgets.contract.example"}}
        reply = api.post(CRDS, wrong)
        assert reply.code == 422
        assert "metadata.name" in reply.fields


@pytest.fixture
def stored_with_a_launcher(
    api: Client, own_server: LocalServer | None, namespace: str
) -> dict[str, Any]:
    """A job that was created before launchers were refused."""
    before, after = (_rules_from_now_on(api, own_server, rules) for rules in (False, True))
    path, body = jobs_path(namespace), elastic_job("old", pod=_runs("torchrun", "train.py"))
    del body["metadata"]["namespace"]
    before()
    try:
        wait_until(lambda: api.post(path, body).code == 201)
    finally:
        after()
    another = {**body, "metadata": {"name": "new"}}
    wait_until(lambda: api.post(path, another, dryRun="All").code == 422)
    found: dict[str, Any] = api.get(f"{path}/old").body
    return found


def _rules_from_now_on(
    api: Client, own_server: LocalServer | None, are_kept: bool
) -> Callable[[], Any]:
    """Wait until the server validates jobs by their rules, or by the schema only."""
    if own_server:
        change = list.append if are_kept else list.remove
        return lambda: own_server.call(lambda running: change(running.store.admission, jobs.admit))
    definition = custom_resource_definition()
    if not are_kept:
        (version,) = definition["spec"]["versions"]
        del version["schema"]["openAPIV3Schema"]["properties"]["spec"]["x-kubernetes-validations"]
    path, patch = f"{CRDS}/{definition['metadata']['name']}", {"spec": definition["spec"]}
    return lambda: api.patch(path, patch)


def _runs(*words: str) -> dict[str, Any]:
    """The spec of a pod whose worker runs this command."""
    return {"containers": [worker(command=list(words))]}


class TestJobs:
    """The resource ElasticJob: CEL rules on a real server, Python rules on the local one."""

    @staticmethod
    def job(**spec: Any) -> dict[str, Any]:
        container = {"name": "worker", "image": "i", "command": ["python", "train.py"]}
        template = {"spec": {"containers": [container]}}
        return {"metadata": {"name": "j"}, "spec": {"template": template, **spec}}

    def test_a_valid_job_gets_its_defaults(self, api: Client, namespace: str) -> None:
        path = jobs_path(namespace)
        kind = {"apiVersion": path.removeprefix("/apis/").split("/namespaces")[0]}
        reply = api.post(path, {**kind, "kind": "ElasticJob", **self.job(replicas=2)})
        assert reply.code == 201, reply.body
        assert reply.body["spec"]["replicas"] == 2

    @pytest.mark.parametrize(
        ("name", "spec", "message"),
        [
            ("more at least than at most", {"replicas": 2, "minReplicas": 3}, "minReplicas"),
            (
                "no command",
                {"template": {"spec": {"containers": [{"name": "worker", "image": "i"}]}}},
                "command",
            ),
        ],
    )
    def test_both_servers_refuse_invalid_jobs(
        self, api: Client, namespace: str, name: str, spec: dict[str, Any], message: str
    ) -> None:
        path = jobs_path(namespace)
        kind = {"apiVersion": path.removeprefix("/apis/").split("/namespaces")[0]}
        reply = api.post(path, {**kind, "kind": "ElasticJob", **self.job(**spec)})
        assert (reply.code, reply.reason) == (422, "Invalid")
        assert message in reply.body["message"]


@pytest.mark.parametrize("words", [*LAUNCHERS, *OTHERS], ids=" ".join)
def test_both_servers_refuse_launchers(api: Client, namespace: str, words: tuple[str, ...]) -> None:
    spec = elastic_job(pod=_runs(*words))["spec"]
    kind = {"apiVersion": names.API_VERSION, "kind": names.KIND}
    body = {**kind, "metadata": {"name": "j"}, "spec": spec}
    reply = api.post(jobs_path(namespace), body, dryRun="All")
    if words in OTHERS:
        assert reply.code == 201, reply.body
        return
    assert (reply.code, reply.fields) == (422, {"spec.template.spec.containers"})
    assert "set command to the training program" in reply.body["message"]


def test_a_stored_job_with_a_launcher_can_be_changed(
    api: Client, namespace: str, stored_with_a_launcher: dict[str, Any]
) -> None:
    path = f"{jobs_path(namespace)}/old"
    assert api.put(f"{path}/status", {**stored_with_a_launcher, "status": {"round": 1}}).code == 200
    assert api.patch(f"{path}/status", {"status": {"phase": "Running"}}).code == 200
    assert api.patch(f"{path}/scale", {"spec": {"replicas": 2}}).code == 200
    assert api.patch(path, {"spec": {"suspend": True, "maxRestarts": 3}}).code == 200
    assert api.patch(path, {"metadata": {"labels": {"a": "b"}}}).code == 200
    other = {"spec": {"template": {"spec": _runs("torchrun", "other.py")}}}
    assert api.patch(path, other).fields == {"spec.template.spec.containers"}
    cured = {"spec": {"template": {"spec": _runs("python3", "train.py")}}}
    assert api.patch(path, cured).code == 200
    assert api.patch(path, other).code == 422
    assert api.delete(path).code == 200


def test_a_job_that_no_operator_has_seen_has_a_status(api: Client, namespace: str) -> None:
    """The default of the schema; it is gone as soon as an operator writes a status."""
    path = jobs_path(namespace)
    kind = {"apiVersion": names.API_VERSION, "kind": names.KIND}
    body = {**kind, "metadata": {"name": "j"}, "spec": elastic_job()["spec"]}
    unseen = {"phase": "Pending: waiting for an operator"}
    assert api.post(path, {**body, "status": {"phase": "Mine"}}).body["status"] == unseen
    assert api.get(f"{path}/j").body["status"] == unseen
    assert api.patch(path + "/j", {"spec": {"suspend": True}}).body["status"] == unseen
    table = api.get(path, accept="application/json;as=Table;v=v1;g=meta.k8s.io")
    cells = table.body["rows"][0]["cells"]
    assert cells[:2] == ["j", unseen["phase"]]
    written = {"phase": "Running", "ready": "4/4"}
    assert api.patch(f"{path}/j/status", {"status": written}).body["status"] == written
