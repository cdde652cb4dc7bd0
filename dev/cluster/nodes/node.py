"""A node: containerd, kubelet and kube-proxy behind one process that can be killed as a whole."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from dev import proc
from dev.cluster.addresses import Lan
from dev.cluster.control_plane.credentials import node_name
from dev.cluster.control_plane.flags import Placement
from dev.cluster.errors import ClusterError
from dev.cluster.images.containerd_root import link_store
from dev.cluster.nodes import node_files
from dev.cluster.nodes.cgroups import Cgroups
from dev.cluster.nodes.network import inside, namespace_of
from dev.cluster.processes import Processes, end

INIT = Path(__file__).parent / "node-init.sh"
CNI_PLUGINS = "/usr/lib/cni"
UNSHARE = ("unshare", "--mount", "--pid", "--uts", "--ipc", "--fork", "--kill-child", "--")


@dataclass(frozen=True)
class Node:
    """One node of a cluster."""

    number: int
    placement: Placement
    lan: Lan
    cgroups: Cgroups
    processes: Processes
    store: Path

    @property
    def name(self) -> str:
        return node_name(self.number)

    @property
    def directory(self) -> Path:
        """The files that stay when the node is killed: images, volumes, logs."""
        return self.placement.run / "nodes" / self.name

    def running(self) -> bool:
        return self.processes.find(self.name) is not None

    def start(self) -> None:
        """Start the node, unless it runs."""
        if self.running():
            return
        self.clear()
        self.write_files()
        cgroups = [str(path) for path in self.cgroups.make(self.name)]
        init = [str(INIT), self.name, self.lan.node(self.number), str(self.directory)]
        self.processes.start(
            self.name,
            [
                *inside(namespace_of(self.name)),
                *UNSHARE,
                *("bash", *init, str(self.placement.hyperkube), *cgroups),
            ],
        )

    def kill(self) -> None:
        """Kill all processes of the node at once, like a power failure."""
        if self.cgroups.exists(self.name):
            self.cgroups.freeze(self.name, False)  # a frozen process does not end
        self.processes.stop(self.name)
        self.clear()

    def clear(self) -> None:
        """Remove what an ended node left: its cgroups, and any process in them."""
        if self.cgroups.exists(self.name):
            end(self.cgroups.processes(self.name))
            self.cgroups.remove(self.name)

    def freeze(self, frozen: bool) -> None:
        """Freeze all processes of the node, or let them continue."""
        if not self.running():
            raise ClusterError(f"{self.name} does not run. Cure: start it first")
        self.cgroups.freeze(self.name, frozen)

    def init_pid(self) -> int:
        """The node's first process, whose namespaces are the node's."""
        process = self.processes.find(self.name)
        pids = proc.children(process.pid) if process else []
        if not pids:
            raise ClusterError(f"{self.name} does not run. Cure: start it first")
        return pids[0]

    def enter(self) -> list[str]:
        """The prefix that runs a command on the node."""
        namespaces = ("--mount", "--uts", "--ipc", "--net", "--pid")
        return ["nsenter", f"--target={self.init_pid()}", *namespaces, "--"]

    def write_files(self) -> None:
        """Write the configuration, and at the first start the images."""
        for part in ("containerd", "kubelet", "logs", "etc/cni"):
            (self.directory / part).mkdir(parents=True, exist_ok=True)
        link_store(self.store, self.directory / "containerd")
        files = {
            "cni/10-pods.conflist": json.dumps(node_files.cni(self.number)),
            "containerd.toml": node_files.containerd(_runc(), CNI_PLUGINS),
            "kubelet.json": json.dumps(
                node_files.kubelet(self.cgroups.of_kubelet(self.name), self.lan)
            ),
            "kube-proxy.json": json.dumps(node_files.kube_proxy(self.name)),
            "resolv.conf": f"nameserver {self.lan.dns}\n",
        }
        etc = self.directory / "etc"
        for name, text in files.items():
            (etc / name).write_text(text)
        shutil.copy(self.placement.pki / "ca.crt", etc / "ca.crt")
        shutil.copy(self.placement.kubeconfig(self.name), etc / "kubeconfig")
        shutil.copy(self.placement.kubeconfig("kube-proxy"), etc / "kube-proxy.kubeconfig")


def _runc() -> str:
    found = shutil.which("runc", path=f"/usr/sbin:/sbin:{os.environ.get('PATH', '')}")
    if not found:
        raise ClusterError("runc is not installed. Cure: apt install runc")
    return found
