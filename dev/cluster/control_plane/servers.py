"""etcd, kube-apiserver, kube-controller-manager and kube-scheduler, started in their order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dev.cluster.api import Api
from dev.cluster.control_plane import flags
from dev.cluster.control_plane.credentials import write_credentials
from dev.cluster.control_plane.flags import API_SERVERS, Placement
from dev.cluster.errors import ClusterError
from dev.cluster.options import Options
from dev.cluster.processes import Processes
from dev.wait import wait_until

READY_S = 60.0


@dataclass(frozen=True)
class ControlPlane:
    """The programs of a control plane, each started by its name."""

    placement: Placement
    options: Options
    processes: Processes
    admin: Path
    """The administrator's kubeconfig."""
    wrap: tuple[str, ...] = ()
    """The prefix of every command line, for instance one that enters a network namespace."""

    def argv(self, name: str) -> list[str]:
        """The command line of a program."""
        if name in API_SERVERS:
            return flags.api_server(self.placement, self.options, API_SERVERS[name])
        lines: dict[str, Callable[[Placement], list[str]]] = {
            "etcd": flags.etcd,
            "kube-controller-manager": flags.controller_manager,
            "kube-scheduler": flags.scheduler,
        }
        return lines[name](self.placement)

    @property
    def names(self) -> Sequence[str]:
        """The programs that `up` starts."""
        always = ("etcd", "kube-apiserver", "kube-controller-manager")
        return (*always, "kube-scheduler") if self.placement.has_nodes else always

    def start(self, name: str) -> None:
        """Start a program, unless it runs."""
        if not self.processes.find(name):
            self.processes.start(name, [*self.wrap, *self.argv(name)])

    def up(self) -> None:
        """Start what does not run; return when the API server is ready."""
        if not self.admin.exists():
            write_credentials(self.placement, self.options, self.admin)
        self.start("etcd")
        self.start("kube-apiserver")
        self.wait()
        for name in self.names:
            self.start(name)

    def wait(self, within_s: float = READY_S) -> None:
        """Wait until the API server is ready; an error quotes the log."""
        api, last_line = Api(self.admin), self.processes.last_line_of

        def ready() -> bool:
            for name in ("etcd", "kube-apiserver"):
                if not self.processes.find(name):
                    raise ClusterError(f"{name} has ended: {last_line(name)}")
            return api.ready()

        try:
            wait_until(ready, what="kube-apiserver", within_s=within_s, every_s=0.05)
        except TimeoutError as error:
            raise ClusterError(f"{error}: {last_line('kube-apiserver')}") from None
