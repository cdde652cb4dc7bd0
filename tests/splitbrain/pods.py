"""The pods of a job as processes: in each an agent as it ships, with the stub as its worker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.support.survivors import alive, sweep

from elasticjob.controller.act import launcher
from elasticjob.controller.act.bundle import Bundle
from elasticjob.wire.member import Pod
from elasticjob.wire.names import pod_name

WORKER = Path(__file__).with_name("worker.py")


@dataclass(frozen=True)
class Place:
    """What the pods of one job have in common."""

    job: str
    uid: str
    root: Path
    agent: Bundle
    tokens: Path
    port: int
    """Of the proxy, on 127.0.0.1."""
    mean_ms: float
    """The mean time until the first worker of a round fails."""

    @property
    def records(self) -> Path:
        """The directory of what the workers record."""
        return self.root / "records"


class PodProcess:
    """One incarnation of the agent of one pod."""

    def __init__(self, place: Place, pod: Pod, number: int) -> None:
        """Start the agent. number: of the incarnation, counted through the job."""
        self.pod = pod
        self.name = pod_name(place.job, pod.index, pod.generation)
        self.incarnation = f"{place.uid}-{number}"
        self.home = place.root / f"{self.name}.{number}"
        self.home.mkdir(parents=True)
        archive = place.root / "agent.pyz"
        agent = launcher.command(str(archive), place.agent.hash)[1:]
        worker = (sys.executable, "-I", "-S", str(WORKER))
        command = (*worker, str(place.records / self.name), str(place.mean_ms))
        with (self.home / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, *agent, *command],
                env=self._environment(place, number),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    @property
    def has_ended(self) -> bool:
        """Whether the agent has ended."""
        return self._process.poll() is not None

    @property
    def exit_text(self) -> str:
        """The agent's exit code and the reason that it gave."""
        message = self.home / "termination-message"
        return f"{self._process.returncode} {message.read_text() if message.exists() else ''}"

    def kill(self) -> None:
        """Kill the agent, then its workers, as the kernel does with a container."""
        self.thaw()
        self._process.kill()
        self._process.wait()
        self.sweep()

    def sweep(self) -> None:
        """Kill what an agent that has ended may have left."""
        sweep(INCARNATION=self.incarnation)

    def terminate(self) -> None:
        """Ask the agent to leave."""
        self._process.terminate()

    def freeze(self, with_workers: bool) -> None:
        """Stop the agent with SIGSTOP, or all processes of the pod."""
        self._signal(signal.SIGSTOP, with_workers)

    def thaw(self) -> None:
        """Continue all processes of the pod."""
        self._signal(signal.SIGCONT, with_workers=True)

    def _signal(self, number: signal.Signals, with_workers: bool) -> None:
        others = alive(INCARNATION=self.incarnation) if with_workers else set()
        for pid in ({self._process.pid} - others, others):
            for each in pid:
                with suppress(ProcessLookupError):  # it has ended
                    os.kill(each, number)

    def _environment(self, place: Place, number: int) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "INCARNATION": self.incarnation,
            "KUBERNETES_SERVICE_HOST": "127.0.0.1",
            "KUBERNETES_SERVICE_PORT": str(place.port),
            "ELASTICJOB_NAMESPACE": "default",
            "ELASTICJOB_NAME": place.job,
            "ELASTICJOB_UID": place.uid,
            "ELASTICJOB_POD_NAME": self.name,
            "ELASTICJOB_POD_UID": f"{place.uid}-{self.name}",
            "ELASTICJOB_POD_IP": f"127.1.{number // 250}.{number % 250 + 1}",
            "ELASTICJOB_NODE_NAME": f"node-{self.pod.index}",
            "ELASTICJOB_INDEX": str(self.pod.index),
            "ELASTICJOB_GENERATION": str(self.pod.generation),
            "ELASTICJOB_NPROC": "1",
            "ELASTICJOB_DIR": str(self.home / "work"),
            "ELASTICJOB_TOKEN_DIR": str(place.tokens),
            "ELASTICJOB_TERMINATION_LOG": str(self.home / "termination-message"),
            "ELASTICJOB_SHARED_NETWORK": "1",
            "ELASTICJOB_CGROUP_DIR": "",
        }
