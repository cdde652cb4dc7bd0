"""Pods that cannot start: the operator names the cause, and costs little meanwhile."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.jobs import worker
from tests.support.snapshots import shown
from tests.support.store_api import Call
from tests.support.world import TEAM, World, refusal, settled_world

from elasticjob.controller import kube

AT = "2026-01-01T12:03:04Z"
FETCH = {"name": "fetch-data", "image": "none", "command": ["fetch"]}
INITIALIZES = {"waiting": {"reason": "PodInitializing"}}
MISSING = 'MountVolume.SetUp failed for volume "data" : configmap "train" not found'


def made(replicas: int = 2, **pod: Any) -> World:
    """A job whose pods were created."""
    return settled_world(replicas=replicas, pod={"containers": [worker()], **pod})


def fail_init(world: World) -> None:
    """The init container of each pod that is pending ends with exit code 42."""
    ended = {"exitCode": 42, "reason": "Error", "finishedAt": AT}
    for body in world.pods():
        if body["status"]["phase"] == "Pending":
            world.bind_pod(body["metadata"]["name"])
            found = [{"name": "fetch-data", "state": {"terminated": ended}}]
            status = {"initContainerStatuses": found}
            world.set_pod(body["metadata"]["name"], "Failed", INITIALIZES, **status)


def warn(world: World, name: str, uid: str = "") -> None:
    """The kubelet writes an Event about the pod. uid: of another pod of this name."""
    pod = world.store.get(world.api.stored(kube.PODS), TEAM, name)
    uid = uid or pod["metadata"]["uid"]
    about = {"kind": "Pod", "namespace": TEAM, "name": name, "uid": uid}
    event = {
        "type": "Warning",
        "reason": "FailedMount",
        "message": MISSING,
        "lastTimestamp": AT,
        "count": 1,
    }
    event |= {"metadata": {"generateName": name}, "involvedObject": about}
    world.store.create(world.api.stored(kube.EVENTS), TEAM, event)


def reads(world: World) -> list[Call]:
    return [c for c in world.api.calls if (c.verb, c.plural) == ("list", "events")]


def test_a_failing_init_container_is_named_and_costs_few_pods() -> None:
    world = made(initContainers=[FETCH])
    for _ in range(2):  # the first replacement is created at once
        fail_init(world)
        world.settle()
    expected = "2/2 pods: init container fetch-data: exit code 42"
    assert world.status()["phase"] == f"Pending: {expected}"
    count, message = world.events()["InitContainerFailed"]
    assert count == 1
    assert message.startswith(f"{expected} in demo-0-1 at {AT}")
    for _ in range(120):
        world.sleep(5)
        fail_init(world)
    created = [call for call in world.api.calls if (call.verb, call.plural) == ("create", "pods")]
    assert len(created) == 2 * 5
    assert world.status()["counted"] == 0


def test_a_field_that_a_node_refuses_is_one_event_and_the_condition_has_the_next_try() -> None:
    world = made()
    words = 'container "worker": env KEY: secretKeyRef is not supported by the local mode'
    for index in range(3):
        for pod in (0, 1):
            ended = {"exitCode": 0, "reason": "Unsupported", "message": words}
            world.set_pod(f"demo-{pod}-{index}", "Failed", {"terminated": ended})
        world.settle()
        world.sleep(60)
    assert world.status()["phase"].startswith("Pending: edit spec.template: env KEY: ")
    truth, reason, message = world.condition("Stalled") or ("", "", "")
    assert (truth, reason) == ("True", "TemplateRefused")
    assert "until then it replaces such pods; the operator creates demo-0-3 at 2026-" in message
    assert world.events()["TemplateRefused"][0] == 1


def test_a_missing_config_map_is_read_from_the_events_of_the_pod() -> None:
    world = made()
    for name in ("demo-0-0", "demo-1-0"):
        world.bind_pod(name)
        warn(world, name)
    assert world.settle() == 5.0
    assert world.status()["phase"] == "Pending: 0/2 pods running"
    assert reads(world) == []
    world.sleep(5)
    expected = 'FailedMount: configmap "train" not found (volume data)'
    assert world.status()["phase"] == shown(f"Pending: 2/2 pods: {expected}")
    assert (world.condition("PodsReady") or ())[1] == "FailedMount"
    assert len(reads(world)) == 1
    world.sleep(595)
    assert len(reads(world)) == 6
    for name in ("demo-0-0", "demo-1-0"):
        world.start_pod(name)
    world.sleep(60)
    assert len(reads(world)) == 6
    assert (world.condition("PodsReady") or ())[1] == "AllRun"


def test_events_of_other_pods_are_not_read() -> None:
    world = made(replicas=1)
    world.bind_pod("demo-0-0")
    warn(world, "demo-0-0", uid="of-an-earlier-pod")
    world.settle()
    world.sleep(5)
    assert world.status()["phase"] == "Pending: 0/1 pods running"


@pytest.mark.parametrize("error", [refusal("no right"), kube.UnavailableError("away")])
def test_events_that_cannot_be_read_hold_up_nothing(error: Exception) -> None:
    world = made()
    world.bind_pod("demo-0-0")
    world.api.refuse["list", "events"] = error
    world.settle()
    world.sleep(60)
    assert len(reads(world)) == 3
    world.start_all()
    world.sleep(1)
    assert (world.condition("PodsReady") or ())[1] == "AllRun"


def test_an_agent_that_was_deleted_is_made_again_for_pods_with_init_containers() -> None:
    """Its pods hang in PodInitializing, before their first init container."""
    world = made(replicas=1, initContainers=[FETCH])
    (name,) = [
        body["metadata"]["name"]
        for body in world.store.list(world.api.stored(kube.CONFIG_MAPS), TEAM)
        if body["metadata"]["name"].startswith("elasticjob-agent-")
    ]
    world.store.delete(world.api.stored(kube.CONFIG_MAPS), TEAM, name)
    world.bind_pod("demo-0-0")
    found = [{"name": "fetch-data", "state": INITIALIZES}]
    world.set_pod("demo-0-0", "Pending", INITIALIZES, initContainerStatuses=found)
    world.settle()
    world.sleep(61)
    assert world.store.find(world.api.stored(kube.CONFIG_MAPS), TEAM, name) is not None
