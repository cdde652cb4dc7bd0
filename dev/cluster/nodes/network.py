"""Network namespaces joined by a bridge: pods reach each other across nodes, and nothing else.

this machine ── ejob0 ─┐
                    [ bridge `lan` in namespace ejob: etcd, API servers, DNS ]
ejob-node1 ── eth0 ────┤        each node routes the pods of the others to their node;
ejob-node2 ── eth0 ────┘        there is no default route: nothing leaves
"""

from __future__ import annotations

import ipaddress
import json
from dataclasses import dataclass
from pathlib import Path

from dev.cluster.addresses import SERVICES, Lan, pods_of
from dev.cluster.control_plane.credentials import node_name
from dev.cluster.errors import ClusterError
from dev.cluster.options import Options
from dev.cluster.shell import run, succeeds

CONTROL = "ejob"
INTERFACE = "ejob0"
BRIDGE = "lan"
NAMESPACES = Path("/run/netns")


def namespace_of(node: str) -> str:
    """The network namespace of a node."""
    return f"{CONTROL}-{node}"


def inside(namespace: str) -> tuple[str, ...]:
    """Return a command's prefix; `ip netns exec` would remount /sys and lose the cgroups."""
    return ("nsenter", f"--net={NAMESPACES / namespace}", "--")


@dataclass(frozen=True)
class Network:
    """The namespaces and interfaces of one cluster; each has the cluster's mark."""

    mark: str
    options: Options

    @property
    def lan(self) -> Lan:
        return Lan(self.options.lan)

    @property
    def nodes(self) -> list[int]:
        return list(range(1, self.options.nodes + 1))

    def check_free(self) -> None:
        """Raise ClusterError if a name or an address is in use."""
        for name in _namespaces():
            owner = alias("-n", name, "link", "show", "lo")
            raise ClusterError(
                f"the network namespace {name} exists already"
                f"{f', of the cluster in {owner}' if owner else ''}."
                f" Cure: make cluster-down there, or ip netns del {name}"
            )
        if succeeds(["ip", "link", "show", INTERFACE]):
            raise ClusterError(
                f"the interface {INTERFACE} exists already. Cure: ip link del {INTERFACE}"
            )
        taken = overlapping(self.options.lan, run(["ip", "-j", "route", "show", "table", "all"]))
        if taken:
            raise ClusterError(
                f"{self.options.lan} is taken: this machine routes {taken}."
                " Cure: make cluster CLUSTER_LAN=10.91.0.0/24"
            )

    def up(self) -> None:
        """Create what is missing."""
        self._make_namespace(CONTROL)
        _ensure(CONTROL, BRIDGE, ["link", "add", BRIDGE, "type", "bridge"])
        for number in (1, 2):
            _ip(CONTROL, f"addr replace {self.lan.api(number)}/24 dev {BRIDGE}")
        _ip(CONTROL, f"link set {BRIDGE} up")
        self._join_machine()
        for number in self.nodes:
            self._join_node(number)

    def _make_namespace(self, name: str) -> None:
        if not (NAMESPACES / name).exists():
            run(["ip", "netns", "add", name])
        run(["ip", "-n", name, "link", "set", "lo", "alias", self.mark])
        _ip(name, "link set lo up")
        run([*inside(name), "sysctl", "-qw", "net.ipv4.ip_forward=1"])

    def _join_machine(self) -> None:
        if not succeeds(["ip", "link", "show", INTERFACE]):
            pair = f"link add {INTERFACE} type veth peer name machine netns {CONTROL}"
            run(["ip", *pair.split()])
        run(["ip", "link", "set", INTERFACE, "alias", self.mark])
        _ip(CONTROL, f"link set machine master {BRIDGE} up")
        run(["ip", "addr", "replace", f"{self.lan.machine}/24", "dev", INTERFACE])
        run(["ip", "link", "set", INTERFACE, "up"])

    def _join_node(self, number: int) -> None:
        node = node_name(number)
        space = namespace_of(node)
        self._make_namespace(space)
        add = ["link", "add", node, "type", "veth", "peer", "name", "eth0", "netns", space]
        _ensure(CONTROL, node, add)
        _ip(CONTROL, f"link set {node} master {BRIDGE} up")
        _ip(space, f"addr replace {self.lan.node(number)}/24 dev eth0")
        _ip(space, "link set eth0 up")
        _ip(CONTROL, f"route replace {pods_of(number)} via {self.lan.node(number)}")
        for other in self.nodes:
            if other != number:
                _ip(space, f"route replace {pods_of(other)} via {self.lan.node(other)}")
        # kube-proxy rewrites the address before the packet leaves, but a route must exist
        _ip(space, f"route replace {SERVICES} via {self.lan.api()}")
        run([*inside(space), "sysctl", "-qw", "net.bridge.bridge-nf-call-iptables=1"])

    def cut(self, node: str, cut: bool) -> None:
        """Disconnect a node, or reconnect it."""
        _ip(CONTROL, f"link set {node} {'down' if cut else 'up'}")

    def is_cut(self, node: str) -> bool:
        """Whether a node is disconnected."""
        shown = json.loads(run(["ip", "-j", "-n", CONTROL, "link", "show", node]) or "[{}]")
        return "UP" not in shown[0].get("flags", ["UP"])

    def mine(self, recorded: bool) -> list[str]:
        """The namespaces that have this cluster's mark.

        `recorded`: the cluster was recorded when the names were free, so a namespace without a mark
        is this cluster's too: `up` was killed before it could mark it.
        """
        marks = {self.mark, ""} if recorded else {self.mark}
        return [n for n in _namespaces() if alias("-n", n, "link", "show", "lo") in marks]

    def interface(self) -> str:
        """The interface of this machine that has this cluster's mark, or ''."""
        return INTERFACE if alias("link", "show", INTERFACE) == self.mark else ""

    def down(self, recorded: bool, unmount: bool) -> None:
        """Remove namespaces and interfaces; most interfaces go with their namespaces.

        `unmount`: NAMESPACES was no mount before `up`. `ip netns` makes it one and leaves it.
        """
        for name in self.mine(recorded):
            run(["ip", "netns", "del", name])
        if unmount and NAMESPACES.is_mount() and not any(NAMESPACES.iterdir()):
            run(["umount", str(NAMESPACES)])
        if self.interface():
            # the kernel removes it with its peer, but later
            succeeds(["ip", "link", "del", INTERFACE])


