"""Pods and what they need, as tables: what a template says, and what a pod then is."""

from __future__ import annotations

import base64
import copy
import hashlib
from typing import Any

import pytest
from tests.support.jobs import elastic_job, worker

from elasticjob.controller.act import launcher, manifests
from elasticjob.controller.act.bundle import Bundle
from elasticjob.controller.observe import template
from elasticjob.wire import names
from elasticjob.wire.codec import Json

HASH = hashlib.sha256(b"zip").hexdigest()
SIDECAR = {"name": "proxy", "image": "proxy", "env": [{"name": "A", "value": "b"}]}


def job(
    *containers: Json, template: Json | None = None, pod: Json | None = None, **spec: Any
) -> Json:
    of_pod = {"containers": list(containers) or [worker()], **(pod or {})}
    return elastic_job(template={**(template or {}), "spec": of_pod}, **spec)


def pod_of(given: Json, index: int = 3, generation: int = 7) -> Json:
    return manifests.pod(given, index, generation, HASH)


def worker_of(given: Json) -> Json:
    found: Json = pod_of(given)["spec"]["containers"][0]
    return found


def env_of(given: Json) -> dict[str, Any]:
    return {
        e["name"]: e.get("value") or e["valueFrom"]["fieldRef"]["fieldPath"]
        for e in worker_of(given)["env"]
    }


def test_a_whole_pod() -> None:
    assert pod_of(elastic_job()) == {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "demo-3-7",
            "namespace": "team",
            "labels": {
                names.LABEL_JOB: "demo",
                names.LABEL_JOB_UID: "uid-of-demo",
                names.LABEL_INDEX: "3",
                names.LABEL_GENERATION: "7",
            },
            "annotations": {
                names.ANNOTATION_TEMPLATE_HASH: template.template_hash(elastic_job()),
                names.ANNOTATION_TEMPLATE_FIELDS: template.template_fields(elastic_job()),
            },
            "ownerReferences": [
                {
                    "apiVersion": names.API_VERSION,
                    "kind": names.KIND,
                    "name": "demo",
                    "uid": "uid-of-demo",
                    "controller": True,
                }
            ],
        },
        "spec": {
            "containers": [
                {
                    "terminationMessagePolicy": "FallbackToLogsOnError",
                    "name": "worker",
                    "image": "python:3.12",
                    "command": [
                        "python3",
                        "-I",
                        "-S",
                        "-c",
                        launcher.PROGRAM,
                        "/opt/elasticjob/agent.pyz",
                        HASH,
                        "--",
                        "python3",
                        "train.py",
                    ],
                    "env": [
                        {"name": "ELASTICJOB_NAMESPACE", "value": "team"},
                        {"name": "ELASTICJOB_NAME", "value": "demo"},
                        {"name": "ELASTICJOB_UID", "value": "uid-of-demo"},
                        {"name": "ELASTICJOB_POD_NAME", "value": "demo-3-7"},
                        from_field("ELASTICJOB_POD_UID", "metadata.uid"),
                        from_field("ELASTICJOB_POD_IP", "status.podIP"),
                        from_field("ELASTICJOB_NODE_NAME", "spec.nodeName"),
                        {"name": "ELASTICJOB_INDEX", "value": "3"},
                        {"name": "ELASTICJOB_GENERATION", "value": "7"},
                        {"name": "ELASTICJOB_NPROC", "value": "1"},
                        {"name": "ELASTICJOB_DIR", "value": "/var/run/elasticjob"},
                        {"name": "ELASTICJOB_TOKEN_DIR", "value": "/var/run/secrets/elasticjob"},
                        {"name": "ELASTICJOB_TERMINATION_LOG", "value": "/dev/termination-log"},
                    ],
                    "volumeMounts": [
                        {
                            "name": "elasticjob-agent",
                            "mountPath": "/opt/elasticjob",
                            "readOnly": True,
                        },
                        {"name": "elasticjob-work", "mountPath": "/var/run/elasticjob"},
                        {
                            "name": "elasticjob-token",
                            "mountPath": "/var/run/secrets/elasticjob",
                            "readOnly": True,
                        },
                    ],
                }
            ],
            "volumes": [
                {
                    "name": "elasticjob-agent",
                    "configMap": {"name": f"elasticjob-agent-{HASH[:10]}"},
                },
                {"name": "elasticjob-work", "emptyDir": {}},
                {
                    "name": "elasticjob-token",
                    "projected": {
                        "sources": [
                            {"serviceAccountToken": {"path": "token", "expirationSeconds": 3607}},
                            {
                                "configMap": {
                                    "name": "kube-root-ca.crt",
                                    "items": [{"key": "ca.crt", "path": "ca.crt"}],
                                }
                            },
                        ]
                    },
                },
            ],
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 30,
            "serviceAccountName": "elasticjob-demo",
            "automountServiceAccountToken": False,
        },
    }


