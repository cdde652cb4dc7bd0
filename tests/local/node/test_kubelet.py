"""Pods as real processes, observed in the store."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from dev.wait import wait_until_async

from elasticjob.local.api.call import Call
from elasticjob.local.api.kinds import pods
from elasticjob.local.api.objects.builtins import (
    BUILTINS,
    CONFIGMAPS,
    EVENTS,
    NAMESPACES,
    NODES,
    PODS,
)
from elasticjob.local.api.objects.errors import ApiError
from elasticjob.local.api.objects.resource import Object
from elasticjob.local.api.objects.store import Store
from elasticjob.local.node.kubelet import Kubelet
from elasticjob.local.node.process_table import pids_with_env
from elasticjob.local.node.processes import MARKER

pytestmark = pytest.mark.process

PORT = 20234


class Machine:
    """A store and a kubelet, without HTTP."""

    def __init__(self, root: Path, **options: Any) -> None:
        self.root = root / "pods"  # in a directory of the user, as `up` ensures
        self.store = Store(BUILTINS)
        self.store.admission.append(pods.admit)
        self.store.create(NAMESPACES, "", {"metadata": {"name": "ns"}})
        self.kubelet = Kubelet(
            self.store, self.root, port=PORT, mint=lambda *bound: "/".join(bound), **options
        )

    def create(self, script: str = "sleep 1000", name: str = "p", **spec: Any) -> Object:
        """A pod of one container; `container` overrides fields of that."""
        container = {
            "name": "worker",
            "image": "none",
            "command": ["sh", "-c", script],
            **spec.pop("container", {}),
        }
        spec = {"restartPolicy": "Never", "containers": [container], **spec}
        return self.store.create(PODS, "ns", {"metadata": {"name": name}, "spec": spec})

    def pod(self, name: str = "p") -> Object | None:
        return self.store.find(PODS, "ns", name)

    def status(self, name: str = "p") -> Object:
        status: Object = self.store.get(PODS, "ns", name)["status"]
        return status

    def state(self, name: str = "p") -> Object:
        """The status of the first container; {} before the kubelet has reported."""
        state: Object = self.status(name).get("containerStatuses", [{"state": {}}])[0]["state"]
        return state

    def phase(self, name: str = "p") -> str:
        return str(self.status(name)["phase"])

    def delete(self, name: str = "p", grace_s: int | None = None) -> None:
        self.store.delete(PODS, "ns", name, {"gracePeriodSeconds": grace_s})

    def finalizers(self, *names: str) -> None:
        def change(old: Object) -> Object:
            return {**old, "metadata": {**old["metadata"], "finalizers": list(names)}}

        self.store.update(PODS, "ns", "p", change)

    def reasons(self, name: str = "p") -> list[str]:
        return [
            event["reason"]
            for event in sorted(
                self.store.list(EVENTS, "ns"),
                key=lambda event: int(event["metadata"]["resourceVersion"]),
            )
            if event["involvedObject"]["name"] == name
        ]

    async def until(self, true: Callable[[], Any], within_s: float = 10.0) -> None:
        try:
            await wait_until_async(true, within_s=within_s)
        except TimeoutError as error:
            error.add_note(str(self.store.list(PODS)))
            raise

    async def until_phase(self, phase: str, name: str = "p") -> None:
        await self.until(lambda: self.phase(name) == phase)

    async def log(self, name: str = "p", **query: str) -> str:
        pod = self.store.get(PODS, "ns", name)
        with self.kubelet.logs(pod, Call("GET", "", query)) as pieces:
            return b"".join([piece async for piece in pieces]).decode()

    async def until_logged(self, text: str, name: str = "p") -> None:
        """The log of a pod, as soon as its container has started."""
        await self.until_phase("Running", name)
        logged = ""

        async def holds() -> bool:
            nonlocal logged
            logged = await self.log(name)
            return text in logged

        await self.until(holds)


@asynccontextmanager
async def machine(root: Path, **options: Any) -> AsyncIterator[Machine]:
    one = Machine(root, **options)
    await one.kubelet.start()
    try:
        yield one
    finally:
        await one.kubelet.close(grace_s=0)
        assert pids_with_env(MARKER, f"{root}/") == set()


@pytest.fixture
def one(runner: asyncio.Runner, tmp_path: Path) -> Iterator[Machine]:
    context = machine(tmp_path)
    yield runner.run(context.__aenter__())
    runner.run(context.__aexit__(None, None, None))


# -- start and end ---------------------------------------------------------------------------------


async def test_a_pod_is_bound_runs_and_succeeds(one: Machine) -> None:
    one.create("echo out; echo err >&2")
    await one.until_phase("Succeeded")
    pod, status = one.pod(), one.status()
    assert pod is not None
    assert pod["spec"]["nodeName"] == "local"
    assert status["podIP"] == "127.79.10.1"
    assert status["podIPs"] == [{"ip": "127.79.10.1"}]
    assert status["hostIP"] == "127.0.0.1"
    assert {entry["type"]: entry["status"] for entry in status["conditions"]} == {
        "PodScheduled": "True",
        "Initialized": "True",
        "ContainersReady": "False",
        "Ready": "False",
    }
    assert status["containerStatuses"][0]["restartCount"] == 0
    assert one.state()["terminated"]["reason"] == "Completed"
    assert await one.log() == "out\nerr\n"
    assert one.reasons() == ["Scheduled", "Started"]


@pytest.mark.parametrize(
    ("script", "code", "reason"),
    [
        ("exit 0", 0, "Completed"),
        ("exit 3", 3, "Error"),
        ("kill -TERM $$$$", 143, "Error"),
        ("kill -KILL $$$$", 137, "Error"),
    ],
)
async def test_exit_codes(one: Machine, script: str, code: int, reason: str) -> None:
    one.create(script)
    await one.until_phase("Failed" if code else "Succeeded")
    ended = one.state()["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (code, reason)
    assert ended["startedAt"] <= ended["finishedAt"]


async def test_a_command_that_cannot_be_started_is_a_start_error(one: Machine) -> None:
    one.create(container={"command": ["no-such-program"]})
    await one.until_phase("Failed")
    ended = one.state()["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (128, "StartError")
    assert ended["message"] == 'exec "no-such-program": No such file or directory'
    assert one.reasons() == ["Scheduled", "Failed"]


@pytest.mark.parametrize(
    ("script", "policy", "message"),
    [
        ("printf why > $LOG; exit 1", "File", "why"),
        ("printf fine > $LOG", "File", "fine"),
        ("head -c 10000 /dev/zero | tr '\\0' x > $LOG", "File", "x" * 4096),
        ("echo last; exit 1", "FallbackToLogsOnError", "last\n"),
        ("echo last", "FallbackToLogsOnError", None),
        ("rm $LOG; exit 1", "File", None),
    ],
)
async def test_the_termination_message(
    one: Machine, script: str, policy: str, message: str | None
) -> None:
    container = {
        "terminationMessagePolicy": policy,
        "env": [{"name": "LOG", "value": "/dev/termination-log"}],
    }
    one.create(script, container=container)
    await one.until(lambda: one.phase() in ("Failed", "Succeeded"))
    assert one.state()["terminated"].get("message") == message


async def test_a_pod_gets_its_environment_and_its_volumes(one: Machine) -> None:
    one.store.create(
        CONFIGMAPS,
        "ns",
        {"metadata": {"name": "code"}, "data": {"run.sh": "cat $TOKEN; echo; env"}},
    )
    one.create(
        volumes=[
            {"name": "code", "configMap": {"name": "code"}},
            {"name": "work", "emptyDir": {}},
            {
                "name": "token",
                "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]},
            },
        ],
        container={
            "command": ["sh", "/opt/code/run.sh"],
            "workingDir": "/scratch/here",
            "volumeMounts": [
                {"name": "code", "mountPath": "/opt/code"},
                {"name": "work", "mountPath": "/scratch/here", "subPath": "sub"},
                {"name": "token", "mountPath": "/var/run/secrets/t"},
            ],
            "env": [
                {"name": "TOKEN", "value": "/var/run/secrets/t/token"},
                {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
            ],
        },
    )
    await one.until_phase("Succeeded")
    uid = one.store.get(PODS, "ns", "p")["metadata"]["uid"]
    home = one.root / uid[:13]
    token, *lines = (await one.log()).splitlines()
    assert token == f"ns/default/p/{uid}"
    found = dict(line.split("=", 1) for line in lines)
    assert found["PWD"] == f"{home}/v/work/sub"
    assert found["PATH"].startswith(f"{one.root}/bin:")
    for name in ("PATH", "PWD", "OLDPWD", "SHLVL", "_"):  # the shell's own, and PATH
        found.pop(name, None)
    assert found == {
        "HOME": f"{home}/home",
        "HOSTNAME": "p",
        "TOKEN": f"{home}/v/token/token",
        "IP": "127.79.10.1",
        "KUBERNETES_SERVICE_HOST": "127.0.0.1",
        "KUBERNETES_SERVICE_PORT": str(PORT),
        "ELASTICJOB_SHARED_NETWORK": "1",
        "ELASTICJOB_CGROUP_DIR": "",
        MARKER: f"{one.root}/{uid}",
    }


@pytest.mark.parametrize("name", ["python", "python3"])
async def test_pods_run_the_given_interpreter(tmp_path: Path, name: str) -> None:
    odd = tmp_path / "odd name"
    odd.write_text('#!/bin/sh\necho this one "$@"\n')
    odd.chmod(0o755)

    async with machine(tmp_path, python=odd) as one:
        one.create(container={"command": [name, "-c", "a b"]})
        await one.until_phase("Succeeded")
        assert await one.log() == "this one -c a b\n"


@pytest.mark.parametrize(
    ("spec", "named"),
    [
        (
            {"volumes": [{"name": "v", "hostPath": {"path": "/"}}]},
            'volume "v": hostPath is not supported',
        ),
        ({"container": {"command": []}}, 'container "worker": command is required'),
        (
            {"container": {"env": [{"name": "A", "valueFrom": {"secretKeyRef": {}}}]}},
            "env A: secretKeyRef is not supported",
        ),
    ],
)
async def test_an_unsupported_pod_fails_with_a_message(
    one: Machine, spec: Object, named: str
) -> None:
    one.create(**spec)
    await one.until_phase("Failed")
    assert one.status()["reason"] == "Unsupported"
    assert named in one.status()["message"]
    assert "containerStatuses" not in one.status()
    assert one.reasons() == ["Scheduled", "Failed"]


async def test_a_pod_with_a_path_that_cannot_exist_waits_and_can_be_deleted(one: Machine) -> None:
    items = [{"path": "a\0b", "fieldRef": {"fieldPath": "metadata.name"}}]
    one.create(volumes=[{"name": "v", "downwardAPI": {"items": items}}])
    await one.until(lambda: "FailedMount" in one.reasons())
    one.delete()
    await one.until(lambda: one.pod() is None)


async def test_a_pod_that_cannot_be_read_fails_and_can_be_deleted(
    one: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    one.create(container={"command": ["echo", 1]})
    await one.until_phase("Failed")
    assert one.status()["message"].startswith("internal error: TypeError")
    assert "pod ns/p" in caplog.text
    one.delete()
    await one.until(lambda: one.pod() is None)


async def test_ignored_fields_are_reported(one: Machine) -> None:
    one.create("exit 0", container={"resources": {"limits": {"cpu": "1"}}})
    await one.until_phase("Succeeded")
    assert "Ignored" in one.reasons()


async def test_a_pod_waits_for_its_config_map(one: Machine) -> None:
    one.create("exit 0", volumes=[{"name": "v", "configMap": {"name": "late"}}])
    await one.until(lambda: "FailedMount" in one.reasons())
    assert one.phase() == "Pending"
    one.store.create(CONFIGMAPS, "ns", {"metadata": {"name": "late"}})
    await one.until_phase("Succeeded")
    assert one.reasons().count("FailedMount") == 1


async def test_a_pod_that_waits_for_a_volume_can_be_deleted(one: Machine) -> None:
    one.create(volumes=[{"name": "v", "configMap": {"name": "never"}}])
    await one.until(lambda: "FailedMount" in one.reasons())
    one.delete()
    await one.until(lambda: one.pod() is None)


# -- several containers ----------------------------------------------------------------------------


def container(name: str, script: str) -> Object:
    return {"name": name, "image": "none", "command": ["sh", "-c", script]}


async def test_init_containers_run_in_order_before_the_containers(one: Machine) -> None:
    volume = {"name": "v", "emptyDir": {}}
    mount = {"volumeMounts": [{"name": "v", "mountPath": "/v"}], "workingDir": "/v"}
    one.create(
        "cat file",
        volumes=[volume],
        initContainers=[
            {**container("a", "sleep 0.1; echo a >> file"), **mount},
            {**container("b", "echo b >> file"), **mount},
        ],
        container=mount,
    )
    await one.until_phase("Succeeded")
    assert await one.log(container="worker") == "a\nb\n"


async def test_an_init_container_that_fails_fails_the_pod(one: Machine) -> None:
    one.create(initContainers=[container("setup", "exit 2")])
    await one.until_phase("Failed")
    assert one.status()["initContainerStatuses"][0]["state"]["terminated"]["exitCode"] == 2
    assert one.state() == {"waiting": {"reason": "PodInitializing"}}


async def test_a_side_container_outlives_the_worker(one: Machine) -> None:
    containers = [container("worker", "exit 1"), container("proxy", "sleep 1000")]
    one.create(containers=containers)
    await one.until(lambda: "terminated" in one.state())
    await one.until_phase("Running")
    assert "running" in one.status()["containerStatuses"][1]["state"]
    one.delete(grace_s=5)
    await one.until(lambda: one.pod() is None)


# -- restarts --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "script", "restarts"),
    [("OnFailure", "exit 1", True), ("Always", "exit 0", True), ("OnFailure", "exit 0", False)],
)
async def test_restart_policies(one: Machine, policy: str, script: str, restarts: bool) -> None:
    once = f"test -e again && sleep 1000; touch again; {script}"
    one.create(once, restartPolicy=policy)
    if restarts:
        await one.until(
            lambda: (
                one.phase() == "Running"
                and one.status()["containerStatuses"][0]["restartCount"] == 1
                and "running" in one.state()
            )
        )
        ended = one.status()["containerStatuses"][0]["lastState"]["terminated"]
        assert ended["exitCode"] == int(script[-1])
    else:
        await one.until_phase("Succeeded")


async def test_a_pod_can_be_deleted_during_back_off(tmp_path: Path) -> None:
    async with machine(tmp_path, delay_s=lambda *_: 300.0) as one:
        one.create("echo first; exit 4", restartPolicy="Always")
        await one.until(lambda: "BackOff" in one.reasons())
        assert one.state()["waiting"]["reason"] == "CrashLoopBackOff"
        assert one.phase() == "Running"
        assert await one.log() == "first\n"
        one.delete()
        await one.until(lambda: one.pod() is None)


# -- deletion --------------------------------------------------------------------------------------


async def test_deletion_sends_sigterm_and_waits(one: Machine) -> None:
    seen: list[Object] = []
    one.store.listeners.append(lambda _, event: seen.append(event.object))
    one.create("trap 'sleep 0.1; exit 7' TERM; echo up; sleep 1000 & wait")
    await one.until_logged("up")
    one.delete(grace_s=20)
    await one.until(lambda: one.pod() is None, within_s=5)
    last = [obj for obj in seen if obj["kind"] == "Pod"][-1]["status"]
    assert last["phase"] == "Failed"
    assert last["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 7
    assert one.reasons() == ["Scheduled", "Started", "Killing"]


async def test_a_pod_that_ignores_sigterm_is_killed_after_the_grace_period(one: Machine) -> None:
    script = "trap '' TERM; (setsid sleep 1000 &); echo up; while :; do sleep 1; done"
    uid = one.create(script)["metadata"]["uid"]
    await one.until_logged("up")
    begun = time.monotonic()
    one.delete(grace_s=1)
    await asyncio.sleep(0.5)
    assert one.phase() == "Running"
    await one.until(lambda: one.pod() is None)
    assert time.monotonic() - begun >= 1.0
    assert pids_with_env(MARKER, f"{one.root}/{uid}") == set()


async def test_a_second_deletion_shortens_the_grace_period_of_a_pod(one: Machine) -> None:
    one.create("trap '' TERM; echo up; while :; do sleep 1; done")
    await one.until_logged("up")
    one.delete(grace_s=300)
    one.delete(grace_s=1)
    await one.until(lambda: one.pod() is None, within_s=5)


async def test_a_forced_deletion_ends_everything_at_once(one: Machine) -> None:
    script = "trap '' TERM; echo up; (setsid sleep 1000 &); while :; do sleep 1; done"
    uid = one.create(script)["metadata"]["uid"]
    await one.until_logged("up")
    one.delete(grace_s=0)
    assert one.pod() is None
    await one.until(lambda: not pids_with_env(MARKER, f"{one.root}/{uid}"), within_s=2)
    await one.until(lambda: not (one.root / uid[:13]).exists(), within_s=2)
    one.create("exit 0")  # the name is free at once
    await one.until_phase("Succeeded")


async def test_a_finalizer_holds_the_object_but_not_the_processes(one: Machine) -> None:
    uid = one.create()["metadata"]["uid"]
    await one.until_phase("Running")
    one.finalizers("example.com/keep")
    one.delete(grace_s=5)
    await one.until_phase("Failed")
    assert pids_with_env(MARKER, f"{one.root}/{uid}") == set()
    assert one.pod() is not None
    one.finalizers()
    await one.until(lambda: one.pod() is None)


async def test_processes_that_outlive_the_main_process_are_killed(one: Machine) -> None:
    uid = one.create("setsid sleep 1000 & sleep 0.1; exit 0")["metadata"]["uid"]
    await one.until_phase("Succeeded")
    assert pids_with_env(MARKER, f"{one.root}/{uid}") == set()


async def test_the_log_exists_until_the_pod_is_deleted(one: Machine) -> None:
    uid = one.create("echo kept")["metadata"]["uid"]
    await one.until_phase("Succeeded")
    assert await one.log() == "kept\n"
    one.delete()
    await one.until(lambda: not (one.root / uid[:13]).exists())


# -- logs ------------------------------------------------------------------------------------------


async def test_a_log_is_followed_to_the_end_of_the_run(one: Machine) -> None:
    one.create("for i in 1 2 3; do echo $i; sleep 0.1; done")
    await one.until_phase("Running")
    assert await one.log(follow="true") == "1\n2\n3\n"
    assert await one.log(tailLines="1") == "3\n"


async def test_the_previous_run_has_a_separate_log(one: Machine) -> None:
    one.create(
        "test -e again && { echo second; sleep 1000; }; touch again; echo first; exit 1",
        restartPolicy="OnFailure",
    )
    await one.until(lambda: one.status().get("containerStatuses", [{}])[0].get("restartCount"))
    await one.until_logged("second")
    assert await one.log(previous="true") == "first\n"


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ({"timestamps": "true"}, "timestamps: not supported"),
        ({"sinceSeconds": "5"}, "sinceSeconds: not supported"),
        ({"container": "other"}, "container other is not valid for pod p"),
        ({"previous": "true"}, 'previous terminated container "worker" in pod "p" not found'),
    ],
)
async def test_logs_that_are_refused(one: Machine, query: dict[str, str], named: str) -> None:
    one.create("exit 0")
    await one.until_phase("Succeeded")
    with pytest.raises(ApiError, match=named) as caught:
        await one.log(**query)
    assert caught.value.code == 400


async def test_a_container_that_waits_has_no_log(one: Machine) -> None:
    one.kubelet.hold("ns", "p")
    one.create()
    await one.until(lambda: "containerStatuses" in one.status())
    with pytest.raises(ApiError, match="is waiting to start: ContainerCreating"):
        await one.log()


# -- the node --------------------------------------------------------------------------------------


async def test_the_status_of_the_node(one: Machine) -> None:
    status = one.store.get(NODES, "", "local")["status"]
    assert status["nodeInfo"]["kubeletVersion"] == "elasticjob-local"
    assert status["conditions"][0]["status"] == "True"


async def test_pods_above_the_limit_stay_pending(tmp_path: Path) -> None:
    async with machine(tmp_path, max_pods=1) as one:
        one.create(name="a")
        one.create(name="b", script="exit 0")
        await one.until_phase("Running", "a")
        await one.until(lambda: "FailedScheduling" in one.reasons("b"))
        assert one.status("b")["conditions"][0]["reason"] == "Unschedulable"
        one.delete("a", grace_s=1)
        await one.until_phase("Succeeded", "b")
        assert one.status("b")["conditions"][0]["status"] == "True"


async def test_thirty_two_pods_run_at_once_with_different_addresses(one: Machine) -> None:
    for index in range(32):
        one.create(name=f"p{index}")
    names = [f"p{index}" for index in range(32)]
    await one.until(lambda: all(one.phase(name) == "Running" for name in names))
    assert len({one.status(name)["podIP"] for name in names}) == 32


# -- faults ----------------------------------------------------------------------------------------


async def test_a_pod_is_held_and_released(one: Machine) -> None:
    one.kubelet.hold("ns", "p")
    one.create("exit 0")
    one.create("exit 0", name="other")
    await one.until_phase("Succeeded", "other")
    assert one.state() == {"waiting": {"reason": "ContainerCreating"}}
    one.kubelet.release("ns", "p")
    await one.until_phase("Succeeded")


async def test_a_pod_is_frozen_and_thawed(one: Machine) -> None:
    one.create("i=0; while :; do i=$((i+1)); echo $i; sleep 0.02; done")
    await one.until_logged("2")
    one.kubelet.freeze("ns", "p")
    before = await one.log()
    await asyncio.sleep(0.1)
    assert await one.log() == before
    one.kubelet.thaw("ns", "p")

    async def writes_again() -> bool:
        return await one.log() != before

    await one.until(writes_again, within_s=5)


async def test_the_main_process_is_killed(one: Machine) -> None:
    one.create()
    await one.until_phase("Running")
    one.kubelet.kill("ns", "p")
    await one.until_phase("Failed")
    assert one.state()["terminated"]["exitCode"] == 137


async def test_a_disconnected_node_reports_on_reconnection(one: Machine) -> None:
    one.create(name="ends")
    one.create(name="deleted")
    one.create(name="forced")
    for name in ("ends", "deleted", "forced"):
        await one.until_phase("Running", name)
    forced = one.store.get(PODS, "ns", "forced")["metadata"]["uid"]
    one.kubelet.disconnect_node()
    assert one.store.get(NODES, "", "local")["status"]["conditions"][0]["status"] == "Unknown"
    one.kubelet.kill("ns", "ends")
    one.delete("deleted", grace_s=5)
    one.delete("forced", grace_s=0)
    one.create("exit 0", name="new")
    await asyncio.sleep(0.2)
    assert one.phase("ends") == "Running"
    assert one.pod("deleted") is not None
    assert pids_with_env(MARKER, f"{one.root}/{forced}")  # it runs on unseen
    assert one.phase("new") == "Pending"
    one.kubelet.reconnect_node()
    await one.until_phase("Failed", "ends")
    await one.until_phase("Succeeded", "new")
    await one.until(lambda: one.pod("deleted") is None)
    await one.until(lambda: not pids_with_env(MARKER, f"{one.root}/{forced}"))


async def test_closing_ends_every_pod_and_the_next_start_empties_the_directory(
    tmp_path: Path,
) -> None:
    async with machine(tmp_path) as one:
        one.create("trap '' TERM; echo up; (setsid sleep 1000 &); while :; do sleep 1; done")
        await one.until_logged("up")
    async with machine(tmp_path):
        assert os.listdir(tmp_path / "pods") == ["bin"]
