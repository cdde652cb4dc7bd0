"""Kill, freeze and cut off nodes and programs of the cluster that `make cluster` runs here.

Each context restores what it changed.
"""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from dev import proc
from dev.cluster.api import Api
from dev.cluster.cache import Cache
from dev.cluster.cluster import Cluster
from dev.cluster.progress import Progress
from tests.support.kube import until

API_SERVER = "kube-apiserver"
CONTROLLERS = ("kube-controller-manager", "kube-scheduler")


@dataclass(frozen=True)
class Machine:
    """The nodes and programs of the cluster that this machine runs."""

    cluster: Cluster

    @classmethod
    def here(cls) -> Machine:
        return cls(Cluster.recorded(Cache.of(os.environ), Progress()))

    @property
    def nodes(self) -> list[str]:
        return self.cluster.names()

    @contextmanager
    def killed(self, *names: str) -> Iterator[None]:
        """Kill nodes, with all their processes, or programs; start them again at the end."""
        for name in names:
            self.cluster.kill(name)
        yield from self._undone(names, self._start)

    @contextmanager
    def frozen(self, *names: str) -> Iterator[None]:
        """Freeze nodes or programs; thaw them at the end."""
        for name in names:
            self.cluster.freeze(name)
        yield from self._undone(names, lambda name: self.cluster.freeze(name, False))

    @contextmanager
    def cut(self, *names: str) -> Iterator[None]:
        """Cut nodes off from the network; connect them at the end."""
        for name in names:
            self.cluster.cut(name)
        yield from self._undone(names, lambda name: self.cluster.cut(name, False))

    @contextmanager
    def paused(self, pids: list[int]) -> Iterator[None]:
        """Stop these processes with SIGSTOP; continue them at the end."""
        assert pids
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    def _undone(self, names: tuple[str, ...], undo: Callable[[str], None]) -> Iterator[None]:
        try:
            yield
        finally:
            for name in names:
                undo(name)
            self.is_well()

    def _start(self, name: str) -> None:
        """Start a program. After the API server, restart the controllers, which wait for it."""
        self.cluster.start(name)
        if name == API_SERVER:
            until("the API server", Api(self.cluster.cache.kubeconfig).ready)
            for controller in CONTROLLERS:
                self.cluster.kill(controller)
                self.cluster.start(controller)

    def is_well(self) -> None:
        """Wait until the API server and all nodes are ready."""
        api = Api(self.cluster.cache.kubeconfig)
        until("the API server", api.ready)
        until("Ready nodes", lambda: api.ready_nodes() >= set(self.nodes), within_s=180)


def container_pids(pod_uid: str) -> list[int]:
    """The processes of a pod on this machine, found by the names of their cgroups."""
    marks = (f"pod{pod_uid}", f"pod{pod_uid.replace('-', '_')}")
    found = []
    for entry in Path("/proc").iterdir():
        try:
            cgroups = (entry / "cgroup").read_text() if entry.name.isdigit() else ""
        except OSError:
            continue
        if any(mark in cgroups for mark in marks):
            found.append(int(entry.name))
    return found


def agent_pid(pod_uid: str) -> int:
    """The agent of a pod: the first process of its container."""
    for pid in proc.with_environment(ELASTICJOB_POD_UID=pod_uid):
        with suppress(OSError):  # it has ended meanwhile
            if re.search(r"^NSpid:.*\t1$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE):
                return pid
    raise AssertionError(f"pod {pod_uid} has no agent")


def worker_pid(pod_uid: str) -> int | None:
    """The worker of a pod as /proc of this machine shows it, even when the API server is away."""
    found = proc.with_environment(ELASTICJOB_POD_UID=pod_uid)
    return min(filter(_is_worker, found), default=None)


def kill_worker(pod_uid: str) -> None:
    """Kill the worker of a pod with SIGKILL, without the API server."""
    pid = worker_pid(pod_uid)
    assert pid is not None, f"pod {pod_uid} has no worker"
    os.kill(pid, signal.SIGKILL)


def _is_worker(pid: int) -> bool:
    return any(variable.startswith("LOCAL_RANK=") for variable in proc.environment(pid))
