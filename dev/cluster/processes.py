"""Background processes that later commands find and end."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dev import proc
from dev.cluster.errors import ClusterError
from dev.wait import wait_until

MARK = "ELASTICJOB_CLUSTER"
"""Set in the environment of every process started here, to the directory of its cluster:
so a process is found even if its starter was killed before it wrote the pid."""
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Identity:
    """A pid with the process's start time in clock ticks, because pids are reused."""

    pid: int
    started: int

    def __str__(self) -> str:
        return f"{self.pid} {self.started}"


def identity(pid: int) -> Identity | None:
    """The process that has this pid now; None if there is none or it is a zombie."""
    found = proc.stat(pid)
    return None if found is None or found.state in "ZX" else Identity(pid, found.started)


def marked(run: Path) -> Iterator[Identity]:
    """Return every process that has the mark of this cluster."""
    return filter(None, map(identity, proc.with_environment(**{MARK: str(run)})))


def end(processes: Sequence[Identity], within_s: float = 10.0) -> None:
    """Kill processes and wait until they have ended."""

    def ended() -> bool:
        left = [process for process in processes if identity(process.pid) == process]
        for process in left:
            signal_process(process, signal.SIGKILL)
            _reap(process)
        return not left

    wait_until(ended, what="the end of killed processes", within_s=within_s, every_s=0.01)


def _reap(process: Identity) -> None:
    try:
        os.waitpid(process.pid, os.WNOHANG)
    except ChildProcessError:  # started by an earlier command: not our child
        pass


def signal_process(process: Identity, number: signal.Signals) -> None:
    """Send a signal, unless the process has ended."""
    if identity(process.pid) == process:
        try:
            os.kill(process.pid, number)
        except ProcessLookupError:  # it has ended since
            pass


@dataclass(frozen=True)
class Processes:
    """The processes of one cluster by name, kept as files in its directory."""

    run: Path

    def _file(self, name: str) -> Path:
        return self.run / "pids" / name

    def log(self, name: str) -> Path:
        """The file of a process's output."""
        return self.run / "logs" / f"{name}.log"

    def names(self) -> list[str]:
        """The processes that were started and not stopped, whether they run or not."""
        return sorted(p.name for p in (self.run / "pids").glob("*"))

    def find(self, name: str) -> Identity | None:
        """The process of this name, if it runs."""
        try:
            pid, started = map(int, self._file(name).read_text().split())
        except (FileNotFoundError, ValueError):
            return None
        process = Identity(pid, started)
        return process if identity(pid) == process else None

    def start(self, name: str, argv: Sequence[str]) -> None:
        """Start a process in a new session; it outlives this program."""
        log = self.log(name)
        for directory in (log.parent, self._file(name).parent):
            directory.mkdir(parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        pid = os.posix_spawnp(
            argv[0],
            list(argv),
            {"PATH": PATH, "HOME": str(self.run), "LANG": "C.UTF-8", MARK: str(self.run)},
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(log), flags, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,
        )
        process = identity(pid)
        if process is None:
            raise ClusterError(f"{name} ended at once: {self.last_line_of(name)}")
        self._file(name).write_text(str(process))

    def stop(self, name: str) -> None:
        """Kill a process, if it runs, and remove its record."""
        process = self.find(name)
        if process:
            self.resume(name)
            end([process])
        self._file(name).unlink(missing_ok=True)

    def pause(self, name: str) -> None:
        """Freeze a process: it keeps its connections and sends nothing."""
        self._signal(name, signal.SIGSTOP)

    def resume(self, name: str) -> None:
        """Let a frozen process continue."""
        self._signal(name, signal.SIGCONT)

    def _signal(self, name: str, number: signal.Signals) -> None:
        process = self.find(name)
        if process is None:
            raise ClusterError(f"{name} does not run. Cure: python -m dev.cluster start {name}")
        signal_process(process, number)

    def last_line_of(self, name: str) -> str:
        """The last line of a process's log."""
        try:
            lines = self.log(name).read_text(errors="replace").strip().splitlines()
        except FileNotFoundError:
            lines = []
        return f"{lines[-1] if lines else 'its log is empty'} ({self.log(name)})"
