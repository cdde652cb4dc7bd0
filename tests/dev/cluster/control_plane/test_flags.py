"""The control plane's command lines."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from dev.cluster.control_plane.flags import (
    Placement,
    api_server,
    controller_manager,
    etcd,
    scheduler,
)
from dev.cluster.options import Options

SITE = Placement(Path("/c/run"), Path("/c/hyperkube"), ("10.90.0.1", "10.90.0.2"), 6443, 2379)
BARE = replace(SITE, api_addresses=("127.0.0.1",), api_port=7001, etcd_port=7002, has_nodes=False)


def test_each_command_line_begins_with_the_binary_and_the_program() -> None:
    lines = (etcd(SITE), api_server(SITE, Options()), controller_manager(SITE), scheduler(SITE))
    assert [line[:2] for line in lines] == [
        ["/c/hyperkube", name]
        for name in ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
    ]


def test_etcd_listens_on_the_loopback_interface_only() -> None:
    urls = [word for word in etcd(BARE) if "http" in word]
    assert "--listen-client-urls=http://127.0.0.1:7002" in urls
    assert "--listen-peer-urls=http://127.0.0.1:7003" in urls
    assert all("127.0.0.1" in word for word in urls)


@pytest.mark.parametrize(
    ("options", "number", "flag"),
    [
        (Options(), 1, "--bind-address=10.90.0.1"),
        (Options(), 2, "--bind-address=10.90.0.2"),
        (Options(), 1, "--authorization-mode=Node,RBAC"),
        (Options(feature_gates="WatchList=false"), 1, "--feature-gates=WatchList=false"),
        (Options(audit=True), 1, "--audit-log-path=/c/run/logs/audit.log"),
    ],
)
def test_options_become_flags_of_the_api_server(options: Options, number: int, flag: str) -> None:
    assert flag in api_server(SITE, options, number)


def test_empty_flags_are_left_out() -> None:
    line = " ".join(api_server(SITE, Options()))
    for flag in ("--feature-gates", "--audit", "--endpoint-reconciler-type"):
        assert flag not in line


def test_without_nodes_there_is_no_address_to_publish() -> None:
    line = api_server(BARE, Options())
    assert "--endpoint-reconciler-type=none" in line
    assert "--secure-port=7001" in line
    assert "--secure-port=0" in controller_manager(BARE)
