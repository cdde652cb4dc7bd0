"""What is alive, as /proc tells it: written apart from the agent's own look, to judge it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Collection
from pathlib import Path


def alive(**marks: str) -> set[int]:
    """Processes, no zombies, whose environment at exec had all these variables."""
    wanted = {f"{name}={value}".encode() for name, value in marks.items()}
    found = (int(name) for name in os.listdir("/proc") if name.isdigit())
    return {pid for pid in found if wanted <= _environment(pid) and not is_dead(pid)}


def sweep(**marks: str) -> None:
    """Ends what a test left, as the kernel does with a container whose PID 1 has gone."""
    until = time.monotonic() + 10
    while left := alive(**marks):
        assert time.monotonic() < until, left
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass  # it was faster
        time.sleep(0.001)


def is_dead(pid: int) -> bool:
    """Gone, or a zombie."""
    return _stat(pid)[0] in "ZX"


def children(parent: int) -> set[int]:
    """Of a process, zombies that it has not reaped included."""
    found = (int(name) for name in os.listdir("/proc") if name.isdigit())
    return {pid for pid in found if _stat(pid)[1] == str(parent)}


def _stat(pid: int) -> tuple[str, str]:
    """State and parent."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return "X", ""
    state, parent = text.rpartition(")")[2].split()[:2]
    return state, parent


def _environment(pid: int) -> set[bytes]:
    try:
        return set(Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"))
    except OSError:
        return set()


def kill_together(pids: Collection[int]) -> None:
    """kill -9 of all: stopped first, so that nobody is ended by an agent that saw the first die."""
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for pid in pids:
            os.kill(pid, number)
