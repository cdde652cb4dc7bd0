"""The running processes, their parents and environments, from /proc.

Uses the standard library only, because the init process of every container imports it.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Mapping

Pid = int


def read_parents() -> dict[Pid, Pid]:
    """The parent of every running process; zombies are left out."""
    found = {}
    for pid in _pids():
        # `pid (any text, even ")") state ppid ...`
        fields = _read(pid, "stat").rpartition(b")")[2].split()
        if len(fields) > 1 and fields[0] not in (b"Z", b"X"):
            found[pid] = int(fields[1])
    return found


def descendants(parents: Mapping[Pid, Pid], roots: Iterable[Pid]) -> set[Pid]:
    """All descendants of the roots, without the roots."""
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

    /proc contains the environment at the last exec: it still has variables that the process has
    removed since, but not those that its parent has removed before the exec.
    """
    start = f"{name}={prefix}".encode()
    return {
        pid
        for pid in _pids()
        if any(entry.startswith(start) for entry in _read(pid, "environ").split(b"\0"))
    }


def send_signal(pids: Iterable[Pid], number: signal.Signals) -> None:
    """Send a signal to each process; skip those that have ended or belong to another user."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except (ProcessLookupError, PermissionError):
            pass


def _pids() -> list[Pid]:
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]


def _read(pid: Pid, file: str) -> bytes:
    """A file of a process; empty if the process has ended or belongs to another user."""
    try:
        with open(f"/proc/{pid}/{file}", "rb") as opened:
            return opened.read()
    except OSError:
        return b""
