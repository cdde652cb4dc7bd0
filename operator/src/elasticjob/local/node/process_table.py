"""What /proc says: which processes live, whose children they are, what their environment carries.

Standard library only: the init process of every container uses it too.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Mapping

Pid = int


def parents() -> dict[Pid, Pid]:
    """Every living process and its parent. The dead that nobody has reaped yet are left out."""
    found = {}
    for pid in _pids():
        # `pid (any text, even ")") state ppid ...`
        fields = _read(pid, "stat").rpartition(b")")[2].split()
        if len(fields) > 1 and fields[0] not in (b"Z", b"X"):
            found[pid] = int(fields[1])
    return found


def descendants(parents: Mapping[Pid, Pid], roots: Iterable[Pid]) -> set[Pid]:
    """The roots' children, their children, and so on; without the roots."""
    children: dict[Pid, list[Pid]] = {}
    for pid, parent in parents.items():
        children.setdefault(parent, []).append(pid)
    found: set[Pid] = set()
    front = set(roots)
    while front:
        front = {child for pid in front for child in children.get(pid, ())} - found
        found |= front
    return found


def pids_with_env(name: str, prefix: str) -> set[Pid]:
    """The processes that were started with `name=prefix...` in their environment.

    /proc shows the environment of the last exec: one that a process clears afterwards still counts,
    one that it clears for its child does not show in the child.
    """
    start = f"{name}={prefix}".encode()
    return {
        pid
        for pid in _pids()
        if any(entry.startswith(start) for entry in _read(pid, "environ").split(b"\0"))
    }


def send(pids: Iterable[Pid], number: signal.Signals) -> None:
    """Signal each; who is gone or is not ours to signal is passed over."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except (ProcessLookupError, PermissionError):
            pass


def _pids() -> list[Pid]:
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]


def _read(pid: Pid, file: str) -> bytes:
    """A file of a process, or nothing when the process is gone or belongs to somebody else."""
    try:
        with open(f"/proc/{pid}/{file}", "rb") as opened:
            return opened.read()
    except OSError:
        return b""
