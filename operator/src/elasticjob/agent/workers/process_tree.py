"""The processes that the rounds of this pod have started, from /proc and waitpid.

These are the descendants of the agent. As PID 1 or as a subreaper the agent inherits every orphan,
so a process cannot escape by forking twice or into a new session. Where the agent is neither, and
after an earlier agent, a marker in the environment (pod UID and round) identifies the processes.

A process of `kubectl exec` becomes a child of PID 1 as well, once its parent ends. Its environment
contains the pod's UID and no round, and the agent does not touch it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator

from elasticjob.agent.config import POD_UID, ROUND
from elasticjob.wire.dataclasses import dataclass

PR_SET_CHILD_SUBREAPER = 36
_DEAD = "ZX"  # states: zombie, dead
_TICKS = os.sysconf("SC_CLK_TCK")  # in a second


@dataclass(frozen=True)
class Process:
    """A process, as /proc/PID/stat describes it."""

    pid: int
    parent: int
    group: int
    state: str
    started_at: float  # seconds since the machine's start, rounded down to a tick of 10 ms

    @property
    def has_ended(self) -> bool:
        """Whether it is dead, and its parent has not reaped it."""
        return self.state in _DEAD


def adopt_orphans() -> bool:
    """Make the agent the parent of all orphans among its descendants. False: it cannot be."""
    if os.getpid() == 1:
        return True
    try:
        import ctypes

        return int(ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)) == 0
    except (ImportError, OSError, AttributeError):
        return False


def read_processes() -> dict[int, Process]:
    """Read all visible processes, by pid."""
    pids = (int(name) for name in os.listdir("/proc") if name.isdigit())
    found = (_process(pid) for pid in pids)
    return {process.pid: process for process in found if process is not None}


def descendants(processes: dict[int, Process], roots: Iterable[int]) -> set[int]:
    """Return the roots and all their descendants."""
    children: dict[int, list[int]] = {}
    for process in processes.values():
        children.setdefault(process.parent, []).append(process.pid)
    found: set[int] = set()
    todo = [pid for pid in roots if pid in processes]
    while todo:
        pid = todo.pop()
        if pid not in found:
            found.add(pid)
            todo.extend(children.get(pid, ()))
    return found


def ancestors(processes: dict[int, Process], pid: int) -> Iterator[int]:
    """Yield a process, its parent, the parent of this one, and so on."""
    seen: set[int] = set()  # the processes were not read at one instant
    while pid in processes and pid not in seen:
        seen.add(pid)
        yield pid
        pid = processes[pid].parent


def age_s(process: Process) -> float:
    """The time since a process was started, or up to 10 ms more."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) - process.started_at


def read_marker(pid: int) -> tuple[str | None, str | None]:
    """Read pod UID and round from the environment that a process had at its exec."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            entries = file.read().split(b"\0")
    except OSError:
        return None, None
    pairs = (entry.partition(b"=") for entry in entries)
    values = {name: value.decode("ascii", "replace") for name, _, value in pairs}
    return values.get(POD_UID.encode()), values.get(ROUND.encode())


def with_marker(processes: Iterable[int], pod_uid: str) -> set[int]:
    """Return the processes with this pod's marker."""
    seen = ((pid, *read_marker(pid)) for pid in processes)
    return {pid for pid, uid, round_ in seen if uid == pod_uid and round_ is not None}


def reap() -> Iterator[tuple[int, int]]:
    """Reap all children that have ended; yield pid and exit code, negative for a signal."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        yield pid, os.waitstatus_to_exitcode(status)


def has_children() -> bool:
    """Whether the agent has a child, alive or not yet reaped. Cheaper than reading /proc."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def send_signal(pids: Iterable[int], number: int) -> None:
    """Send a signal to each process that exists."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except (ProcessLookupError, PermissionError):
            pass  # it has ended, or it is another user's and no worker


class ProcessTree:
    """Finds the processes of this pod's rounds. adopts: the agent inherits orphans."""

    def __init__(self, pod_uid: str, adopts: bool) -> None:
        self._pod_uid = pod_uid
        self._adopts = adopts
        self._pid = os.getpid()

    def alive(self) -> list[Process]:
        """Return the processes of all rounds, workers included and zombies excluded."""
        if self.is_empty():
            return []
        processes = read_processes()
        children = {pid for pid, process in processes.items() if process.parent == self._pid}
        roots = {pid for pid in children if not self._is_from_exec(pid)}
        if not self._adopts:
            roots |= with_marker(processes, self._pod_uid)
        found = descendants(processes, roots) - {self._pid}
        return [processes[pid] for pid in sorted(found) if not processes[pid].has_ended]

    def is_empty(self) -> bool:
        """Check cheaply whether no process is left; False can be wrong."""
        return self._adopts and not has_children()

    def left_by_predecessor(self) -> set[int]:
        """Return the processes of an earlier agent of this pod. Call it before the first start."""
        processes = read_processes()
        left = descendants(processes, with_marker(processes, self._pod_uid)) - {self._pid}
        return {pid for pid in left if not processes[pid].has_ended}

    def _is_from_exec(self, pid: int) -> bool:
        uid, round_ = read_marker(pid)
        return uid == self._pod_uid and round_ is None


def _process(pid: int) -> Process | None:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            text = file.read()
    except OSError:
        return None
    # The second field, the name in brackets, may itself contain brackets and spaces.
    fields = text[text.rindex(b")") + 2 :].split(b" ", 20)
    state, parent, group, started = fields[0], fields[1], fields[2], fields[19]
    return Process(pid, int(parent), int(group), state.decode(), int(started) / _TICKS)
