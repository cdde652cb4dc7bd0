"""`elasticjob local run` as a process: its output and exit code."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from elasticjob.local.node.process_table import pids_with_env
from elasticjob.local.node.processes import MARKER
from elasticjob.wire.names import API_VERSION, KIND

pytestmark = pytest.mark.e2e

SOURCE = str(Path(__file__).parents[2] / "operator" / "src")


def run(root: Path, script: str, **spec: object) -> subprocess.Popen[str]:
    container = {"name": "worker", "image": "none", "command": ["sh", "-c", script]}
    job = {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": "demo"},
        "spec": {"replicas": 2, "template": {"spec": {"containers": [container]}}, **spec},
    }
    file = root / "job.yaml"
    file.write_text(yaml.safe_dump(job))
    command = [sys.executable, "-m", "elasticjob.cli.__main__", "local", "run", "-f", str(file)]
    options = ["--root", str(root / "root"), "--heartbeat-seconds", "0.5"]
    return subprocess.Popen(
        [*command, *options],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": SOURCE},
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
    with run(tmp_path, script, **spec) as program:
        out, _ = program.communicate(timeout=60)
    assert program.returncode == code, out
    assert out.splitlines()[-1].startswith(last)
    if code == 0:
        assert "demo-0-0 | I am 0 of 2" in out
        assert "demo-1-0 | I am 1 of 2" in out
    assert pids_with_env(MARKER, f"{tmp_path}/") == set()


def test_ctrl_c_ends_all_processes(tmp_path: Path) -> None:
    with run(tmp_path, "trap '' TERM; echo up; while :; do sleep 1; done") as program:
        assert program.stdout is not None
        assert any(line.endswith("| up\n") for line in program.stdout)
        program.send_signal(signal.SIGINT)
        program.communicate(timeout=60)
    assert program.returncode == 130
    assert pids_with_env(MARKER, f"{tmp_path}/") == set()
