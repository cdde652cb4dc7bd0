"""What is alive of our rounds, and its end: the kernel's view, by /proc and wait.

A process belongs to this pod's rounds if it descends from the agent, which has no other children
than workers and what they left behind: as PID 1 or as a subreaper the agent inherits every orphan,
so nothing escapes by forking twice or into a new session. Without either, and for what a
predecessor left, there is the marker in the environment (pod UID and round).

A guest came by `kubectl exec`. Its parent lies outside the container; once orphaned it becomes a
child of PID 1, too. Its environment has the pod's UID and no round: it is left alone.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from elasticjob.agent.config import POD_UID, ROUND
from elasticjob.wire.dataclasses import dataclass

PR_SET_CHILD_SUBREAPER = 36
_DEAD = "ZX"  # zombie, dead: holds nothing any more


@dataclass(frozen=True)
class Process:
    """One line of the process table. group: its process group; state: as /proc says it."""

    pid: int
    parent: int
    group: int
    state: str


def adopt_orphans() -> bool:
    """Makes the agent the parent of every orphan below it; False: it cannot be."""
    if os.getpid() == 1:
        return True
    try:
        import ctypes

        return int(ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)) == 0
    except (ImportError, OSError, AttributeError):
        return False


def read_processes() -> dict[int, Process]:
    """Every process that can be seen, by its pid."""
    pids = (int(name) for name in os.listdir("/proc") if name.isdigit())
    found = (_process(pid) for pid in pids)
    return {process.pid: process for process in found if process is not None}


def descendants(processes: dict[int, Process], roots: Iterable[int]) -> set[int]:
    """The roots and all that descends from them."""
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


def read_marker(pid: int) -> tuple[str | None, str | None]:
    """Pod UID and round in a process's environment, as it was at its exec."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            entries = file.read().split(b"\0")
    except OSError:
        return None, None
    pairs = (entry.partition(b"=") for entry in entries)
    values = {name: value.decode("ascii", "replace") for name, _, value in pairs}
    return values.get(POD_UID.encode()), values.get(ROUND.encode())


def with_marker(processes: Iterable[int], pod_uid: str) -> set[int]:
    """Those that carry this pod's marker."""
    seen = ((pid, *read_marker(pid)) for pid in processes)
    return {pid for pid, uid, round_ in seen if uid == pod_uid and round_ is not None}


def reap() -> Iterator[tuple[int, int]]:
    """Every child that has ended, adopted ones too: pid and exit code, negative for a signal."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        yield pid, os.waitstatus_to_exitcode(status)


def has_children() -> bool:
    """Whether there is any child, alive or to be reaped; the cheapest proof that all is gone."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def send_signal(pids: Iterable[int], number: int) -> None:
    """A signal to each that is still there."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except (ProcessLookupError, PermissionError):
            pass  # gone, or another user's: then it cannot be ours to end


class ProcessTree:
    """Finds what is alive of this pod's rounds. adopts: the agent inherits orphans."""

    def __init__(self, pod_uid: str, adopts: bool) -> None:
        self._pod_uid = pod_uid
        self._adopts = adopts
        self._me = os.getpid()

    def alive(self) -> list[Process]:
        """All of them but zombies. The workers themselves are included."""
        if self.is_empty():
            return []
        processes = read_processes()
        children = {pid for pid, process in processes.items() if process.parent == self._me}
        roots = {pid for pid in children if not self._is_from_exec(pid)}
        if not self._adopts:
            roots |= with_marker(processes, self._pod_uid)
        found = descendants(processes, roots) - {self._me}
        return [processes[pid] for pid in sorted(found) if processes[pid].state not in _DEAD]

    def is_empty(self) -> bool:
        """A cheap look: True is certain, False is not."""
        return self._adopts and not has_children()

    def left_by_predecessor(self) -> set[int]:
        """What an earlier agent of this pod left running; asked before anything is started."""
        processes = read_processes()
        left = descendants(processes, with_marker(processes, self._pod_uid)) - {self._me}
        return {pid for pid in left if processes[pid].state not in _DEAD}

    def _is_from_exec(self, pid: int) -> bool:
        uid, round_ = read_marker(pid)
        return uid == self._pod_uid and round_ is None


def _process(pid: int) -> Process | None:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            text = file.read()
    except OSError:
        return None
    # The name comes second, in brackets, and may itself hold brackets and spaces.
    state, parent, group = text[text.rindex(b")") + 2 :].split(b" ", 3)[:3]
    return Process(pid, int(parent), int(group), state.decode())
