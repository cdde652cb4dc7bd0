"""The start of a pod's command: which bytes it runs, and what it reports otherwise."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from elasticjob.controller.act import launcher
from elasticjob.controller.act.bundle import Bundle, build

process = pytest.mark.process
MAIN = """
import sys
print(sys.argv, __name__, type(__loader__).__name__, __loader__.archive)
from elasticjob.agent import lines
"""
LINES = "raise ValueError('here')\n"
PYTHONS = sorted((Path.home() / ".pyenv" / "versions").glob("3.*/bin/python"))


def package(root: Path, main: str) -> Path:
    """The package of an agent with this `__main__`."""
    for name in ("", "wire", "rendezvous", "agent"):
        (root / name).mkdir(parents=True)
        (root / name / "__init__.py").write_text("")
    (root / "agent" / "__main__.py").write_text(main)
    return root


def run(
    path: Path, agent_hash: str, *, python: str = sys.executable, log: str = ""
) -> subprocess.CompletedProcess[str]:
    command = [python, *launcher.command(str(path), agent_hash)[1:], "train", "--x"]
    environment = {"ELASTICJOB_TERMINATION_LOG": log or f"{path}.log"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def agent(tmp_path: Path, main: str = MAIN) -> tuple[Path, Bundle]:
    """The file and the content of an agent with this `__main__`."""
    bundle = build(package(tmp_path / "elasticjob", main))
    path = tmp_path / "agent.pyz"
    path.write_bytes(bundle.data)
    return path, bundle


@process
def test_the_agent_sees_what_zipimport_would_show(tmp_path: Path) -> None:
    path, bundle = agent(tmp_path, MAIN.replace("from", "#"))
    found = run(path, bundle.hash)
    assert found.stderr == ""
    args = [str(path), "--", "train", "--x"]
    assert found.stdout == f"{args} __main__ zipimporter {path}\n"


@process
@pytest.mark.parametrize("python", [str(path) for path in PYTHONS] or [sys.executable])
def test_another_content_is_refused_by_every_python_3(tmp_path: Path, python: str) -> None:
    path, bundle = agent(tmp_path, "print('foreign code ran')")
    path.write_bytes(bundle.data + b"\n")
    found = run(path, bundle.hash, python=python)
    why = (
        f"ConfigMap elasticjob-agent-{bundle.hash[:10]}: agent.pyz has another SHA-256 than the"
        " pod's command: delete the ConfigMap"
    )
    assert (found.returncode, found.stdout) == (75, "")
    assert found.stderr == f'[elasticjob] agent set-up failed  reason="{why}"\n'
    message = json.loads(Path(f"{path}.log").read_text())
    assert message == {"cause": "SetupFailed", "code": 75, "message": why}


@process
@pytest.mark.parametrize("kind", ["missing", "directory", "fifo", "endless", "empty"])
def test_what_is_no_file_is_refused_at_once(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "agent.pyz"
    if kind == "directory":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "endless":
        path.symlink_to("/dev/zero")
    elif kind == "empty":
        path.write_bytes(b"")
    found = run(path, "0" * 64)
    assert (found.returncode, found.stdout) == (75, "")
    assert found.stderr.count("\n") == 1
    assert "delete the ConfigMap" in found.stderr


@process
def test_a_termination_log_that_cannot_be_written_changes_nothing(tmp_path: Path) -> None:
    found = run(tmp_path / "none", "0" * 64, log=str(tmp_path))
    assert found.returncode == 75
    assert found.stderr.startswith("[elasticjob] agent set-up failed")


@process
def test_without_a_termination_log_it_ends_with_the_same_code(tmp_path: Path) -> None:
    command = [sys.executable, *launcher.command(str(tmp_path / "none"), "0" * 64)[1:]]
    found = subprocess.run(command, env={}, capture_output=True, text=True, check=False)
    assert found.returncode == 75
    assert found.stderr.count("\n") == 1


@process
def test_what_was_checked_is_what_runs(tmp_path: Path) -> None:
    """The kubelet exchanges the file while the agent imports its modules."""
    main = MAIN.replace("from", "open(__loader__.archive, 'wb').write(b'foreign')\nfrom", 1)
    real = Path(launcher.__file__).parents[2] / "agent" / "__main__.py"
    importer = real.read_text().partition('if __name__ == "__main__":')[0]
    insert = "sys.meta_path.insert(0, ZipImporter(globals()['__loader__']))\n"
    root = package(tmp_path / "elasticjob", importer + insert + main)
    (root / "agent" / "lines.py").write_text(LINES)
    bundle = build(root)
    path = tmp_path / "agent.pyz"
    path.write_bytes(bundle.data)
    found = run(path, bundle.hash)
    assert path.read_bytes() == b"foreign"
    assert f'File "{path}/elasticjob/agent/lines.py", line 1' in found.stderr
    assert found.stderr.endswith("ValueError: here\n")


def test_it_is_short_and_any_python_3_can_parse_it() -> None:
    """`kubectl describe pod` shows it line by line."""
    ast.parse(launcher.PROGRAM, feature_version=(3, 4))
    lines = launcher.PROGRAM.splitlines()
    assert len(lines) <= 40
    assert max(map(len, lines)) <= 100


def test_kubernetes_expands_nothing_in_it() -> None:
    """The kubelet replaces `$(NAME)` in a command."""
    assert "$" not in launcher.PROGRAM


def test_the_hash_is_that_of_the_whole_file() -> None:
    bundle = build()
    assert launcher.command("path", bundle.hash)[-3:] == ["path", bundle.hash, "--"]
    assert bundle.hash == hashlib.sha256(bundle.data).hexdigest()
    assert len(bundle.data) < 1 << 20
