"""A cgroup for each node, in every hierarchy that the machine has (v1, v2 or both)."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from dev.cluster.errors import ClusterError
from dev.cluster.processes import Identity, identity

ROOT = Path("/sys/fs/cgroup")
CONTROLLERS = ("cpuset", "cpu", "io", "memory", "pids")
CPUSET = ("cpuset.cpus", "cpuset.mems")


def cgroup_name(run: Path) -> str:
    """A name that tells whose it is: what bears it was made by the cluster of this directory."""
    return f"elasticjob-{hashlib.sha256(str(run).encode()).hexdigest()[:8]}"


@dataclass(frozen=True)
class Cgroups:
    """The cgroups of one cluster."""

    name: str
    root: Path = ROOT

    @property
    def unified(self) -> bool:
        """Whether there is nothing but version 2."""
        return (self.root / "cgroup.controllers").exists()

    def hierarchies(self) -> list[Path]:
        """The top of each hierarchy: one with version 2, one per controller before."""
        if self.unified:
            return [self.root]
        found = {p.resolve() for p in self.root.glob("*") if (p / "cgroup.procs").exists()}
        if not found:
            raise ClusterError(f"no cgroups in {self.root}. Cure: mount them there")
        return sorted(found)

    def of_kubelet(self, node: str) -> str:
        """The kubelet's cgroupRoot."""
        return f"/{self.name}/{node}"

    def make(self, node: str) -> list[Path]:
        """Make a node's cgroups; gives those that its own first process has to enter."""
        return [self._make(top, node) for top in self.hierarchies()]

    def _make(self, top: Path, node: str) -> Path:
        directory = top
        for part in (self.name, node):
            _delegate(directory)
            directory = directory / part
            directory.mkdir(exist_ok=True)
            _inherit_cpuset(directory)
        if not self.unified:
            return directory
        _delegate(directory)
        # version 2: no processes in a cgroup that has children with controllers
        system = directory / "system"
        system.mkdir(exist_ok=True)
        return system

    def freeze(self, node: str, frozen: bool) -> None:
        """Stop or let go on everything in the node at once; returns when it has come about."""
        if self.unified:
            directory = self.root / self.name / node
            (directory / "cgroup.freeze").write_text("1" if frozen else "0")
            _until(lambda: f"frozen {int(frozen)}" in (directory / "cgroup.events").read_text())
            return
        state = self.root / "freezer" / self.name / node / "freezer.state"
        wanted = "FROZEN" if frozen else "THAWED"
        state.write_text(wanted)
        _until(lambda: state.read_text().strip() == wanted)

    def exists(self, node: str) -> bool:
        return any((top / self.name / node).exists() for top in self.hierarchies())

    def processes(self, node: str = "") -> list[Identity]:
        """Everything in a node's cgroups, or in all of them."""
        found = set()
        for top in self.hierarchies():
            for file in (top / self.name / node).rglob("cgroup.procs"):
                try:
                    pids = [int(pid) for pid in file.read_text().split()]
                except OSError:  # the cgroup went away, or is a threaded one
                    continue
                found |= {who for pid in pids if (who := identity(pid))}
        return sorted(found, key=lambda who: who.pid)

    def remove(self, node: str = "") -> None:
        """Remove the directories of a node, or of all; their processes have ended."""
        for top in self.hierarchies():
            _until(partial(_removed, top / self.name / node))

    def left(self) -> list[Path]:
        """The directories that are there."""
        return [top / self.name for top in self.hierarchies() if (top / self.name).exists()]

    def nodes(self) -> list[str]:
        """The nodes that have cgroups."""
        tops = (top / self.name for top in self.hierarchies())
        return sorted({path.name for top in tops for path in top.glob("node*") if path.is_dir()})


def _delegate(directory: Path) -> None:
    """Version 2: let children have controllers; one that is not to be had is left out."""
    control = directory / "cgroup.subtree_control"
    if not control.exists():
        return
    for controller in CONTROLLERS:
        try:
            control.write_text(f"+{controller}")
        except OSError:  # version 1 has it, or the kernel was built without
            pass


def _inherit_cpuset(directory: Path) -> None:
    """Version 1: a new cpuset is empty, and an empty one admits nobody."""
    for name in CPUSET:
        file = directory / name
        if file.exists() and not file.read_text().strip() and not _is_v2(directory):
            file.write_text((directory.parent / name).read_text())


def _is_v2(directory: Path) -> bool:
    return (directory / "cgroup.controllers").exists()


def _removed(top: Path) -> bool:
    """Try to remove a tree of cgroups; whether it is gone."""
    for directory, _, _ in os.walk(top, topdown=False):
        try:
            os.rmdir(directory)
        except OSError:  # a process in it is still on its way out
            return False
    return not top.exists()


def _until(condition: Callable[[], bool], within_s: float = 10.0) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            raise ClusterError("a cgroup did not change within 10 s. Cure: make cluster-down")
        time.sleep(0.02)
