"""One container of a pod: its runs, its restarts and its termination."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from elasticjob import files
from elasticjob.local.api.objects.resource import Object
from elasticjob.local.node.log_parts import numbers, part_path
from elasticjob.local.node.logs import read_tail
from elasticjob.local.node.pod.grace import Grace, wait_for_first
from elasticjob.local.node.pod.status import ContainerStatus, Running, State, Terminated, Waiting
from elasticjob.local.node.processes import Exit, Process, Processes, ProcessSpec, StartError

FIRST_DELAY_S = 10.0
LONGEST_DELAY_S = 300.0
HEALTHY_S = 600.0
"""A container that ran for this time restarts without delay."""
MESSAGE_BYTES = 4096
FALLBACK_BYTES = 2048
FALLBACK_LINES = 80
START_ERROR_CODE = 128
"""The exit code in containerd of a container that could not be started."""


def restart_delay_s(before_s: float | None, ran_s: float) -> float:
    """The back-off of a kubelet: 0, then 10 s, 20 s, ... 300 s. `before_s` None: first restart."""
    if before_s is None or ran_s >= HEALTHY_S:
        return 0.0
    return min(max(FIRST_DELAY_S, 2 * before_s), LONGEST_DELAY_S)


RestartDelay = Callable[[float | None, float], float]


@dataclass(frozen=True)
class ContainerCallbacks:
    """The functions by which a container reports to its pod."""

    changed: Callable[[], None]
    event: Callable[[str, str, str], None]  # (type, reason, message)
    now: Callable[[], str]


@dataclass
class Container:
    """A container and its current run, if any."""

    spec: Object
    restart_policy: str
    directory: Path
    make_spec: Callable[[Path, Path], ProcessSpec]  # of (log file, file of the termination message)
    processes: Processes
    grace: Grace
    callbacks: ContainerCallbacks
    delay_s: RestartDelay = restart_delay_s
    waiting: str = "ContainerCreating"
    process: Process | None = None
    status: ContainerStatus = field(init=False)

    def __post_init__(self) -> None:
        name, image = self.spec["name"], self.spec.get("image", "")
        self.status = ContainerStatus(name, image, Waiting(self.waiting))

    @property
    def name(self) -> str:
        """The name in the pod's spec."""
        return self.status.name

    def process_spec(self, run: int) -> ProcessSpec:
        """The process of a run."""
        return self.make_spec(self.log_path(run), self.message_path(run))

    def log_path(self, run: int) -> Path:
        """The log file of a run."""
        return self.directory / f"{run}.log"

    def message_path(self, run: int) -> Path:
        """The file of the termination message of a run."""
        return self.directory / f"{run}.message"

    async def run(self) -> None:
        """Run the container, and restart it as its restart policy requires."""
        delay_s: float | None = None
        while not self.grace.begun.is_set():
            begun = time.monotonic()
            ended = await self._run_once()
            if self.grace.begun.is_set() or not self._must_restart(ended):
                self._set_state(ended)
                return
            delay_s = self.delay_s(delay_s, time.monotonic() - begun)
            await self._back_off(ended, delay_s)

    async def _run_once(self) -> Terminated:
        started_at = self.callbacks.now()
        try:
            self.process = await self.processes.start(self._prepare())
        except (StartError, OSError) as error:
            self.callbacks.event("Warning", "Failed", f"Error: {error}")
            return self._terminated(START_ERROR_CODE, "StartError", str(error), started_at)
        self.status = replace(self.status, container_id=f"process://{self.process.pid}")
        self._set_state(Running(started_at))
        self.callbacks.event("Normal", "Started", f"Started container {self.name}")
        ended = await self._wait_for_end(self.process)
        self.process = None
        return self._terminated(
            ended.code, _reason(ended), self._termination_message(ended), started_at
        )

    def _prepare(self) -> ProcessSpec:
        self.directory.mkdir(parents=True, exist_ok=True)
        run = self.status.restarts
        paths = self.message_path(run), self.log_path(run)
        # The run before can have put anything there. Of older ones nothing is shown any more.
        old = [part for number in range(max(0, run - 2), run - 1) for part in self._files(number)]
        files.clear(str(self.directory), [*old, *self._files(run)])
        for path in paths:
            files.write(str(path), b"")
        return self.process_spec(self.status.restarts)

    def _files(self, run: int) -> list[str]:
        """The names of the files of a run."""
        log = str(self.log_path(run))
        parts = [Path(part_path(log, number)).name for number in (0, *numbers(log))]
        return [self.message_path(run).name, *dict.fromkeys(parts)]

    async def _wait_for_end(self, process: Process) -> Exit:
        """Wait for the end. On termination: SIGTERM, then SIGKILL after the grace period."""
        await wait_for_first(process.wait(), self.grace.begun.wait())
        if not process.has_ended:
            self.callbacks.event("Normal", "Killing", f"Stopping container {self.name}")
            if not self.grace.expired.is_set():
                process.signal(signal.SIGTERM)
            await wait_for_first(process.wait(), self.grace.expired.wait())
        if not process.has_ended:
            process.kill_all()
        return await process.wait()

    async def _back_off(self, ended: Terminated, delay_s: float) -> None:
        text = f"back-off {delay_s:g}s restarting failed container={self.name}"
        self._set_state(Waiting("CrashLoopBackOff", text), ended)
        if delay_s > 0:
            self.callbacks.event("Warning", "BackOff", text)
            await wait_for_first(self.grace.begun.wait(), timeout_s=delay_s)
        if not self.grace.begun.is_set():
            self.status = replace(self.status, restarts=self.status.restarts + 1)

    def _must_restart(self, ended: Terminated) -> bool:
        policy = self.restart_policy
        return policy == "Always" or (policy == "OnFailure" and ended.code != 0)

    def _set_state(self, state: State, last: Terminated | None = None) -> None:
        last = last or self.status.last_termination
        self.status = replace(self.status, state=state, last_termination=last)
        self.callbacks.changed()

    def _terminated(self, code: int, reason: str, message: str, started_at: str) -> Terminated:
        return Terminated(code, reason, message, started_at, self.callbacks.now())

    def _termination_message(self, ended: Exit) -> str:
        run = self.status.restarts
        found = files.read(str(self.message_path(run)), MESSAGE_BYTES)
        text = found.data if found else b""
        fallback = self.spec.get("terminationMessagePolicy") == "FallbackToLogsOnError"
        if not text and fallback and ended.code != 0:
            text = read_tail(self.log_path(run), FALLBACK_LINES, FALLBACK_BYTES)
        return text.decode(errors="replace")


def _reason(ended: Exit) -> str:
    if not ended.known:
        return "ContainerStatusUnknown"
    return "Error" if ended.code else "Completed"
