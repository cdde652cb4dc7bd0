"""The yardstick: torchrun agents on this machine, with the same stub workers."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from bench.lab import STUB, Line, read_lines, until


async def restarts(python: str, agents: int, kills: int) -> list[float]:
    """Seconds from kill -9 of one worker until all workers of the next round were exec'd."""
    with tempfile.TemporaryDirectory(prefix="elasticjob-torchrun-") as home:
        file = Path(home) / "lines"
        file.touch()
        processes = start(python, agents, file, Path(home))
        try:
            lines = await fresh(file, agents, 0.0)
            found = []
            for _ in range(kills):
                await asyncio.sleep(1.0)
                at = time.time()
                os.kill(random.choice(lines).pid, signal.SIGKILL)
                lines = await fresh(file, agents, at)
                found.append(max(line.at for line in lines) - at)
            return found
        finally:
            for process in processes:
                process.terminate()
            for process in processes:
                process.wait(40)


def start(python: str, agents: int, file: Path, home: Path) -> list[subprocess.Popen[bytes]]:
    """One torchrun per node, the c10d store in the first."""
    script = home / "worker.sh"
    script.write_text(f"#!/bin/bash\n{STUB}\n")
    script.chmod(0o755)
    port = free_port()
    options = ["--nnodes", str(agents), "--nproc-per-node", "1", "--max-restarts", "1000"]
    options += ["--rdzv-backend", "c10d", "--rdzv-endpoint", f"127.0.0.1:{port}"]
    options += ["--rdzv-id", "bench"]
    env = {**os.environ, "BENCH_FILE": str(file), "ELASTICJOB_ROUND": "0"}
    command = [python, "-m", "torch.distributed.run", *options]
    return [
        subprocess.Popen(
            [*command, "--local-addr", f"127.0.0.{i + 2}", "--no-python", str(script)],
            env=env,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for i in range(agents)
    ]


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


async def fresh(file: Path, agents: int, after: float) -> list[Line]:
    """The newest line of each rank, once all ranks have one after a wall time."""

    def found() -> list[Line] | None:
        newest = {line.rank: line for line in read_lines(file) if line.at > after}
        return list(newest.values()) if len(newest) == agents else None

    lines: list[Line] = await until(f"{agents} workers of torchrun", found)
    return lines