def alias(*arguments: str) -> str:
    """The alias of an interface; '' if it has none or does not exist."""
    try:
        shown = json.loads(run(["ip", "-j", *arguments]) or "[]")
    except ClusterError:
        return ""
    return str(shown[0].get("ifalias", "")) if shown else ""


def overlapping(network: str, routes: str) -> str:
    """The first route of `ip -j route` that overlaps the network, or ''."""
    wanted = ipaddress.ip_network(network)
    for route in json.loads(routes or "[]"):
        try:
            there = ipaddress.ip_network(route.get("dst", ""))
        except ValueError:  # `default` is no network
            continue
        if there.version == wanted.version and there.overlaps(wanted):
            return f"{route['dst']} by {route.get('dev', 'nothing')}"
    return ""


def _namespaces() -> list[str]:
    """The namespaces with a name that this module uses, from any cluster."""
    names = sorted(p.name for p in NAMESPACES.glob(f"{CONTROL}*"))
    return [name for name in names if name == CONTROL or name.startswith(f"{CONTROL}-node")]


def _ip(namespace: str, words: str) -> None:
    run(["ip", "-n", namespace, *words.split()])


def _ensure(namespace: str, interface: str, add: list[str]) -> None:
    """Add an interface that does not exist yet."""
    if not succeeds(["ip", "-n", namespace, "link", "show", interface]):
        run(["ip", "-n", namespace, *add])