def from_field(name: str, path: str) -> Json:
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}


POD_CASES: list[tuple[str, Json, str, Any]] = [
    ("grace of the job", job(stopGraceSeconds=60), "terminationGracePeriodSeconds", 65),
    (
        "a longer one of the template",
        job(pod={"terminationGracePeriodSeconds": 120}),
        "terminationGracePeriodSeconds",
        120,
    ),
    (
        "a shorter one of the template",
        job(pod={"terminationGracePeriodSeconds": 10}),
        "terminationGracePeriodSeconds",
        30,
    ),
    ("no grace at all", job(stopGraceSeconds=0), "terminationGracePeriodSeconds", 5),
    ("own account", job(pod={"serviceAccountName": "mine"}), "serviceAccountName", "mine"),
    ("old spelling", job(pod={"serviceAccount": "mine"}), "serviceAccountName", "mine"),
    (
        "token wanted",
        job(pod={"automountServiceAccountToken": True}),
        "automountServiceAccountToken",
        True,
    ),
    ("Never said twice", job(pod={"restartPolicy": "Never"}), "restartPolicy", "Never"),
    ("what we do not know", job(pod={"nodeSelector": {"a": "b"}}), "nodeSelector", {"a": "b"}),
    (
        "security of the pod",
        job(pod={"securityContext": {"runAsNonRoot": True, "runAsUser": 1000}}),
        "securityContext",
        {"runAsNonRoot": True, "runAsUser": 1000},
    ),
]


@pytest.mark.parametrize(
    ("given", "field", "value"), [c[1:] for c in POD_CASES], ids=[c[0] for c in POD_CASES]
)
def test_pod_spec(given: Json, field: str, value: Any) -> None:
    assert pod_of(given)["spec"][field] == value


WORKER_CASES: list[tuple[str, Json, str, Any]] = [
    ("args are left alone", worker(args=["--lr", "1"]), "args", ["--lr", "1"]),
    ("working directory", worker(workingDir="/src"), "workingDir", "/src"),
    (
        "security of the container",
        worker(securityContext={"readOnlyRootFilesystem": True}),
        "securityContext",
        {"readOnlyRootFilesystem": True},
    ),
    ("end of the log", worker(), "terminationMessagePolicy", "FallbackToLogsOnError"),
    (
        "another policy",
        worker(terminationMessagePolicy="File"),
        "terminationMessagePolicy",
        "File",
    ),
    ("probes", worker(livenessProbe={"exec": {}}), "livenessProbe", {"exec": {}}),
]


@pytest.mark.parametrize(
    ("container", "field", "value"), [c[1:] for c in WORKER_CASES], ids=[c[0] for c in WORKER_CASES]
)
def test_worker_container(container: Json, field: str, value: Any) -> None:
    assert worker_of(job(container))[field] == value


ENV_CASES: list[tuple[str, Json, str, str | None]] = [
    ("processes", job(nprocPerNode=8), "ELASTICJOB_NPROC", "8"),
    ("pod network", job(), "ELASTICJOB_HOST_NETWORK", None),
    ("node's network", job(pod={"hostNetwork": True}), "ELASTICJOB_HOST_NETWORK", "1"),
    ("said to be off", job(pod={"hostNetwork": False}), "ELASTICJOB_HOST_NETWORK", None),
    (
        "own termination message",
        job(worker(terminationMessagePath="/tmp/end")),
        "ELASTICJOB_TERMINATION_LOG",
        "/tmp/end",
    ),
    ("user's own", job(worker(env=[{"name": "LR", "value": "1"}])), "LR", "1"),
]


@pytest.mark.parametrize(
    ("given", "name", "value"), [c[1:] for c in ENV_CASES], ids=[c[0] for c in ENV_CASES]
)
def test_environment(given: Json, name: str, value: str | None) -> None:
    assert env_of(given).get(name) == value


def test_user_variables_come_last_so_that_they_may_refer_to_ours() -> None:
    given = job(worker(env=[{"name": "SHARD", "value": "$(ELASTICJOB_INDEX)"}]))
    assert worker_of(given)["env"][-1] == {"name": "SHARD", "value": "$(ELASTICJOB_INDEX)"}


def test_user_volumes_and_mounts_are_kept() -> None:
    data = {"name": "data", "emptyDir": {}}
    seen = {"name": "data", "mountPath": "/data"}
    pod = pod_of(job(worker(volumeMounts=[seen]), pod={"volumes": [data]}))
    assert pod["spec"]["volumes"][0] == data
    assert pod["spec"]["containers"][0]["volumeMounts"][0] == seen
    assert len(pod["spec"]["volumes"]) == len(pod["spec"]["containers"][0]["volumeMounts"]) == 4


