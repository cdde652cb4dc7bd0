"""etcd, kube-apiserver, kube-controller-manager and kube-scheduler, started in their order."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dev.cluster import command_lines
from dev.cluster.api import Api
from dev.cluster.command_lines import API_SERVERS, Site
from dev.cluster.credentials import write_credentials
from dev.cluster.errors import ClusterError
from dev.cluster.options import Options
from dev.cluster.processes import Processes

READY_S = 60.0


@dataclass(frozen=True)
class ControlPlane:
    """The programs of one site, each started by its name."""

    site: Site
    options: Options
    processes: Processes
    admin: Path
    wrap: tuple[str, ...] = ()
    """The command that a program is started through: into a network namespace, for instance."""

    def argv(self, name: str) -> list[str]:
        """The command line of a program."""
        if name in API_SERVERS:
            return command_lines.api_server(self.site, self.options, API_SERVERS[name])
        lines: dict[str, Callable[[Site], list[str]]] = {
            "etcd": command_lines.etcd,
            "kube-controller-manager": command_lines.controller_manager,
            "kube-scheduler": command_lines.scheduler,
        }
        return lines[name](self.site)

    @property
    def names(self) -> Sequence[str]:
        """The programs that `up` starts."""
        always = ("etcd", "kube-apiserver", "kube-controller-manager")
        return (*always, "kube-scheduler") if self.site.nodes_follow else always

    def start(self, name: str) -> None:
        """Start a program, unless it runs."""
        if not self.processes.find(name):
            self.processes.start(name, [*self.wrap, *self.argv(name)])

    def up(self) -> None:
        """Start what does not run; come back when the API server is ready."""
        if not self.admin.exists():
            write_credentials(self.site, self.options, self.admin)
        self.start("etcd")
        self.start("kube-apiserver")
        self.wait()
        for name in self.names:
            self.start(name)

    def wait(self, within_s: float = READY_S) -> None:
        """Until the API server is ready."""
        api = Api(self.admin)
        deadline = time.monotonic() + within_s
        while not api.ready():
            for name in ("etcd", "kube-apiserver"):
                if not self.processes.find(name):
                    raise ClusterError(f"{name} has ended: {self.processes.last_words(name)}")
            if time.monotonic() > deadline:
                words = self.processes.last_words("kube-apiserver")
                raise ClusterError(f"kube-apiserver is not ready after {within_s:.0f} s: {words}")
            time.sleep(0.05)
