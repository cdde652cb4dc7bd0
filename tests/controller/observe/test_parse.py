from __future__ import annotations

from typing import Any

import pytest
from tests.support.jobs import elastic_job, worker

from elasticjob.controller.act import manifests
from elasticjob.controller.observe import containers, parse
from elasticjob.controller.observe.containers import ContainerState, InitContainer, WorkerContainer
from elasticjob.wire import names
from elasticjob.wire.codec import Json
from elasticjob.wire.member import Pod
from elasticjob.wire.untrusted import DEEPEST

SIDECAR = {"name": "proxy", "image": "proxy"}
TOO_DEEP = '{"message": "m", "a": ' + "[" * DEEPEST + "]" * DEEPEST + "}"
WITH_NULS = '{"message": "m"}'.encode("utf-16-le").decode()


def pod_body(status: Json, **meta: Any) -> Json:
    job = elastic_job(pod={"containers": [SIDECAR, worker()]}, containerName="worker")
    body = manifests.pod(job, 2, 1, "0123456789")
    body["metadata"] |= {"uid": "u", **meta}
    return {**body, "status": status}


def of_worker(state: Json, phase: str = "Running") -> Json:
    proxy = {"name": "proxy", "state": {"running": {}}}
    return {"phase": phase, "containerStatuses": [proxy, {"name": "worker", "state": state}]}


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ({"phase": "Pending"}, WorkerContainer()),
        (
            of_worker({"waiting": {"reason": "ErrImagePull", "message": "m"}}, "Pending"),
            WorkerContainer(ContainerState.WAITING, "ErrImagePull", "m"),
        ),
        (of_worker({"running": {}}), WorkerContainer(ContainerState.RUNNING)),
        (  # the sidecar lives on: it is the worker container that counts
            of_worker({"terminated": {"exitCode": 1, "reason": "Error"}}),
            WorkerContainer(ContainerState.TERMINATED, "Error", "", 1),
        ),
        (  # evicted before a container ran
            {"phase": "Failed", "reason": "Evicted", "message": "disk"},
            WorkerContainer(ContainerState.TERMINATED, "Evicted", "disk"),
        ),
    ],
)
def test_a_pod_is_judged_by_its_worker_container(status: Json, expected: WorkerContainer) -> None:
    seen = parse.pod(pod_body(status))
    assert seen is not None
    assert (seen.container, seen.pod, seen.name) == (expected, Pod(2, 1), "demo-2-1")
    assert seen.living == (expected.state is not ContainerState.TERMINATED)


GONE, THERE = {"terminated": {"exitCode": 0}}, {"running": {}}


@pytest.mark.parametrize(
    ("phase", "states", "over"),
    [
        ("Succeeded", {"proxy": GONE, "worker": GONE}, True),
        ("Running", {"proxy": GONE, "worker": GONE}, True),  # a kubelet changes the phase later
        ("Running", {"proxy": THERE, "worker": GONE}, False),
        ("Running", {"proxy": GONE, "worker": THERE}, False),
        ("Running", {"worker": GONE}, False),
        ("Pending", {}, False),
        ("Failed", {}, True),
    ],
)
def test_a_pod_is_over_when_all_its_containers_have_ended(
    phase: str, states: Json, over: bool
) -> None:
    statuses = [{"name": name, "state": state} for name, state in states.items()]
    seen = parse.pod(pod_body({"phase": phase, "containerStatuses": statuses}))
    assert seen is not None
    assert seen.all_terminated == over


@pytest.mark.parametrize(
    ("reason", "excused"),
    [
        ("PreemptionByScheduler", True),
        ("EvictionByEvictionAPI", True),
        ("DeletionByTaintManager", True),
        ("DeletionByPodGC", True),
        ("TerminationByKubelet", False),  # memory pressure, which the job may have made
    ],
)
def test_what_excuses_a_leaving(reason: str, excused: bool) -> None:
    target = {"type": "DisruptionTarget", "status": "True", "reason": reason}
    seen = parse.pod(pod_body({"phase": "Failed", "conditions": [target]}))
    assert seen is not None
    assert seen.excused == excused


def test_a_node_that_shuts_down_and_a_deletion_excuse() -> None:
    shut = parse.pod(pod_body({"phase": "Failed", "reason": "Terminated"}))
    deleted = parse.pod(pod_body({"phase": "Running"}, deletionTimestamp="2026-01-01T00:00:00Z"))
    evicted = parse.pod(pod_body({"phase": "Failed", "reason": "Evicted"}))
    assert [seen and seen.excused for seen in (shut, deleted, evicted)] == [True, True, False]


