"""The end of a round's processes: SIGTERM, grace period, SIGKILL, until none is left."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from typing import Callable

from elasticjob.agent.workers.process_tree import ProcessTree, send_signal

FIRST_CHECK_S = 0.01  # most groups have ended by then, so that /proc is not read
LONGEST_CHECK_S = 0.25
EXIT_S = 2.0  # the time that processes have to end on SIGKILL when the agent itself ends


class Shutdown:
    """One stop of a round's processes.

    All processes have the grace period, not only the workers: behind `sh -c` the training is a
    grandchild, and may save its state after the shell has ended.
    leaders: the workers that run; each leads a session and a process group.
    """

    def __init__(self, n: int, tree: ProcessTree, leaders: Iterable[int], now: float) -> None:
        self.n = n
        self._tree = tree
        self._leaders = frozenset(leaders)
        self._terminated: set[int] = set()
        self._check_s = FIRST_CHECK_S
        self._check_at = now + FIRST_CHECK_S
        # The end of a leader wakes the loop; without leaders possibly no process is left.
        self.wake_at = self._check_at if self._leaders else now
        self._kill_at = float("inf")
        for leader in self._leaders:
            _terminate_group(leader)

    def set_grace(self, grace_s: float, now: float) -> None:
        """Send SIGKILL after grace_s; a later call can only shorten the grace period."""
        self._kill_at = min(self._kill_at, now + grace_s)
        self._check_at = min(self._check_at, self._kill_at)
        self.wake_at = min(self.wake_at, self._check_at)

    def has_ended(self, now: float) -> bool:
        """Whether no process is left. Call it when a child has ended, and at wake_at.

        SIGKILL is repeated, with growing pauses, until the start deadline ends the agent.
        """
        if self._tree.is_empty():
            return True
        self.wake_at = self._check_at
        if now < self._check_at:
            return False
        left = self._tree.alive()
        if now >= self._kill_at:
            send_signal((process.pid for process in left), signal.SIGKILL)
        else:
            self._terminate({p.pid for p in left if p.group not in self._leaders})
        self._check_at = now + self._check_s
        if now < self._kill_at:
            self._check_at = min(self._check_at, self._kill_at)
        self._check_s = min(2 * self._check_s, LONGEST_CHECK_S)
        self.wake_at = self._check_at
        return not left

    def _terminate(self, pids: set[int]) -> None:
        """Send SIGTERM once to processes outside of the workers' groups; a second one may kill."""
        send_signal(pids - self._terminated, signal.SIGTERM)
        self._terminated |= pids


def kill_all(find: Callable[[], Iterable[int]], pause: Callable[[float], object]) -> bool:
    """Send SIGKILL to all processes that are found, for at most EXIT_S; whether all ended."""
    waited_s = 0.0
    wait_s = FIRST_CHECK_S / 4
    while pids := list(find()):
        if waited_s >= EXIT_S:
            return False
        send_signal(pids, signal.SIGKILL)
        pause(wait_s)
        waited_s += wait_s
        wait_s = min(2 * wait_s, LONGEST_CHECK_S)
    return True


def _terminate_group(leader: int) -> None:
    try:
        os.killpg(leader, signal.SIGTERM)
    except (ProcessLookupError, PermissionError):
        pass  # it has ended
