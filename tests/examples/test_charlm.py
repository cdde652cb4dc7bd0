"""The training script without ElasticJob, on two ranks: it saves, stops and continues."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import pytest
from dev.wait import wait_until

SCRIPT = Path(__file__).parents[2] / "examples" / "charlm.py"
PYTHON = os.environ.get("TORCH_PYTHON", "")
pytestmark = [
    pytest.mark.process,
    pytest.mark.torch,
    pytest.mark.skipif(not PYTHON, reason="TORCH_PYTHON names no Python with torch: make test"),
]
RANKS = 2
DEADLINE_S = 120


class Group:
    """The processes of one round. Each rank has its own directory."""

    def __init__(self, root: Path, steps: int) -> None:
        self.root = root
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.processes = [self._start(rank, port, steps) for rank in range(RANKS)]

    def _start(self, rank: int, port: int, steps: int) -> subprocess.Popen[bytes]:
        home = self.root / str(rank)
        home.mkdir(exist_ok=True)
        env = {
            "RANK": str(rank),
            "WORLD_SIZE": str(RANKS),
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
            "STEPS": str(steps),
            "CHECKPOINT_DIR": str(home),
            "ELASTICJOB_PROGRESS_FILE": str(home / "progress.json"),
        }
        with (home / "log").open("wb") as log:
            return subprocess.Popen(
                [PYTHON, str(SCRIPT)], env={**os.environ, **env}, stdout=log, stderr=log
            )

    def wait_for(self, text: str) -> None:
        def is_logged() -> bool:
            assert self.processes[0].poll() is None, self.log(0)
            return text in self.log(0)

        wait_until(is_logged, what=repr(text), within_s=DEADLINE_S, every_s=0.05)

    def exit_codes(self) -> list[int]:
        return [process.wait(DEADLINE_S) for process in self.processes]

    def log(self, rank: int) -> str:
        return (self.root / str(rank) / "log").read_text()

    def steps_done(self) -> list[int]:
        homes = [self.root / str(rank) for rank in range(RANKS)]
        return [json.loads((home / "progress.json").read_text())["step"] for home in homes]

    def end(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()


def test_a_lost_rank_0_continues_from_the_checkpoint_of_rank_1(tmp_path: Path) -> None:
    first = Group(tmp_path, steps=1000)
    try:
        first.wait_for("step 10/")
        first.processes[1].kill()
        assert first.exit_codes()[1] == -signal.SIGKILL
        saved = first.steps_done()[1]
    finally:
        first.end()
    shutil.rmtree(tmp_path / "0")

    second = Group(tmp_path, steps=saved + 10)
    try:
        assert second.exit_codes() == [0, 0], second.log(0)
        continued = re.search(
            r"continuing after step (\d+), from the checkpoint of rank 1", second.log(0)
        )
        # The script may have been killed after it saved and before it reported the progress.
        assert continued is not None
        assert int(continued[1]) in (saved, saved + 5)
        assert f"step {int(continued[1]) + 1}/{saved + 10} loss" in second.log(0)
        assert "it writes:" in second.log(0)
        assert second.steps_done() == [saved + 10] * RANKS
    finally:
        second.end()


def test_after_sigterm_all_ranks_save_the_same_step(tmp_path: Path) -> None:
    group = Group(tmp_path, steps=1000)
    try:
        group.wait_for("step 10/")
        group.processes[1].send_signal(signal.SIGTERM)
        assert group.exit_codes() == [128 + signal.SIGTERM] * RANKS
        assert len(set(group.steps_done())) == 1
        assert f"received SIGTERM: saved step {group.steps_done()[0]}" in group.log(0)
    finally:
        group.end()