def test_a_pod_has_the_schedulers_message_if_no_node_fits() -> None:
    no = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3"}
    seen = parse.pod(pod_body({"phase": "Pending", "conditions": [no]}))
    assert seen is not None
    assert seen.unschedulable == "0/3"


@pytest.mark.parametrize("reason", ["Unschedulable", "SchedulerError", "SchedulingGated"])
def test_a_pod_without_a_node_has_the_reason_of_the_scheduler(reason: str) -> None:
    no = {"type": "PodScheduled", "status": "False", "reason": reason}
    seen = parse.pod(pod_body({"phase": "Pending", "conditions": [no]}))
    assert seen is not None
    assert seen.unschedulable == reason


def init_status(name: str, state: Json, **fields: Any) -> Json:
    return {"name": name, "state": state, **fields}


AT = "2026-01-01T12:03:04Z"
DONE = {"terminated": {"exitCode": 0, "reason": "Completed", "finishedAt": AT}}
FAILS = {"terminated": {"exitCode": 42, "reason": "Error", "message": "m", "finishedAt": AT}}
OOM = {"terminated": {"exitCode": 137, "reason": "OOMKilled", "finishedAt": AT}}
RUNS = {"running": {"startedAt": AT}}
WAITS = {"waiting": {"reason": "PodInitializing"}}
NO_IMAGE = {"waiting": {"reason": "ErrImagePull", "message": "none"}}
BACK_OFF = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}}
ENDED, WAITING = ContainerState.TERMINATED, ContainerState.WAITING


@pytest.mark.parametrize(
    ("phase", "statuses", "expected"),
    [
        ("Pending", [], None),
        ("Pending", [WAITS, WAITS], InitContainer("fetch", reason="PodInitializing")),
        ("Pending", [RUNS, WAITS], InitContainer("fetch", ContainerState.RUNNING, at=AT)),
        ("Pending", [NO_IMAGE, WAITS], InitContainer("fetch", WAITING, "ErrImagePull", "none")),
        ("Failed", [FAILS, WAITS], InitContainer("fetch", ENDED, "Error", "m", 42, AT)),
        ("Failed", [OOM, WAITS], InitContainer("fetch", ENDED, "OOMKilled", "", 137, AT)),
        ("Pending", [DONE, WAITS], InitContainer("proxy", reason="PodInitializing")),
        ("Pending", [DONE, RUNS], InitContainer("proxy", ContainerState.RUNNING, at=AT)),
        ("Pending", [DONE, RUNS | {"started": True}], None),
    ],
)  # fmt: skip
def test_the_init_container_that_a_pod_waits_for(
    phase: str, statuses: list[Json], expected: InitContainer | None
) -> None:
    """`proxy` is a sidecar: it does not end, and the next container starts when it has started."""
    found = [
        init_status(name, state, started="started" in state)
        for name, state in zip(("fetch", "proxy"), statuses, strict=False)
    ]
    assert init_of({"phase": phase, "initContainerStatuses": found}) == expected


def test_a_sidecar_that_ends_again_and_again_has_the_exit_code_of_the_last_end() -> None:
    ended = init_status("proxy", BACK_OFF, lastState=FAILS, started=False)
    found = init_of(
        {"phase": "Pending", "initContainerStatuses": [init_status("fetch", DONE), ended]}
    )
    assert found == InitContainer("proxy", ENDED, "Error", "m", 42, AT)


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        ({"terminationMessagePolicy": "FallbackToLogsOnError"},
         "no such bucket\nthe end of the log:\nfetch\nno such bucket"),
        ({"terminationMessagePolicy": "File"}, "fetch\n\nno such bucket\n"),
        ({}, "fetch\n\nno such bucket\n"),
    ],
)  # fmt: skip
def test_of_the_end_of_a_log_the_last_line_comes_first(policy: Json, message: str) -> None:
    """It names the error. A termination message that the container has written stays as it is."""
    failed = {"terminated": {"exitCode": 42, "message": "fetch\n\nno such bucket\n"}}
    found = init_of({"initContainerStatuses": [init_status("fetch", failed)]}, **policy)
    assert found == InitContainer("fetch", ENDED, "", message, 42)
    body = pod_body(of_worker(failed))
    body["spec"]["containers"][1] |= {"terminationMessagePolicy": "", **policy}
    seen = parse.pod(body)
    assert seen is not None
    assert seen.container.message == message


@pytest.mark.parametrize("state", [{"running": {}}, {"terminated": {"exitCode": 1}}])
def test_an_init_container_of_a_pod_that_ran_counts_no_more(state: Json) -> None:
    """A sidecar that dies later keeps nothing from starting."""
    dead = init_status("proxy", BACK_OFF, lastState=FAILS, started=False)
    worker_status = {"name": "worker", "state": state}
    status = {"phase": "Running", "containerStatuses": [worker_status]}
    assert init_of({**status, "initContainerStatuses": [dead]}) is None


