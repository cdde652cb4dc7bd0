from __future__ import annotations

import pytest

from elasticjob.local.node.addresses import HOSTS, Addresses


@pytest.mark.parametrize(
    ("port", "address"),
    [(6443, "127.25.43.1"), (65535, "127.255.255.1"), (1024, "127.4.0.1"), (443, "127.1.187.1")],
)
def test_the_port_is_in_the_address(port: int, address: str) -> None:
    assert Addresses(port).take() == address


def test_an_address_is_reused_as_late_as_possible() -> None:
    addresses = Addresses(6443)
    first = addresses.take()
    addresses.release(first)
    others = [addresses.take() for _ in range(HOSTS - 1)]
    assert first not in others
    assert addresses.take() == first
