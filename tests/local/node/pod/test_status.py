from __future__ import annotations

from typing import Any

import pytest

from elasticjob.local.node.pod.status import (
    ContainerStatus,
    Running,
    State,
    Terminated,
    Waiting,
    conditions,
    phase,
)


def ended(code: int) -> Terminated:
    return Terminated(code, "Error" if code else "Completed", "", "t1", "t2")


def container(state: State, last: Terminated | None = None, name: str = "a") -> ContainerStatus:
    return ContainerStatus(name, "image", state, last)


NEW = container(Waiting("ContainerCreating"))
RUNS = container(Running("t1"))
OK = container(ended(0))
BAD = container(ended(1))
AGAIN = container(Waiting("CrashLoopBackOff"), ended(1))


@pytest.mark.parametrize(
    ("policy", "inits", "containers", "expected"),
    [
        ("Never", [], [NEW], "Pending"),
        ("Never", [], [RUNS], "Running"),
        ("Never", [], [RUNS, NEW], "Pending"),
        ("Never", [], [OK], "Succeeded"),
        ("Never", [], [BAD], "Failed"),
        ("Never", [], [OK, BAD], "Failed"),
        ("Never", [], [BAD, RUNS], "Running"),  # a side container outlives the worker
        ("OnFailure", [], [OK], "Succeeded"),
        ("OnFailure", [], [BAD], "Running"),
        ("OnFailure", [], [AGAIN], "Running"),
        ("Always", [], [OK], "Running"),
        ("Always", [], [AGAIN, RUNS], "Running"),
        ("Never", [RUNS], [NEW], "Pending"),
        ("Never", [OK], [NEW], "Pending"),
        ("Never", [OK], [RUNS], "Running"),
        ("Never", [BAD], [NEW], "Failed"),
        ("OnFailure", [AGAIN], [NEW], "Pending"),
        ("Never", [], [AGAIN], "Failed"),  # deleted while it backed off
    ],
)
def test_phase(
    policy: str, inits: list[ContainerStatus], containers: list[ContainerStatus], expected: str
) -> None:
    assert phase(policy, inits, containers) == expected


def told(*args: Any, now: str = "now", before: Any = ()) -> dict[str, Any]:
    return {entry["type"]: entry for entry in conditions(*args, before, now)}


def test_a_running_pod_is_ready() -> None:
    found = told("Running", [OK], [RUNS])
    assert {kind: entry["status"] for kind, entry in found.items()} == dict.fromkeys(
        ("PodScheduled", "Initialized", "ContainersReady", "Ready"), "True"
    )


@pytest.mark.parametrize(
    ("pod_phase", "containers", "reason", "message"),
    [
        ("Pending", [NEW], "ContainersNotReady", "containers with unready status: [a]"),
        ("Running", [AGAIN, RUNS], "ContainersNotReady", "containers with unready status: [a]"),
        ("Succeeded", [OK], "PodCompleted", None),
        ("Failed", [BAD], "PodFailed", None),
    ],
)
def test_why_a_pod_is_not_ready(
    pod_phase: str, containers: list[ContainerStatus], reason: str, message: str | None
) -> None:
    for kind in ("Ready", "ContainersReady"):
        entry = told(pod_phase, [], containers)[kind]
        assert (entry["status"], entry["reason"]) == ("False", reason)
        assert entry.get("message") == message


def test_a_pod_is_not_initialized_before_its_init_containers_end() -> None:
    entry = told("Pending", [container(Running("t"), name="setup")], [NEW])["Initialized"]
    assert entry["status"] == "False"
    assert entry["message"] == "containers with incomplete status: [setup]"


def test_the_transition_time_is_that_of_the_last_change() -> None:
    before = conditions("Pending", [], [NEW], (), "earlier")
    after = told("Running", [], [RUNS], before=before, now="later")
    assert after["PodScheduled"]["lastTransitionTime"] == "earlier"
    assert after["Ready"]["lastTransitionTime"] == "later"


@pytest.mark.parametrize(
    ("state", "shown"),
    [
        (
            Waiting("CrashLoopBackOff", "text"),
            {"waiting": {"reason": "CrashLoopBackOff", "message": "text"}},
        ),
        (Running("t1"), {"running": {"startedAt": "t1"}}),
        (
            Terminated(137, "Error", "why", "t1", "t2"),
            {
                "terminated": {
                    "exitCode": 137,
                    "reason": "Error",
                    "message": "why",
                    "startedAt": "t1",
                    "finishedAt": "t2",
                }
            },
        ),
        (
            ended(0),
            {
                "terminated": {
                    "exitCode": 0,
                    "reason": "Completed",
                    "startedAt": "t1",
                    "finishedAt": "t2",
                }
            },
        ),
    ],
)
def test_a_state_as_json(state: State, shown: dict[str, Any]) -> None:
    assert container(state).to_json()["state"] == shown


def test_a_container_status_as_json() -> None:
    assert ContainerStatus("a", "i", Running("t"), ended(1), 2, "process://7").to_json() == {
        "name": "a",
        "image": "i",
        "imageID": "",
        "ready": True,
        "started": True,
        "restartCount": 2,
        "containerID": "process://7",
        "state": {"running": {"startedAt": "t"}},
        "lastState": container(ended(1)).to_json()["state"],
    }