def init_of(status: Json, **fields: str) -> InitContainer | None:
    body = pod_body(status)
    proxy = {"name": "proxy", "restartPolicy": "Always"}
    body["spec"]["initContainers"] = [{"name": "fetch", **fields}, proxy]
    seen = parse.pod(body)
    assert seen is not None
    return seen.init


@pytest.mark.parametrize(
    "meta",
    [
        {"name": "evil-2-1"},
        {"name": "demo-2"},
        {"name": "demo-2-01"},
        {"labels": {names.LABEL_JOB: "evil"}},
        {"labels": {}},
        {"ownerReferences": [{"apiVersion": "v1", "kind": "A", "uid": "u", "controller": True}]},
    ],
)
def test_a_pod_of_another_name_or_owner_is_no_pod_of_a_job(meta: Json) -> None:
    assert parse.pod(pod_body({}, **meta)) is None


def test_a_pod_without_an_agent_is_no_pod_of_a_job() -> None:
    body = pod_body({})
    body["spec"]["containers"] = [SIDECAR]
    assert parse.pod(body) is None


def test_the_name_of_a_pod_decides_and_not_its_labels() -> None:
    labels = {names.LABEL_INDEX: "7", names.LABEL_GENERATION: "x", names.LABEL_JOB_UID: "other"}
    seen = parse.pod(pod_body({}, labels={names.LABEL_JOB: "demo", **labels}))
    assert seen is not None
    assert (seen.pod, seen.job_uid) == (Pod(2, 1), elastic_job()["metadata"]["uid"])


def test_a_pod_stays_that_of_its_job_in_another_version_of_the_resource() -> None:
    owner = {"apiVersion": f"{names.GROUP}/v1", "kind": names.KIND, "uid": "u", "controller": True}
    seen = parse.pod(pod_body({}, ownerReferences=[owner]))
    assert seen is not None
    assert seen.job_uid == "u"


@pytest.mark.parametrize("owners", [[], [{"kind": "A", "uid": "u"}]])
def test_the_label_names_the_job_of_a_pod_without_a_controller(owners: list[Json]) -> None:
    seen = parse.pod(pod_body({}, ownerReferences=owners))
    assert seen is not None
    assert seen.job_uid == elastic_job()["metadata"]["uid"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            '{"cause": "SetupFailed", "code": 75, "message": "no API"}',
            ("no API", "SetupFailed"),
        ),
        ("exec: python3: not found", ("exec: python3: not found", "")),
        ("", ("", "")),
        ("[1]", ("[1]", "")),
        ('{"cause": ["x"], "message": 1}', ("", "")),
        (TOO_DEEP, (TOO_DEEP, "")),
        (TOO_DEEP.replace("[]", ""), ("m", "")),
        (
            WITH_NULS,
            (WITH_NULS.replace("\0", "\ufffd"), ""),
        ),  # json.loads would take its bytes for UTF-16
    ],
)
def test_termination_message(text: str, expected: tuple[str, str]) -> None:
    assert containers.termination_message(text) == expected


@pytest.mark.parametrize(
    ("code", "reason", "text", "expected"),
    [
        (137, "Error", "step 1\nstep 2", ""),
        (137, "OOMKilled", "step 1", ""),
        (137, "Error", '{"cause": "WorkerSignaled", "code": 137, "message": "m"}', "m"),
        (137, "ContainerStatusUnknown", "could not be located", "could not be located"),
        (
            1,
            "Error",
            "exec python3: argument list too long",
            "exec python3: argument list too long",
        ),
    ],
)
def test_the_end_of_the_log_is_no_cause_of_a_container_that_was_killed(
    code: int, reason: str, text: str, expected: str
) -> None:
    """The kubelet puts it into the status if the agent has written no message."""
    ended = {"terminated": {"exitCode": code, "reason": reason, "message": text}}
    seen = parse.pod(pod_body(of_worker(ended)))
    assert seen is not None
    assert seen.container.message == expected


def test_a_job_that_cannot_be_read_has_a_fault_with_its_field() -> None:
    job = parse.job(elastic_job(replicas="many"))
    assert job.spec is None
    assert job.faults[0][0] == "spec.replicas"


def test_a_job_that_breaks_a_rule_has_a_fault_with_its_field() -> None:
    job = parse.job(elastic_job(minReplicas=9))
    assert job.spec is None
    assert job.faults[0][0] == "spec.minReplicas"


def test_a_status_that_cannot_be_read_is_computed_again() -> None:
    job = parse.job({**elastic_job(), "status": {"round": "one"}})
    assert job.spec is not None
    assert job.status.round is None
