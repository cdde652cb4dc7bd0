from __future__ import annotations

import socket

import pytest

from elasticjob.agent.workers.ports import is_port_free, port_base

UIDS = [f"uid-{i}" for i in range(200)]


def test_a_separate_network_has_torchs_port() -> None:
    assert port_base("uid", shares_network=False, is_free=lambda _: False) == 29500


@pytest.mark.parametrize("uid", UIDS[:5])
def test_a_shared_network_has_a_block_below_the_ephemeral_range(uid: str) -> None:
    base = port_base(uid, shares_network=True, is_free=lambda _: True)
    assert 20000 <= base <= 29999 - 15
    assert base % 16 == 0
    assert base == port_base(uid, shares_network=True, is_free=lambda _: True)


def test_jobs_seldom_share_a_block() -> None:
    bases = {port_base(uid, shares_network=True, is_free=lambda _: True) for uid in UIDS}
    assert len(bases) > 150


def test_a_block_in_use_is_skipped() -> None:
    first = port_base("uid", shares_network=True, is_free=lambda _: True)
    second = port_base("uid", shares_network=True, is_free=lambda port: port != first + 15)
    assert second in (first + 16, 20000)


def test_without_a_free_block_the_first_is_used() -> None:
    first = port_base("uid", shares_network=True, is_free=lambda _: True)
    assert port_base("uid", shares_network=True, is_free=lambda _: False) == first


def test_a_listener_is_seen_and_another_test_is_not() -> None:
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", 0))
        port = other.getsockname()[1]
        assert is_port_free(port)
        other.listen()
        assert not is_port_free(port)
