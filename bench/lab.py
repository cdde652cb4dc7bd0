"""A laboratory on the local mode: API server and kubelet in this process, operator and agents as
processes of their own, and stub workers that write down when they were exec'd."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from elasticjob.local.api.objects import builtins
from elasticjob.local.api.server import Running, serve
from elasticjob.local.node.kubelet import Kubelet
from elasticjob.wire import names

Json = dict[str, Any]
STUB = (
    'echo "${ELASTICJOB_ROUND:-0} $RANK $EPOCHREALTIME $BASHPID" >> "$BENCH_FILE"; exec sleep 900'
)
PATIENCE_S = 90.0
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Line:
    """One exec of a stub worker: its round, rank, wall time in seconds, and pid."""

    round: int
    rank: int
    at: float
    pid: int


@dataclass
class Lab:
    """The running system."""

    server: Running
    operator_pid: int
    root: Path

    def jobs(self) -> Any:
        """The store's resource of ElasticJobs."""
        return self.server.store.resources[names.GROUP, names.PLURAL]

    def apply(self, name: str, replicas: int, **spec: Any) -> float:
        """Creates a job of stub workers; the wall time at which it was created."""
        (self.root / name).touch()
        job = {
            "apiVersion": names.API_VERSION,
            "kind": names.KIND,
            "metadata": {"name": name, "namespace": "default"},
            "spec": {"replicas": replicas, "template": stub_template(self.root / name), **spec},
        }
        at = time.time()
        self.server.store.create(self.jobs(), "default", job)
        return at

    def delete(self, name: str) -> None:
        """Deletes a job; garbage collection takes its pods."""
        self.server.store.delete(self.jobs(), "default", name)

    def lines(self, name: str) -> list[Line]:
        """What the job's workers have written down so far."""
        return read_lines(self.root / name)

    def pods(self, name: str) -> list[Json]:
        """The job's pods."""
        pods: list[Json] = self.server.store.list(
            builtins.PODS,
            "default",
            lambda pod: pod["metadata"].get("labels", {}).get(names.LABEL_JOB) == name,
        )
        return pods

    async def workers_of(self, name: str, count: int, after: float) -> list[Line]:
        """Waits until `count` workers of one round were exec'd after a wall time."""

        def found() -> list[Line] | None:
            rounds: dict[int, list[Line]] = {}
            for line in self.lines(name):
                if line.at >= after:
                    rounds.setdefault(line.round, []).append(line)
            return next((lines for lines in rounds.values() if len(lines) == count), None)

        lines: list[Line] = await until(f"{count} workers of {name}", found)
        return lines

    async def gone(self, name: str) -> None:
        """Waits until no pod of the job is left."""
        await until(f"the end of {name}", lambda: not self.pods(name) or None)


def stub_template(file: Path) -> Json:
    """A pod template whose worker writes one line and sleeps."""
    container = {
        "name": "worker",
        "image": "none",
        "command": ["bash", "-c", STUB],
        "env": [{"name": "BENCH_FILE", "value": str(file)}],
    }
    return {"spec": {"containers": [container]}}


def read_lines(file: Path) -> list[Line]:
    """Complete lines only: a worker may be writing."""
    rows = [row.split() for row in file.read_text().splitlines()]
    return [Line(int(r[0]), int(r[1]), float(r[2]), int(r[3])) for r in rows if len(r) == 4]


async def until(what: str, found: Callable[[], Any]) -> Any:
    """Looks every 10 ms; raises TimeoutError when patience is over."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        value = found()
        if value is not None:
            return value
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {PATIENCE_S:.0f} s in vain for {what}")
        await asyncio.sleep(0.01)


@asynccontextmanager
async def lab() -> AsyncIterator[Lab]:
    """The whole system; ends with everything that it started."""
    root = Path(tempfile.mkdtemp(prefix="elasticjob-bench-"))
    try:
        async with serve(root / "api") as server:
            port = urlsplit(server.url).port
            assert port is not None
            kubelet = Kubelet(server.store, root / "pods", port=port, mint=server.mint)
            await kubelet.start()
            operator = start_operator(server, root)
            try:
                yield Lab(server, operator.pid, root)
            finally:
                operator.send_signal(signal.SIGTERM)
                await asyncio.to_thread(operator.wait, 20)
                await kubelet.close()
    finally:
        shutil.rmtree(root, ignore_errors=True)


def start_operator(server: Running, root: Path) -> subprocess.Popen[bytes]:
    """The operator process."""
    command = [sys.executable, "-m", "elasticjob.controller"]
    with (root / "operator.log").open("wb") as log:
        return subprocess.Popen(
            [*command, "--kubeconfig", str(server.operator_kubeconfig), "--health-port", "0"],
            stdout=log,
            stderr=subprocess.STDOUT,
        )


# ---- processes -----------------------------------------------------------------------------------


def rss_mib(pid: int) -> float:
    """Resident memory of a process."""
    for row in Path(f"/proc/{pid}/status").read_text().splitlines():
        if row.startswith("VmRSS:"):
            return int(row.split()[1]) / 1024
    raise ValueError(f"process {pid} has no VmRSS")


def cpu_s(pid: int) -> float:
    """CPU time that a process has used."""
    fields = _stat(pid)
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def age_s(pid: int) -> float:
    """Time since a process was forked, to 10 ms."""
    up_s = float(Path("/proc/uptime").read_text().split()[0])
    return up_s - int(_stat(pid)[19]) / TICKS_PER_S


def _stat(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()


def agent_of(pod_uid: str) -> int:
    """Pid of the agent of a pod: the process of the pod that runs the zip."""
    marker = f"ELASTICJOB_POD_UID={pod_uid}".encode()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            environ = (entry / "environ").read_bytes().split(b"\0")
            command = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if marker in environ and b"-S" in command[:4]:
            return int(entry.name)
    raise ValueError(f"pod {pod_uid} has no agent")
