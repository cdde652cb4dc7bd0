"""One container of a pod: its runs one after the other, its restarts, how it is ended."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from elasticjob.local.api.objects.resource import Object
from elasticjob.local.node.logs import last_part
from elasticjob.local.node.pod.grace import Grace, first
from elasticjob.local.node.pod.status import ContainerStatus, Running, State, Terminated, Waiting
from elasticjob.local.node.processes import Exit, Order, Process, Processes, StartError

FIRST_DELAY_S = 10.0
LONGEST_DELAY_S = 300.0
HEALTHY_S = 600.0
"""A container that ran this long starts its restart delays afresh."""
MESSAGE_BYTES = 4096
FALLBACK_BYTES = 2048
FALLBACK_LINES = 80
START_ERROR_CODE = 128
"""containerd's exit code for a container that could not be started."""


def restart_delay_s(before_s: float | None, ran_s: float) -> float:
    """A kubelet's back-off: at once, then 10 s, 20 s, ... 300 s. None: it has not restarted yet."""
    if before_s is None or ran_s >= HEALTHY_S:
        return 0.0
    return min(max(FIRST_DELAY_S, 2 * before_s), LONGEST_DELAY_S)


RestartDelay = Callable[[float | None, float], float]


@dataclass(frozen=True)
class Reporter:
    """What a container tells its pod."""

    changed: Callable[[], None]
    event: Callable[[str, str, str], None]
    """type, reason, message"""
    now: Callable[[], str]


@dataclass
class Container:
    """Its present run, if any, is `process`; what is known of it is `status`."""

    spec: Object
    policy: str
    directory: Path
    make_order: Callable[[Path, Path], Order]
    """From the files of one run: its log, and its termination message."""
    processes: Processes
    grace: Grace
    report: Reporter
    delay_s: RestartDelay = restart_delay_s
    waiting: str = "ContainerCreating"
    process: Process | None = None
    status: ContainerStatus = field(init=False)

    def __post_init__(self) -> None:
        name, image = self.spec["name"], self.spec.get("image", "")
        self.status = ContainerStatus(name, image, Waiting(self.waiting))

    @property
    def name(self) -> str:
        """As in the pod's spec."""
        return self.status.name

    def order(self, run: int) -> Order:
        """What to start the n-th time."""
        return self.make_order(self.log(run), self.message(run))

    def log(self, run: int) -> Path:
        """Where the n-th run's output goes."""
        return self.directory / f"{run}.log"

    def message(self, run: int) -> Path:
        """What the n-th run knows as its terminationMessagePath."""
        return self.directory / f"{run}.message"

    async def run(self) -> None:
        """Run it until it shall not run again."""
        delay_s: float | None = None
        while not self.grace.begun.is_set():
            begun = time.monotonic()
            ended = await self._run_once()
            if self.grace.begun.is_set() or not self._again(ended):
                self._set(ended)
                return
            delay_s = self.delay_s(delay_s, time.monotonic() - begun)
            await self._back_off(ended, delay_s)

    async def _run_once(self) -> Terminated:
        started_at = self.report.now()
        try:
            self.process = await self.processes.start(self._prepare())
        except (StartError, OSError) as error:
            self.report.event("Warning", "Failed", f"Error: {error}")
            return self._terminated(START_ERROR_CODE, "StartError", str(error), started_at)
        self.status = replace(self.status, container_id=f"process://{self.process.pid}")
        self._set(Running(started_at))
        self.report.event("Normal", "Started", f"Started container {self.name}")
        ended = await self._until_end(self.process)
        self.process = None
        return self._terminated(ended.code, _reason(ended), self._message(ended), started_at)

    def _prepare(self) -> Order:
        self.directory.mkdir(parents=True, exist_ok=True)
        self.message(self.status.restarts).touch()
        return self.order(self.status.restarts)

    async def _until_end(self, process: Process) -> Exit:
        """Wait for the end. When asked for: SIGTERM, the grace, SIGKILL to all that is left."""
        await first(process.wait(), self.grace.begun.wait())
        if not process.ended:
            self.report.event("Normal", "Killing", f"Stopping container {self.name}")
            if not self.grace.over.is_set():
                process.signal(signal.SIGTERM)
            await first(process.wait(), self.grace.over.wait())
        if not process.ended:
            process.end()
        return await process.wait()

    async def _back_off(self, ended: Terminated, delay_s: float) -> None:
        text = f"back-off {delay_s:g}s restarting failed container={self.name}"
        self._set(Waiting("CrashLoopBackOff", text), ended)
        if delay_s > 0:
            self.report.event("Warning", "BackOff", text)
            await first(self.grace.begun.wait(), timeout_s=delay_s)
        if not self.grace.begun.is_set():
            self.status = replace(self.status, restarts=self.status.restarts + 1)

    def _again(self, ended: Terminated) -> bool:
        return self.policy == "Always" or (self.policy == "OnFailure" and ended.code != 0)

    def _set(self, state: State, last: Terminated | None = None) -> None:
        self.status = replace(self.status, state=state, last=last or self.status.last)
        self.report.changed()

    def _terminated(self, code: int, reason: str, message: str, started_at: str) -> Terminated:
        return Terminated(code, reason, message, started_at, self.report.now())

    def _message(self, ended: Exit) -> str:
        run = self.status.restarts
        text = _head(self.message(run), MESSAGE_BYTES)
        fallback = self.spec.get("terminationMessagePolicy") == "FallbackToLogsOnError"
        if not text and fallback and ended.code != 0:
            text = last_part(self.log(run), FALLBACK_LINES, FALLBACK_BYTES)
        return text.decode(errors="replace")


def _head(path: Path, limit: int) -> bytes:
    """The beginning of a file that the container may have removed, or replaced by anything."""
    try:
        with open(path, "rb") as opened:
            return opened.read(limit)
    except OSError:
        return b""


def _reason(ended: Exit) -> str:
    if not ended.known:
        return "ContainerStatusUnknown"
    return "Error" if ended.code else "Completed"
