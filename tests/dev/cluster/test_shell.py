"""Commands that use this terminal end with the process that runs them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from dev.cluster.shell import run_through
from dev.wait import wait_until

COMMAND = """
import pathlib, signal, sys
def end(*_):
    pathlib.Path("cleaned-up").touch()
    sys.exit(7)
signal.signal(signal.SIGTERM, end)
pathlib.Path("started").touch()
while True:
    signal.pause()
"""
RUNNER = """
import os, signal, sys
from dev.cluster.shell import run_through
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
run_through([sys.executable, "-c", sys.argv[1]], os.environ)
"""
ROOT = Path(__file__).parents[3]


@pytest.mark.process
def test_a_command_cleans_up_when_its_runner_is_ended(tmp_path: Path) -> None:
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    argv = [sys.executable, "-c", RUNNER, COMMAND]
    with subprocess.Popen(argv, cwd=tmp_path, env=environ) as runner:
        wait_until(lambda: (tmp_path / "started").exists())
        runner.terminate()
        assert runner.wait() == 143
        assert (tmp_path / "cleaned-up").exists()


def test_the_exit_code_is_that_of_the_command() -> None:
    assert run_through([sys.executable, "-c", "raise SystemExit(5)"], os.environ) == 5
