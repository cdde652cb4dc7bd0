"""Networks that are in use."""

from __future__ import annotations

import json

import pytest
from dev.cluster.nodes.network import overlapping

ROUTES = json.dumps(
    [
        {"dst": "default", "dev": "eth0"},
        {"dst": "172.17.0.0/16", "dev": "docker0"},
        {"dst": "10.90.3.7", "dev": "tun0"},
        {"dst": "fe80::/64", "dev": "eth0"},
    ]
)


@pytest.mark.parametrize(
    ("network", "taken"),
    [
        ("10.90.0.0/24", ""),
        ("10.90.3.0/24", "10.90.3.7 by tun0"),
        ("172.17.9.0/24", "172.17.0.0/16 by docker0"),
    ],
)
def test_a_network_that_this_machine_routes_is_taken(network: str, taken: str) -> None:
    assert overlapping(network, ROUTES) == taken


def test_no_routes_take_nothing() -> None:
    assert overlapping("10.90.0.0/24", "") == ""
