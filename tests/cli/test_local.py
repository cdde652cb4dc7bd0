"""`elasticjob local run` as a process: its output and exit code."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from elasticjob.local.node.process_table import pids_with_env
from elasticjob.local.node.processes import MARKER
from elasticjob.wire.names import API_VERSION, KIND

pytestmark = pytest.mark.e2e

SOURCE = str(Path(__file__).parents[2] / "operator" / "src")
EXAMPLE = str(Path(__file__).parents[2] / "examples" / "quickstart.yaml")


def run(
    root: Path, script: str, env: dict[str, str] | None = None, **spec: object
) -> subprocess.Popen[str]:
    container = {"name": "worker", "image": "none", "command": ["sh", "-c", script]}
    job = {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": "demo"},
        "spec": {"replicas": 2, "template": {"spec": {"containers": [container]}}, **spec},
    }
    file = root / "job.yaml"
    file.write_text(yaml.safe_dump(job))
    options = ["--root", str(root / "root"), "--heartbeat-seconds", "0.5"]
    return program("run", "-f", str(file), *options, env=env or {})


def program(*words: str, **options: Any) -> subprocess.Popen[str]:
    """Start `elasticjob local` with these words."""
    command = [sys.executable, "-m", "elasticjob.cli.__main__", "local", *words]
    env = {**os.environ, "PYTHONPATH": SOURCE, **options.pop("env", {})}
    return subprocess.Popen(
        command, **{"stdout": subprocess.PIPE, "text": True, "env": env, **options}
    )


@pytest.mark.parametrize(
    ("script", "spec", "code", "last"),
    [
        ('echo "I am $RANK of $WORLD_SIZE"', {}, 0, f"{KIND} demo: Complete"),
        ("exit 3", {"maxRestarts": 0}, 1, f"{KIND} demo: Failed"),
    ],
)
def test_the_exit_code_is_the_outcome(
    tmp_path: Path, script: str, spec: dict[str, object], code: int, last: str
) -> None:
    with run(tmp_path, script, **spec) as running:
        out, _ = running.communicate(timeout=60)
    assert running.returncode == code, out
    assert out.splitlines()[-1].startswith(last)
    if code == 0:
        assert "demo-0-0 | I am 0 of 2" in out
        assert "demo-1-0 | I am 1 of 2" in out
    assert pids_with_env(MARKER, f"{tmp_path}/") == set()


def test_ctrl_c_ends_all_processes(tmp_path: Path) -> None:
    with run(tmp_path, "trap '' TERM; echo up; while :; do sleep 1; done") as running:
        assert running.stdout is not None
        assert any(line.endswith("| up\n") for line in running.stdout)
        running.send_signal(signal.SIGINT)
        running.communicate(timeout=60)
    assert running.returncode == 130
    assert pids_with_env(MARKER, f"{tmp_path}/") == set()


def error_of(*words: str, **options: Any) -> tuple[int, str]:
    """The exit code of a program that ends, and what it prints to standard error."""
    with program(*words, stderr=subprocess.PIPE, **options) as running:
        try:
            _, error = running.communicate(timeout=60)
        finally:
            running.terminate()
    return running.returncode, error


def files_of(root: Path) -> dict[Path, bytes]:
    """The content of all files of the server; those of pods change while they run."""
    found = (path for path in root.iterdir() if path.is_file())
    return {path: path.read_bytes() for path in found}


def test_a_second_start_in_the_same_root_changes_nothing(tmp_path: Path) -> None:
    """The first one could no longer be reached, nor its operator be restarted."""
    root = tmp_path / "root"
    with program("up", "--root", str(root)) as running:
        assert running.stdout is not None
        assert any("Press Ctrl-C" in line for line in running.stdout)
        before = files_of(root)
        found = [error_of(*words, "--root", str(root)) for words in (["up"], ["run", EXAMPLE])]
        after = files_of(root)
        running.send_signal(signal.SIGTERM)
        running.communicate(timeout=60)
    assert {path.name for path in before} >= {"kubeconfig", "operator.kubeconfig", "ca.crt"}
    assert after == before
    assert all(code == 2 and "in use by another server" in error for code, error in found)


def test_an_operator_that_cannot_start_ends_the_program_with_the_reason(tmp_path: Path) -> None:
    code, error = error_of("run", EXAMPLE, "--heartbeat-seconds", "0")
    assert code == 2
    (line,) = error.splitlines()
    assert line.startswith("elasticjob: the operator cannot start: ")
    assert "--heartbeat-seconds" in line
    assert "greater than 0" in line


def test_a_port_that_is_in_use_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        found = error_of("up", "--port", str(port), "--root", str(tmp_path / "root"))
    assert found == (2, f"elasticjob: port {port}: Address already in use\n")


@pytest.mark.parametrize("fault", ["closed", "full", "pipe"])
def test_output_that_cannot_be_written_causes_no_traceback(tmp_path: Path, fault: str) -> None:
    source, sink = os.pipe()
    os.close(source)
    full = os.open("/dev/full", os.O_WRONLY)
    command = [sys.executable, "-m", "elasticjob.cli.__main__", "local", "run", EXAMPLE]
    try:
        done = subprocess.run(
            ["sh", "-c", 'exec "$@" >&-', "sh", *command] if fault == "closed" else command,
            stdout={"full": full, "pipe": sink}.get(fault),
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": SOURCE},
            timeout=120,
        )
    finally:
        os.close(sink)
        os.close(full)
    words = {"closed": "", "full": "No space left on device", "pipe": "Broken pipe"}[fault]
    assert done.stderr == (f"elasticjob: standard output: {words}\n" if words else "")
    assert done.returncode == (2 if words else 0)


def test_text_that_the_terminal_cannot_show_is_replaced(tmp_path: Path) -> None:
    with run(tmp_path, "echo '\u20ac'", env={"PYTHONIOENCODING": "ascii"}) as running:
        out, _ = running.communicate(timeout=60)
    assert running.returncode == 0
    assert "demo-0-0 | ?" in out
