from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from dev import skipped

ROOT = Path(__file__).parents[2]
ELSEWHERE = "Skipped: needs a real API server: make contract"


def test_a_test_that_another_command_runs_is_no_error() -> None:
    lines = [
        json.dumps(["tests/a.py::test_a", "skipped", ELSEWHERE]),
        json.dumps(["tests/a.py::test_b", "skipped", ELSEWHERE]),
        json.dumps(["tests/a.py::test_b", "passed", ""]),
        json.dumps(["tests/a.py::test_a", "passed", ""]),
        json.dumps(["tests/a.py::test_a", "skipped", ELSEWHERE]),
    ]
    assert skipped.report(lines) == (["    2 needs a real API server: make contract"], [])


def test_a_test_that_no_command_runs_is_named_with_the_cure() -> None:
    lines = [json.dumps(["tests/a.py::test_a", "skipped", "Skipped: no helm: install it"])]
    assert skipped.report(lines) == ([], ["tests/a.py::test_a: no helm: install it"])


@pytest.mark.process
def test_the_record_of_pytest(tmp_path: Path) -> None:
    """Of tests that run in parallel, one of which is skipped as a whole file."""
    (tmp_path / "conftest.py").write_text((ROOT / "tests" / "conftest.py").read_text())
    (tmp_path / "test_it.py").write_text(
        "import pytest\n"
        "def test_ran(): pass\n"
        "def test_asks(): pytest.skip('no helm: install it')\n"
        "@pytest.mark.skipif(True, reason='no IPv6: turn it on')\n"
        "def test_is_marked(): pass\n"
    )
    record = tmp_path / "record"
    words = [sys.executable, "-m", "pytest", "-q", "-n", "2", "-p", "no:cacheprovider", "."]
    env = {"PATH": "/usr/bin:/bin", "TEST_RECORD": str(record)}
    subprocess.run(words, cwd=tmp_path, env=env, check=True, capture_output=True)
    done = subprocess.run(
        [sys.executable, ROOT / "dev" / "skipped.py", record],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        "== skipped by one command, run by another",
        "== skipped by all commands",
        "test_it.py::test_asks: no helm: install it",
        "test_it.py::test_is_marked: no IPv6: turn it on",
    ]
