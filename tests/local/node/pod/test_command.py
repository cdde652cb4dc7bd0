from __future__ import annotations

from pathlib import Path
from typing import Any

from elasticjob.local.node.pod.command import process_spec
from elasticjob.local.node.processes import MARKER, ProcessSpec

NODE = {"PATH": "/r/bin:/usr/bin", MARKER: "/r/uid"}
POD: dict[str, Any] = {
    "metadata": {"name": "p", "namespace": "ns", "uid": "uid"},
    "spec": {"nodeName": "local"},
    "status": {"podIP": "127.1.1.1"},
}


def made(**container: Any) -> ProcessSpec:
    given = {"name": "worker", "command": ["run"], **container}
    return process_spec(POD, given, Path("/r/uid"), NODE, Path("/r/log"), Path("/r/message"))


def test_the_default_process_of_a_container() -> None:
    found = made()
    assert found.argv == ["run"]
    assert found.cwd == "/r/uid/home"
    assert found.env == {**NODE, "HOME": "/r/uid/home", "HOSTNAME": "p"}
    assert found.log == "/r/log"


def test_paths_are_replaced_in_command_arguments_environment_and_directory() -> None:
    found = made(
        command=["/opt/code/run", "/data/a b"],
        args=["--out", "/data/out", "--log=/data/log"],
        workingDir="/data/work",
        env=[{"name": "DATA", "value": "/data"}, {"name": "LOG", "value": "/dev/termination-log"}],
        volumeMounts=[
            {"name": "code", "mountPath": "/opt/code"},
            {"name": "data", "mountPath": "/data"},
        ],
    )
    v = "/r/uid/v"
    assert found.argv == [
        f"{v}/code/run", f"{v}/data/a b", "--out", f"{v}/data/out", "--log=/data/log",
    ]  # fmt: skip
    assert found.cwd == f"{v}/data/work"
    assert found.env["DATA"] == f"{v}/data"
    assert found.env["LOG"] == "/r/message"


def test_a_path_is_replaced_once_and_after_expansion() -> None:
    """`/r` is both a mountPath and the directory of the volumes."""
    found = made(
        command=["run", "$(DATA)/x"],
        env=[{"name": "DATA", "value": "/r/data"}],
        volumeMounts=[{"name": "v", "mountPath": "/r"}],
    )
    assert found.argv == ["run", "/r/uid/v/v/data/x"]
    assert found.env["DATA"] == "/r/uid/v/v/data"
    assert found.env["PATH"] == NODE["PATH"]  # the node's own is not the container's
    assert found.env["HOME"] == "/r/uid/home"


def test_the_marker_cannot_be_replaced() -> None:
    assert made(env=[{"name": MARKER, "value": "x"}]).env[MARKER] == "/r/uid"
