"""The cluster as a whole: start it, and change its parts as tests need."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from dev.cluster import prerequisites
from dev.cluster.addresses import API_PORT, Lan
from dev.cluster.api import Api
from dev.cluster.cache import Cache
from dev.cluster.control_plane import dns
from dev.cluster.control_plane.flags import API_SERVERS, Placement
from dev.cluster.control_plane.servers import ControlPlane
from dev.cluster.disk import need_disk
from dev.cluster.errors import ClusterError
from dev.cluster.images.containerd_root import IMPORT, Store, feed, missing
from dev.cluster.images.recipes import SMALL, images
from dev.cluster.nodes.cgroups import Cgroups, cgroup_name
from dev.cluster.nodes.network import CONTROL, NAMESPACES, Network, inside
from dev.cluster.nodes.node import Node
from dev.cluster.options import Options
from dev.cluster.processes import Processes
from dev.cluster.programs.go_build import built
from dev.cluster.programs.go_program import COREDNS, HYPERKUBE
from dev.cluster.progress import Progress
from dev.kube_client import RefusedError
from dev.wait import wait_until

READY_S = 90.0
ROOM_GB = 2.0
"""What a running cluster may write: logs, etcd, the files of pods."""


@dataclass(frozen=True)
class Cluster:
    """The only cluster of a cache."""

    cache: Cache
    options: Options
    progress: Progress

    @classmethod
    def recorded(cls, cache: Cache, progress: Progress) -> Cluster:
        """The cluster that is up, with its recorded options."""
        try:
            text = cache.record.read_text()
        except FileNotFoundError:
            raise ClusterError("no cluster is up. Cure: make cluster") from None
        return cls(cache, Options.from_json(text), progress)

    # -- its parts

    @property
    def run(self) -> Path:
        return self.cache.run

    @property
    def lan(self) -> Lan:
        return Lan(self.options.lan)

    @property
    def processes(self) -> Processes:
        return Processes(self.run)

    @property
    def network(self) -> Network:
        return Network(str(self.run), self.options)

    @property
    def cgroups(self) -> Cgroups:
        return Cgroups(cgroup_name(self.run))

    @cached_property
    def placement(self) -> Placement:
        addresses = (self.lan.api(1), self.lan.api(2))
        hyperkube = built(self.cache, HYPERKUBE, self.progress)
        return Placement(self.run, hyperkube, addresses, API_PORT, etcd_port=2379)

    @property
    def control_plane(self) -> ControlPlane:
        return ControlPlane(
            self.placement, self.options, self.processes, self.cache.kubeconfig, inside(CONTROL)
        )

    def node(self, number: int) -> Node:
        return Node(
            number, self.placement, self.lan, self.cgroups, self.processes, self.cache.store
        )

    @property
    def nodes(self) -> list[Node]:
        return [self.node(number) for number in range(1, self.options.nodes + 1)]

    # -- up

    def up(self) -> None:
        """Start what does not run; return when every node is Ready."""
        prerequisites.prepare(self.progress)
        for program in (HYPERKUBE, COREDNS):
            built(self.cache, program, self.progress)
        made = images(self.cache, self.progress)
        made.make(tuple(name for name in SMALL if name not in made.layout.images()))
        need_disk(self.cache.home, ROOM_GB, "a running cluster")
        began = self.progress.elapsed_s()
        self._record()
        Store(self.cache.store).load(made.layout)
        self.network.up()
        self.control_plane.up()
        self.progress.done(f"kube-apiserver ready at {self.placement.url}")
        for node in self.nodes:
            node.start()
        self._start_dns()
        self._wait_for_nodes()
        self.load_images()
        took = self.progress.elapsed_s() - began
        self.progress.print(f"{self.options.nodes} nodes Ready after {took:.1f} s")

    def _record(self) -> None:
        """Record the options before anything is created, after a check that the names are free."""
        file = self.cache.record
        if file.exists():
            differ = Options.from_json(file.read_text()).differences(self.options)
            if differ:
                raise ClusterError(
                    f"a cluster with other options is up: {', '.join(differ)}."
                    " Cure: make cluster-down first"
                )
            return
        self.network.check_free()
        self.run.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not NAMESPACES.is_mount():
            self.cache.netns_was_no_mount.touch()
        file.write_text(self.options.to_json())

    def _start_dns(self) -> None:
        if self.processes.find(dns.NAME):
            return
        dns.prepare(self.placement, self.lan, self.cache.kubeconfig)
        command = dns.command(built(self.cache, COREDNS, self.progress), self.placement)
        self.processes.start(dns.NAME, [*inside(CONTROL), *command])

    def _wait_for_nodes(self) -> None:
        """Wait until all nodes are Ready; the error names one that is not and quotes its log."""
        api = Api(self.cache.kubeconfig)
        wanted = {node.name for node in self.nodes}
        try:
            wait_until(
                lambda: wanted <= api.ready_nodes(),
                what="Ready nodes", within_s=READY_S, every_s=0.1,
            )  # fmt: skip
        except TimeoutError:
            name = min(wanted - api.ready_nodes(), default="the last node")
            raise ClusterError(
                f"{name} is not Ready after {READY_S:.0f} s: {self.processes.last_line_of(name)}"
            ) from None

    def load_images(self) -> None:
        """Load into running nodes the images that they lack or have in an older version."""
        layout = images(self.cache, self.progress).layout
        Store(self.cache.store).load(layout)
        for node in self.nodes:
            root = node.directory / "containerd"
            names = missing(layout, root)
            if node.running() and names:
                self.progress.print(f"{node.name} gets {', '.join(names)}")
                feed(layout, names, [*node.enter(), *IMPORT], root)

    # -- changes by tests; `name` is a node or a program of the control plane

    def start(self, name: str) -> None:
        """Start a node or a program."""
        node = self._node(name)
        if node:
            node.start()
        elif name == dns.NAME:
            self._start_dns()
        else:
            self.control_plane.start(self._program(name))

    def kill(self, name: str) -> None:
        """Kill a program, or all processes of a node at once."""
        node = self._node(name)
        if node:
            node.kill()
        else:
            self.processes.stop(self._program(name))

    def freeze(self, name: str, frozen: bool = True) -> None:
        """Freeze a node or a program, or let it continue."""
        node = self._node(name)
        if node:
            node.freeze(frozen)
        elif frozen:
            self.processes.pause(self._program(name))
        else:
            self.processes.resume(self._program(name))

    def cut(self, name: str, cut: bool = True) -> None:
        """Disconnect a node's network, or reconnect it."""
        if not self._node(name):
            raise ClusterError(f"{name} is not a node; it must be one of {', '.join(self.names())}")
        self.network.cut(name, cut)

    def names(self) -> list[str]:
        """The names of the nodes."""
        return [node.name for node in self.nodes]

    def programs(self) -> list[str]:
        """The programs of the control plane, which can be started and stopped."""
        return sorted({*self.control_plane.names, *API_SERVERS, dns.NAME})

    def _node(self, name: str) -> Node | None:
        return next((node for node in self.nodes if node.name == name), None)

    def _program(self, name: str) -> str:
        if name not in self.programs():
            known = ", ".join([*self.names(), *self.programs()])
            raise ClusterError(f"{name} is not known; it must be one of {known}")
        return name

    # -- status and down

    def status(self) -> list[str]:
        """Return a line for each process and cut network, and the API server's address."""
        lines = [
            f"{n}: {'runs' if self.processes.find(n) else 'does not run'}" for n in self._all()
        ]
        lines += [f"{n}: network cut" for n in self.names() if self.network.is_cut(n)]
        api = Api(self.cache.kubeconfig)
        lines.append(
            f"API server: {'ready' if api.ready() else 'not ready'} at {self.placement.url}"
        )
        lines.append(f"export KUBECONFIG={self.cache.kubeconfig}")
        return lines

    def _all(self) -> list[str]:
        started = set(self.processes.names())
        always = {*self.control_plane.names, dns.NAME, *self.names()}
        return sorted(started | always)

    def healthy(self) -> bool:
        """Whether the API server and every node are ready."""
        try:
            return Api(self.cache.kubeconfig).ready_nodes() >= set(self.names())
        except (OSError, RefusedError):
            return False


@contextmanager
def locked(cache: Cache) -> Iterator[None]:
    """Let only one command at a time change the cluster."""
    directory = cache.home / "cluster"
    directory.mkdir(parents=True, exist_ok=True)
    with open(directory / "lock", "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ClusterError("another command is changing the cluster. Cure: wait") from None
        yield
