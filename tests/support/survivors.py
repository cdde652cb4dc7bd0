"""Find and kill processes of tests, by a reader of /proc that the agent does not use."""

from __future__ import annotations

import os
import signal
from collections.abc import Collection
from contextlib import suppress

from dev import proc
from dev.wait import wait_until


def alive(**variables: str) -> set[int]:
    """Processes, without zombies, whose environment at exec had all these variables."""
    return set(proc.with_environment(**variables))


def sweep(**variables: str) -> None:
    """Kill what a test left, as the kernel does with a container whose PID 1 has ended."""

    def none_left() -> bool:
        left = alive(**variables)
        for pid in left:
            with suppress(ProcessLookupError):  # it has ended meanwhile
                os.kill(pid, signal.SIGKILL)
        return not left

    wait_until(none_left, what=f"the end of the processes with {variables}", every_s=0.001)


def is_dead(pid: int) -> bool:
    """Whether the process is gone or a zombie."""
    return not proc.is_alive(pid)


def children(parent: int) -> set[int]:
    """The children of a process, including zombies that it has not reaped."""
    return set(proc.children(parent))


def kill_together(pids: Collection[int]) -> None:
    """Kill all with SIGKILL; stop them first, so that no agent reacts to the death of another."""
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for pid in pids:
            os.kill(pid, number)
