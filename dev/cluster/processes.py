"""Long-lived processes: started in the background, found again by later commands, ended."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dev.cluster.errors import ClusterError

MARK = "ELASTICJOB_CLUSTER"
"""In the environment of everything that is started here: the directory of its cluster. So a process
whose number was never written down, because its starter was killed, is still found."""
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Identity:
    """A process number is used again; with the time of its start (clock ticks) it is not."""

    pid: int
    started: int

    def __str__(self) -> str:
        return f"{self.pid} {self.started}"


def identity(pid: int) -> Identity | None:
    """Who has this number now; None if nobody has, or a process that has ended."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else Identity(pid, int(fields[19]))


def marked(run: Path) -> Iterator[Identity]:
    """Every process that carries the mark of this cluster."""
    mark = f"{MARK}={run}".encode()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            environ = (entry / "environ").read_bytes().split(b"\0")
        except OSError:  # it has ended, or is somebody else's
            continue
        who = identity(int(entry.name))
        if who and mark in environ:
            yield who


def end(processes: Sequence[Identity], within_s: float = 10.0) -> None:
    """Kill, and wait until none is left."""
    deadline = time.monotonic() + within_s
    left = list(processes)
    while left := [who for who in left if identity(who.pid) == who]:
        for who in left:
            signal_process(who, signal.SIGKILL)
            _reap(who)
        if time.monotonic() > deadline:
            raise ClusterError(f"process {left[0].pid} cannot be killed: it hangs in the kernel")
        time.sleep(0.01)


def _reap(who: Identity) -> None:
    try:
        os.waitpid(who.pid, os.WNOHANG)
    except ChildProcessError:  # started by an earlier command: not our child
        pass


def signal_process(who: Identity, number: signal.Signals) -> None:
    """Send a signal, unless the process has ended."""
    if identity(who.pid) == who:
        try:
            os.kill(who.pid, number)
        except ProcessLookupError:  # it has ended since
            pass


@dataclass(frozen=True)
class Processes:
    """The processes of one cluster by name, kept as files in its directory."""

    run: Path

    def _file(self, name: str) -> Path:
        return self.run / "pids" / name

    def log(self, name: str) -> Path:
        """Where a process writes what it has to say."""
        return self.run / "logs" / f"{name}.log"

    def names(self) -> list[str]:
        """All that were started and not stopped, whether they run or not."""
        return sorted(p.name for p in (self.run / "pids").glob("*"))

    def find(self, name: str) -> Identity | None:
        """The process of that name, if it runs."""
        try:
            pid, started = map(int, self._file(name).read_text().split())
        except (FileNotFoundError, ValueError):
            return None
        who = Identity(pid, started)
        return who if identity(pid) == who else None

    def start(self, name: str, argv: Sequence[str]) -> None:
        """Start it in a session of its own; it outlives this program."""
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
        who = identity(pid)
        if who is None:
            raise ClusterError(f"{name} ended at once: {self.last_words(name)}")
        self._file(name).write_text(str(who))

    def stop(self, name: str) -> None:
        """Kill it, if it runs, and forget it."""
        who = self.find(name)
        if who:
            self.resume(name)
            end([who])
        self._file(name).unlink(missing_ok=True)

    def pause(self, name: str) -> None:
        """Freeze it: it keeps its connections and says nothing."""
        self._signal(name, signal.SIGSTOP)

    def resume(self, name: str) -> None:
        """Let it go on."""
        self._signal(name, signal.SIGCONT)

    def _signal(self, name: str, number: signal.Signals) -> None:
        who = self.find(name)
        if who is None:
            raise ClusterError(f"{name} does not run. Cure: python -m dev.cluster start {name}")
        signal_process(who, number)

    def last_words(self, name: str) -> str:
        """The last line of its log."""
        try:
            lines = self.log(name).read_text(errors="replace").strip().splitlines()
        except FileNotFoundError:
            lines = []
        return f"{lines[-1] if lines else 'it said nothing'} ({self.log(name)})"
