"""Read processes from /proc. A process that has ended reads as absent, never as an error."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Stat:
    """The fields of /proc/PID/stat that are used here."""

    state: str
    """One letter: R runs, S sleeps, T is stopped, Z is a zombie."""
    parent: int
    cpu_s: float
    started: int
    """Clock ticks from the start of the machine; a reused pid has another value."""


def pids() -> Iterator[int]:
    """Return the pid of every process of this PID namespace, zombies included."""
    return (int(name) for name in os.listdir("/proc") if name.isdigit())


def stat(pid: int) -> Stat | None:
    """The process's stat, or None if no process has this pid."""
    fields = _read(pid, "stat").rpartition(b")")[2].split()
    if not fields:
        return None
    used = int(fields[11]) + int(fields[12])
    return Stat(fields[0].decode(), int(fields[1]), used / TICKS_PER_S, int(fields[19]))


def is_alive(pid: int) -> bool:
    """Whether the process exists and is no zombie."""
    found = stat(pid)
    return found is not None and found.state not in "ZX"


def children(pid: int) -> list[int]:
    """The children of all threads of a process, zombies included."""
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return []
    return [int(child) for task in tasks for child in _read(pid, f"task/{task}/children").split()]


def environment(pid: int) -> set[str]:
    """The process's environment at its exec, each variable as NAME=value; empty if unreadable."""
    return set(_words(pid, "environ"))


def command_line(pid: int) -> list[str]:
    """The process's arguments; empty if the process has ended."""
    return _words(pid, "cmdline")


def with_environment(**variables: str) -> list[int]:
    """The processes, without zombies, whose environment has all these variables."""
    wanted = {f"{name}={value}" for name, value in variables.items()}
    return [pid for pid in pids() if wanted <= environment(pid) and is_alive(pid)]


def cpu_s(pid: int) -> float:
    """The CPU time that a process has used; raises ProcessLookupError if it has ended."""
    return _existing(pid).cpu_s


def age_s(pid: int) -> float:
    """The time since a process was forked, to 10 ms; raises ProcessLookupError if it has ended."""
    up_s = float(Path("/proc/uptime").read_text().split()[0])
    return up_s - _existing(pid).started / TICKS_PER_S


def rss_mib(pid: int) -> float:
    """The resident memory of a process; raises ProcessLookupError if it has ended."""
    for row in _read(pid, "status").splitlines():
        if row.startswith(b"VmRSS:"):
            return int(row.split()[1]) / 1024
    raise ProcessLookupError(f"process {pid} has ended")


def _existing(pid: int) -> Stat:
    found = stat(pid)
    if found is None:
        raise ProcessLookupError(f"process {pid} has ended")
    return found


def _words(pid: int, name: str) -> list[str]:
    return [os.fsdecode(word) for word in _read(pid, name).split(b"\0")[:-1]]


def _read(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""
