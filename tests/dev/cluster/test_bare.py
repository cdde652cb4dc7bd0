"""An API server for one command: its ports."""

from __future__ import annotations

import socket

from dev.cluster.bare import ADDRESS, free_ports


def test_ports_are_free_and_etcds_are_two_in_a_row() -> None:
    api, etcd = free_ports()
    assert len({api, etcd, etcd + 1}) == 3
    for port in (api, etcd, etcd + 1):
        with socket.socket() as probe:
            probe.bind((ADDRESS, port))
