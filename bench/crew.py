"""The agents of one job as processes, each in a PID namespace of its own, as the kubelet does it.

Without the namespace each agent would search the processes of the whole machine for what a worker
has left behind; in a pod there are a handful.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from bench.ledger import STUB, Ledger
from bench.site import NAMESPACE, Site

from elasticjob.wire.names import pod_name

PYTHON = os.path.realpath(sys.executable)
NAMESPACED = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
ROOTLESS = ("--user", "--map-root-user")


class Crew:
    """All agents of a job. agent: the zip; home: a directory of the job's own."""

    def __init__(self, site: Site, name: str, uid: str, agent: Path, home: Path) -> None:
        self.site, self.name, self.uid, self.agent, self.home = site, name, uid, agent, home
        self.tokens = site.token(name, home / "tokens")
        self.ledger = Ledger(home / "ledger")
        self.worker = STUB
        self.processes: dict[int, subprocess.Popen[bytes]] = {}

    def start(self, index: int, generation: int = 0, pod_uid: str = "") -> float:
        """Starts the agent of a pod; the wall time just before."""
        directory = self.home / f"{index}-{generation}"
        directory.mkdir()
        environment = self._environment(index, generation, pod_uid or f"uid-{index}-{generation}")
        with (directory / "log").open("wb") as log:
            at = time.time()
            self.processes[index] = subprocess.Popen(
                [*self._command(), "--", "bash", "-c", self.worker],
                env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        return at

    def start_all(self, count: int) -> float:
        """Index 0 and up, as fast as this machine can; the wall time just before the first."""
        return min([self.start(index) for index in range(count)])

    def agent_pid(self, index: int) -> int:
        """The agent itself, below `unshare`."""
        return children(self.processes[index].pid)[0]

    def worker_pid(self, index: int) -> int:
        """Its one worker."""
        return children(self.agent_pid(index))[0]

    def kill(self, index: int) -> None:
        """The agent with all that is below it, without a word; it is not reaped here."""
        os.kill(self.agent_pid(index), signal.SIGKILL)

    def end(self) -> None:
        """All of them; --kill-child takes what is below `unshare`."""
        for process in self.processes.values():
            process.kill()
        for process in self.processes.values():
            process.wait()

    def log(self, index: int, generation: int = 0) -> str:
        """What an agent has said."""
        return (self.home / f"{index}-{generation}" / "log").read_text()

    def _command(self) -> list[str]:
        rootless = () if os.geteuid() == 0 else ROOTLESS
        return [*NAMESPACED, *rootless, PYTHON, "-I", "-S", str(self.agent)]

    def _environment(self, index: int, generation: int, pod_uid: str) -> dict[str, str]:
        directory = self.home / f"{index}-{generation}"
        return {
            "PATH": os.environ["PATH"],
            "BENCH_FILE": str(self.ledger.file),
            "KUBERNETES_SERVICE_HOST": self.site.host,
            "KUBERNETES_SERVICE_PORT": str(self.site.port),
            "ELASTICJOB_NAMESPACE": NAMESPACE,
            "ELASTICJOB_NAME": self.name,
            "ELASTICJOB_UID": self.uid,
            "ELASTICJOB_POD_NAME": pod_name(self.name, index, generation),
            "ELASTICJOB_POD_UID": pod_uid,
            "ELASTICJOB_POD_IP": address(index),
            "ELASTICJOB_NODE_NAME": f"node-{index}",
            "ELASTICJOB_INDEX": str(index),
            "ELASTICJOB_GENERATION": str(generation),
            "ELASTICJOB_NPROC": "1",
            "ELASTICJOB_DIR": str(directory / "work"),
            "ELASTICJOB_TOKEN_DIR": str(self.tokens),
            "ELASTICJOB_TERMINATION_LOG": str(directory / "termination-log"),
            "ELASTICJOB_SHARED_NETWORK": "1",
        }


def address(index: int) -> str:
    """A loopback address of the pod's own."""
    return f"127.1.{index // 250}.{index % 250 + 1}"


def children(pid: int) -> list[int]:
    """Of all threads of a process."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += map(int, (task / "children").read_text().split())
    return found
