"""What rows 1, 3 and 8 are compared with: the minimal restart, and torchrun, on the same machine.

The minimal restart, the floor of row 1, is one PATCH of a Lease, its delivery to N watches, and N
times kill and spawn of the stub worker. Each of N processes watches the Lease over its own
connection. They are forked from one process that has imported everything, so they share its memory.
"""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.api_server import LEASES, ApiServer
from bench.results import Figure
from bench.stub_workers import STUB, StartLog
from dev.kube_client import Client
from dev.proc import rss_mib

NAME = "minimal-restart"


# ---- the minimal restart -------------------------------------------------------------------------


def minimal_restart(
    server: ApiServer, watchers: int, samples: int, root: Path
) -> tuple[float, ...]:
    """Return the seconds from just before the PATCH until each watcher's next worker was exec'd."""
    starts = StartLog(root / f"minimal-restart-{watchers}")
    version = server.create(LEASES, {"metadata": {"name": NAME}})["metadata"]["resourceVersion"]
    try:
        with watching(server, watchers, version, starts.file):
            starts.wait(watchers, 0)
            return tuple(patch(server, watchers, starts, number) for number in range(samples))
    finally:
        server.client.delete(f"{LEASES}/{NAME}")


def patch(server: ApiServer, watchers: int, starts: StartLog, number: int) -> float:
    """Send one PATCH; seconds until all workers have started again."""
    time.sleep(0.3)
    at = time.time()
    server.client.patch(f"{LEASES}/{NAME}", {"metadata": {"annotations": {"n": str(number)}}})
    return starts.last(watchers, at)


@contextmanager
def watching(server: ApiServer, watchers: int, version: str, file: Path) -> Iterator[None]:
    """Run the watchers as processes, forked by a process without threads."""
    order = {"kubeconfig": str(server.kubeconfig), "count": watchers, "version": version}
    command = [sys.executable, "-m", __name__, json.dumps({**order, "file": str(file)})]
    process = subprocess.Popen(command, cwd=Path(__file__).parents[1], start_new_session=True)
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # watchers and workers belong to this group
        process.wait()


def watch(client: Client, rank: int, version: str, file: str) -> None:
    """Start a worker again at each event; never returns."""
    query = {"fieldSelector": f"metadata.name={NAME}", "resourceVersion": version}
    with client.watch(LEASES, **query) as events:
        worker = spawn(0, rank, file)
        for number, _ in enumerate(events, start=1):
            os.kill(worker, signal.SIGTERM)
            os.waitpid(worker, 0)
            worker = spawn(number, rank, file)


def spawn(number: int, rank: int, file: str) -> int:
    """Start one stub worker."""
    environment = {"ELASTICJOB_ROUND": str(number), "RANK": str(rank), "BENCH_FILE": file}
    return os.posix_spawn("/bin/bash", ["bash", "-c", STUB], {**os.environ, **environment})


def run_watchers(order: str) -> None:
    """Fork the watchers and wait until killed."""
    words = json.loads(order)
    client = Client.from_kubeconfig(Path(words["kubeconfig"]))
    for rank in range(words["count"]):
        if os.fork() == 0:
            watch(client, rank, words["version"], words["file"])
            os._exit(1)
    signal.pause()


# ---- torchrun ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TorchrunJob:
    """One torchrun agent per node, each with one worker; the first has the c10d store."""

    starts: StartLog
    agents: int
    pids: tuple[int, ...]
    began: float

    def kill_worker(self) -> float:
        """Kill a random worker; seconds until all workers have started again."""
        time.sleep(1.0)
        victim = random.choice(self.starts.newest(self.began))
        at = time.time()
        os.kill(victim.pid, signal.SIGKILL)
        return self.starts.last(self.agents, at)


def torchrun(python: str, agents: int, kills: int, root: Path) -> Iterator[Figure]:
    """Measure one job, from its first exec to some restarts."""
    with torchrun_job(python, agents, root) as job:
        yield Figure(
            "3", f"torchrun, {agents} agents: first exec -> last worker exec'd", "s",
            (job.starts.last(agents, job.began),), size=agents,
        )  # fmt: skip
        time.sleep(3)
        memory = tuple(map(rss_mib, job.pids))
        yield Figure("8", f"torchrun agent: RSS, {agents} agents", "MiB", memory)
        yield Figure(
            "1", f"torchrun: worker killed -> all {agents} of the next round started", "ms",
            tuple(job.kill_worker() * 1000 for _ in range(kills)), series="torchrun", size=agents,
        )  # fmt: skip


@contextmanager
def torchrun_job(python: str, agents: int, root: Path) -> Iterator[TorchrunJob]:
    """Start all agents without waiting; terminate them after the block."""
    home = root / f"torchrun-{agents}"
    home.mkdir()
    script = home / "worker.sh"
    script.write_text(f"#!/bin/bash\n{STUB}\n")
    script.chmod(0o755)
    starts, began = StartLog(home / "starts"), time.time()
    env = {**os.environ, "BENCH_FILE": str(starts.file), "ELASTICJOB_ROUND": "0"}
    options = ["--nnodes", str(agents), "--nproc-per-node", "1", "--max-restarts", "1000"]
    options += ["--rdzv-backend", "c10d", "--rdzv-endpoint", f"127.0.0.1:{free_port()}"]
    command = [python, "-m", "torch.distributed.run", *options, "--rdzv-id", "bench"]
    processes = [
        subprocess.Popen(
            [*command, "--local-addr", f"127.0.0.{i + 2}", "--no-python", str(script)],
            env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        for i in range(agents)
    ]  # fmt: skip
    try:
        yield TorchrunJob(starts, agents, tuple(process.pid for process in processes), began)
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(60)


def free_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


if __name__ == "__main__":
    run_watchers(sys.argv[1])
