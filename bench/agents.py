"""The agents of one job as processes, each in its own PID namespace, as in a container.

In the machine's PID namespace an agent would search all processes for those that a worker left; in
a pod it finds a handful.
"""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.api_server import LEASES, NAMESPACE, WITHIN_S, ApiServer
from bench.stub_workers import STUB, StartLog
from dev import proc
from dev.wait import wait_until

from elasticjob.controller.act import launcher
from elasticjob.wire import lease as leases
from elasticjob.wire.agent_state import AgentPhase
from elasticjob.wire.desired import Desired
from elasticjob.wire.member import Pod
from elasticjob.wire.names import pod_name, round_lease_name
from elasticjob.wire.round import Phase, Round

HEARTBEAT_S = 5.0
PYTHON = os.path.realpath(sys.executable)
NAMESPACED = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
ROOTLESS = ("--user", "--map-root-user")


class Agents:
    """All agents of a job."""

    def __init__(self, server: ApiServer, job: str, uid: str, archive: Path, home: Path) -> None:
        """Take the agent's zip, `archive`, and create the job's directory, `home`."""
        home.mkdir()
        self.server, self.job, self.uid, self.archive, self.home = server, job, uid, archive, home
        self.tokens = server.write_token(job, home / "tokens")
        self.starts = StartLog(home / "starts")
        self.worker = STUB
        self._processes: dict[int, subprocess.Popen[bytes]] = {}

    def start(self, index: int, pod_uid: str = "") -> float:
        """Start the agent of a pod; returns the wall time just before."""
        directory = self.home / str(index)
        directory.mkdir()
        environment = self._environment(index, pod_uid or f"uid-{index}")
        with (directory / "log").open("wb") as log:
            at = time.time()
            self._processes[index] = subprocess.Popen(
                [*self._command(), "bash", "-c", self.worker],
                env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        return at

    def start_all(self, count: int) -> float:
        """Start the indices from 0 as fast as possible; returns the wall time just before."""
        return min([self.start(index) for index in range(count)])

    def pid(self, index: int) -> int:
        """The agent's pid; its parent is `unshare`."""
        return proc.children(self._processes[index].pid)[0]

    def worker_pid(self, index: int) -> int:
        """The pid of the agent's only worker."""
        return proc.children(self.pid(index))[0]

    def kill_worker(self, count: int) -> float:
        """Kill a random worker of the first `count`; seconds until all of the next round run."""
        pid = self.worker_pid(random.randrange(count))
        at = time.time()
        os.kill(pid, signal.SIGKILL)
        return self.starts.last(count, at)

    def kill_all_workers(self, count: int) -> float:
        """Kill the workers of the first `count` agents at once; returns the wall time."""
        pids = [self.worker_pid(index) for index in range(count)]
        at = time.time()
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        return at

    def end(self) -> None:
        """Kill every agent; --kill-child kills what is below `unshare`."""
        for process in self._processes.values():
            process.kill()
        for process in self._processes.values():
            process.wait()

    def _command(self) -> list[str]:
        rootless = () if os.geteuid() == 0 else ROOTLESS
        agent_hash = hashlib.sha256(self.archive.read_bytes()).hexdigest()
        agent = launcher.command(str(self.archive), agent_hash)
        return [*NAMESPACED, *rootless, PYTHON, *agent[1:]]

    def _environment(self, index: int, pod_uid: str) -> dict[str, str]:
        directory = self.home / str(index)
        return {
            "PATH": os.environ["PATH"],
            "BENCH_FILE": str(self.starts.file),
            "KUBERNETES_SERVICE_HOST": self.server.host,
            "KUBERNETES_SERVICE_PORT": str(self.server.port),
            "ELASTICJOB_NAMESPACE": NAMESPACE,
            "ELASTICJOB_NAME": self.job,
            "ELASTICJOB_UID": self.uid,
            "ELASTICJOB_POD_NAME": pod_name(self.job, index, 0),
            "ELASTICJOB_POD_UID": pod_uid,
            "ELASTICJOB_POD_IP": address(index),
            "ELASTICJOB_NODE_NAME": f"node-{index}",
            "ELASTICJOB_INDEX": str(index),
            "ELASTICJOB_GENERATION": "0",
            "ELASTICJOB_NPROC": "1",
            "ELASTICJOB_DIR": str(directory / "work"),
            "ELASTICJOB_TOKEN_DIR": str(self.tokens),
            "ELASTICJOB_TERMINATION_LOG": str(directory / "termination-log"),
            "ELASTICJOB_SHARED_NETWORK": "1",
        }


def address(index: int) -> str:
    """The pod's loopback address."""
    return f"127.1.{index // 250}.{index % 250 + 1}"


class JobWithoutOperator:
    """A Round Lease and agents; nothing else writes to the API server."""

    def __init__(self, server: ApiServer, name: str, count: int, archive: Path, root: Path) -> None:
        self.server, self.name, self.count, self.desired = server, name, count, desired(count)
        job = leases.JobIdentity(NAMESPACE, name, f"uid-of-{name}")
        manifest = leases.round_manifest(job, self.desired, Round())
        del manifest["metadata"]["ownerReferences"]  # garbage collection would look for the owner
        server.create(LEASES, manifest)
        server.create_account(name)
        self.agents = Agents(server, name, job.uid, archive, root / name)

    @property
    def path(self) -> str:
        """The path of the Round Lease."""
        return f"{LEASES}/{round_lease_name(self.name)}"

    @property
    def lease(self) -> leases.RoundLease:
        """The current Round Lease."""
        return leases.parse_round(self.server.client.get(self.path).body)

    def start(self) -> None:
        """Start all agents and wait until all workers run."""
        self.agents.starts.wait(self.count, self.agents.start_all(self.count))

    def write_desired(self, desired: Desired) -> None:
        """Write `desired` as the operator does; does not wait for the round."""

        def written() -> bool:
            patch = leases.desired_patch(desired, self.lease.version)
            return self.server.client.patch(self.path, patch).code == 200

        # the holder's pulse may change the Lease between GET and PATCH
        wait_until(written, what="a PATCH without a conflict", within_s=WITHIN_S, every_s=0)

    def wait_stopped(self) -> None:
        """Wait until every agent has stopped its worker and has reported `ready`."""

        def ready() -> bool:
            current = self.lease.round
            states = [lease.state for lease in self.server.agent_leases(self.name)]
            stopped = [s for s in states if s.phase is AgentPhase.READY and s.n == current.n]
            return current.phase is Phase.FORMING and len(stopped) == self.count

        wait_until(ready, what="the end of all workers", within_s=WITHIN_S, every_s=0.05)

    def end(self) -> None:
        """Kill the agents and delete the Round Lease; garbage collection deletes the others."""
        self.agents.end()
        self.server.client.delete(self.path)


def holder_index(lease: leases.RoundLease) -> int:
    """The index of the holder's pod."""
    return int(lease.holder.split("-")[-2])


def desired(agents: int) -> Desired:
    """Return a job in which a crash after half a healthy second counts as the first.

    So a job can be crashed repeatedly without the delay that later crashes have by design.
    """
    return Desired(
        wanted=tuple(Pod(index, 0) for index in range(agents)),
        min_members=1, heartbeat_s=HEARTBEAT_S, reset_after_s=0.5, cooldown_s=0.0,
    )  # fmt: skip


@contextmanager
def job_without_operator(
    server: ApiServer, name: str, count: int, archive: Path, root: Path
) -> Iterator[JobWithoutOperator]:
    """Create a job whose agents the block starts; kill them after the block."""
    job = JobWithoutOperator(server, name, count, archive, root)
    try:
        yield job
    finally:
        job.end()