def test_other_containers_are_left_alone() -> None:
    pod = pod_of(job(SIDECAR, worker()))
    assert pod["spec"]["containers"][0] == SIDECAR
    assert "initContainers" not in pod["spec"]
    assert pod["spec"]["containers"][1]["command"][0:3] == ["python3", "-I", "-S"]


def test_the_end_of_the_log_of_an_init_container_that_fails_is_in_the_status_of_the_pod() -> None:
    init = {"name": "fetch", "image": "git", "restartPolicy": "Always"}
    other = {"name": "check", "image": "git", "terminationMessagePolicy": "File"}
    pod = pod_of(job(worker(), pod={"initContainers": [init, other]}))
    policy = {"terminationMessagePolicy": "FallbackToLogsOnError"}
    assert pod["spec"]["initContainers"] == [{**init, **policy}, other]


@pytest.mark.parametrize("wrong", ["x", 1, {"a": "b"}, [1], None, []])
def test_init_containers_that_are_none_are_left_to_the_api_server(wrong: object) -> None:
    """The CRD does not check them."""
    assert pod_of(job(pod={"initContainers": wrong}))["spec"]["initContainers"] == wrong


def test_the_named_container_gets_the_agent() -> None:
    pod = pod_of(job(worker("train"), worker(), containerName="train"))
    assert pod["spec"]["containers"][0]["command"][-3:] == ["--", "python3", "train.py"]
    assert pod["spec"]["containers"][1] == worker()


def test_user_labels_and_annotations_are_kept_and_ours_win() -> None:
    labels = {"team": "a", names.LABEL_INDEX: "99"}
    pod = pod_of(job(template={"metadata": {"labels": labels, "annotations": {"note": "x"}}}))
    assert pod["metadata"]["labels"]["team"] == "a"
    assert pod["metadata"]["labels"][names.LABEL_INDEX] == "3"
    assert pod["metadata"]["annotations"]["note"] == "x"


def test_nothing_that_is_given_is_changed_or_shared() -> None:
    given = job(SIDECAR, worker(env=[{"name": "A", "value": "b"}]), pod={"volumes": []})
    before = copy.deepcopy(given)
    pod = pod_of(given)
    pod["spec"]["containers"][0]["env"].append("changed")
    pod["metadata"]["ownerReferences"][0]["uid"] = "changed"
    assert given == before


CHANGES: list[tuple[str, Json, bool]] = [
    ("image", job(worker(image="python:3.13")), True),
    ("a label", job(template={"metadata": {"labels": {"a": "b"}}}), True),
    ("processes", job(nprocPerNode=2), True),
    ("grace that the pod has", job(stopGraceSeconds=26), True),
    ("replicas", job(replicas=9, minReplicas=1, maxReplicas=99), False),
    ("budget, crash grace", job(maxRestarts=1, crashGraceSeconds=9), False),
    ("suspend", job(suspend=True), False),
    ("the container's name, said", job(containerName="worker"), False),
    ("order of keys", job(dict(reversed(worker().items()))), False),
]


@pytest.mark.parametrize(("given", "other"), [c[1:] for c in CHANGES], ids=[c[0] for c in CHANGES])
def test_the_hash_changes_when_pods_would(given: Json, other: bool) -> None:
    assert (template.template_hash(given) != template.template_hash(job())) == other


def test_rights() -> None:
    account, binding = manifests.rights(elastic_job())
    assert account["kind"] == "ServiceAccount"
    assert account["automountServiceAccountToken"] is False
    assert binding["roleRef"]["name"] == "elasticjob-agent"
    assert binding["subjects"] == [
        {"kind": "ServiceAccount", "name": "elasticjob-demo", "namespace": "team"}
    ]
    for made in (account, binding):
        assert made["metadata"]["name"] == "elasticjob-demo"
        assert made["metadata"]["labels"][names.LABEL_JOB_UID] == "uid-of-demo"
        assert made["metadata"]["ownerReferences"][0]["uid"] == "uid-of-demo"


def test_an_account_of_the_template_is_bound_and_not_made() -> None:
    (binding,) = manifests.rights(job(pod={"serviceAccountName": "mine"}))
    assert binding["kind"] == "RoleBinding"
    assert binding["subjects"][0]["name"] == "mine"


def test_agent_config_map() -> None:
    bundle = Bundle(b"zip")
    made = manifests.agent_config_map("team", bundle)
    assert made["metadata"]["name"] == f"elasticjob-agent-{bundle.hash[:10]}"
    assert made["metadata"]["namespace"] == "team"
    assert made["immutable"] is True
    assert base64.b64decode(made["binaryData"]["agent.pyz"]) == b"zip"
    assert "ownerReferences" not in made["metadata"]


@pytest.mark.parametrize("make", [pod_of, lambda given: manifests.rights(given)[0]])
def test_no_owner_reference_blocks_deletion(make: Any) -> None:
    assert "blockOwnerDeletion" not in make(elastic_job())["metadata"]["ownerReferences"][0]
