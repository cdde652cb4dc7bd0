"""The end of a round's processes: SIGTERM, grace, SIGKILL, until nothing is left."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from typing import Callable

from elasticjob.agent.workers.process_tree import ProcessTree, send_signal

FIRST_CHECK_S = 0.01  # most groups are gone by then, and no process table has to be read
LONGEST_CHECK_S = 0.25
EXIT_S = 2.0  # for what SIGKILL does not end at once, when the agent itself ends


class Shutdown:
    """One stop. The grace belongs to all processes, not only to the workers: behind `sh -c` the
    training is a grandchild, and it may be saving when its shell is gone.

    leaders: the workers that are alive; each leads a session and a process group of its own.
    """

    def __init__(self, n: int, tree: ProcessTree, leaders: Iterable[int], now: float) -> None:
        self.n = n
        self._tree = tree
        self._leaders = frozenset(leaders)
        self._terminated: set[int] = set()
        self._check_s = FIRST_CHECK_S
        self._check_at = now + FIRST_CHECK_S
        # A leader's end wakes the loop; without one, after a crash, nothing may be left already.
        self.wake_at = self._check_at if self._leaders else now
        self._kill_at = float("inf")
        for leader in self._leaders:
            _terminate_group(leader)

    def set_grace(self, grace_s: float, now: float) -> None:
        """SIGKILL after so long; a later call can only shorten it."""
        self._kill_at = min(self._kill_at, now + grace_s)
        self._check_at = min(self._check_at, self._kill_at)
        self.wake_at = min(self.wake_at, self._check_at)

    def has_ended(self, now: float) -> bool:
        """Whether nothing is left. To be asked after a child's end, and at wake_at.

        An unkillable process is told again and again, ever more seldom; the agent's own start
        deadline bounds that.
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
        """SIGTERM once to what lives outside of the workers' groups; twice can mean `at once`."""
        send_signal(pids - self._terminated, signal.SIGTERM)
        self._terminated |= pids


def kill_all(find: Callable[[], Iterable[int]], pause: Callable[[float], None]) -> bool:
    """SIGKILL to everything that is found, for at most EXIT_S; whether nothing is left."""
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
        pass  # it has just ended
