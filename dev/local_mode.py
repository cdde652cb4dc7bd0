"""Run the local mode in the background, for the demo and the benchmarks."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dev.wait import wait_until

WITHIN_S = 60.0


@contextmanager
def local_mode(root: Path, python: str = sys.executable) -> Iterator[Path]:
    """Start `elasticjob local up` with its files in `root`; gives its kubeconfig.

    `python`: the interpreter that pods find. Raises RuntimeError if the local mode does not start.
    """
    kubeconfig, log = root / "state" / "kubeconfig", root / "local.log"
    command = [sys.executable, "-m", "elasticjob.cli", "local", "up"]
    with log.open("wb") as file:
        server = subprocess.Popen(
            [*command, "--root", str(root / "state"), "--python", python],
            stdout=file, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    try:
        wait_until(
            lambda: server.poll() is not None or kubeconfig.exists(),
            what="the local API server", within_s=WITHIN_S,
        )  # fmt: skip
        if server.poll() is not None:
            raise RuntimeError(f"the local mode did not start:\n{log.read_text()}")
        yield kubeconfig
    finally:
        server.send_signal(signal.SIGINT)
        try:
            server.wait(30)
        except subprocess.TimeoutExpired:
            server.kill()
