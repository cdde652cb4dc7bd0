"""Addresses: fixed by number."""

from __future__ import annotations

from dev.cluster.addresses import Lan, pods_of


def test_servers_nodes_and_machine_have_fixed_addresses() -> None:
    lan = Lan("10.91.2.0/24")
    assert (lan.api(), lan.api(2)) == ("10.91.2.1", "10.91.2.2")
    assert (lan.node(1), lan.node(9)) == ("10.91.2.11", "10.91.2.19")
    assert (lan.machine, lan.dns) == ("10.91.2.254", "10.91.2.1")


def test_the_pods_of_each_node_have_a_range() -> None:
    assert [pods_of(n) for n in (1, 2)] == ["10.244.1.0/24", "10.244.2.0/24"]
