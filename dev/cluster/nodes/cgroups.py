"""A cgroup for each node, in every hierarchy that the machine has (v1, v2 or both)."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from dev.cluster.errors import ClusterError
from dev.cluster.processes import Identity, identity
from dev.wait import wait_until

ROOT = Path("/sys/fs/cgroup")
CONTROLLERS = ("cpuset", "cpu", "io", "memory", "pids")
CPUSET = ("cpuset.cpus", "cpuset.mems")


def cgroup_name(run: Path) -> str:
    """The name of the cgroups that the cluster of this directory has made."""
    return f"elasticjob-{hashlib.sha256(str(run).encode()).hexdigest()[:8]}"


@dataclass(frozen=True)
class Cgroups:
    """The cgroups of one cluster."""

    name: str
    root: Path = ROOT

    @property
    def unified(self) -> bool:
        """Whether the machine has version 2 only."""
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
        """Make a node's cgroups; returns those that its first process must enter."""
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
        """Freeze all processes of a node at once, or let them continue, and wait for that."""
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
        """The processes in the cgroups of a node, or of all nodes."""
        found = set()
        for top in self.hierarchies():
            for file in (top / self.name / node).rglob("cgroup.procs"):
                try:
                    pids = [int(pid) for pid in file.read_text().split()]
                except OSError:  # the cgroup went away, or is a threaded one
                    continue
                found |= set(filter(None, map(identity, pids)))
        return sorted(found, key=lambda process: process.pid)

    def remove(self, node: str = "") -> None:
        """Remove the cgroups of a node, or of all nodes, whose processes have ended."""
        for top in self.hierarchies():
            _until(partial(_removed, top / self.name / node))

    def left(self) -> list[Path]:
        """The cgroups that exist."""
        return [top / self.name for top in self.hierarchies() if (top / self.name).exists()]

    def nodes(self) -> list[str]:
        """The nodes that have cgroups."""
        tops = (top / self.name for top in self.hierarchies())
        return sorted({path.name for top in tops for path in top.glob("node*") if path.is_dir()})


def _delegate(directory: Path) -> None:
    """Enable the available controllers for children (version 2)."""
    control = directory / "cgroup.subtree_control"
    if not control.exists():
        return
    for controller in CONTROLLERS:
        try:
            control.write_text(f"+{controller}")
        except OSError:  # in use by version 1, or not built into the kernel
            pass


def _inherit_cpuset(directory: Path) -> None:
    """Copy the parent's cpuset: in version 1 a new one is empty and admits no process."""
    for name in CPUSET:
        file = directory / name
        if file.exists() and not file.read_text().strip() and not _is_v2(directory):
            file.write_text((directory.parent / name).read_text())


def _is_v2(directory: Path) -> bool:
    return (directory / "cgroup.controllers").exists()


def _removed(top: Path) -> bool:
    """Try to remove a tree of cgroups; returns whether it is gone."""
    for directory, _, _ in os.walk(top, topdown=False):
        try:
            os.rmdir(directory)
        except OSError:  # a process in it is still ending
            return False
    return not top.exists()


def _until(condition: Callable[[], bool]) -> None:
    wait_until(condition, what="a change of a cgroup. Cure: make cluster-down", within_s=10.0)
