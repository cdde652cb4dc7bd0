"""The configuration of a node."""

from __future__ import annotations

import tomllib

from dev.cluster.addresses import Lan
from dev.cluster.nodes.node_files import PAUSE, cni, containerd, kube_proxy, kubelet


def test_each_node_has_its_own_address_range() -> None:
    ranges = [cni(n)["plugins"][0]["ipam"]["ranges"] for n in (1, 2)]
    assert ranges == [[[{"subnet": "10.244.1.0/24"}]], [[{"subnet": "10.244.2.0/24"}]]]


def test_containerd_finds_runc_pause_and_the_plugins() -> None:
    config = tomllib.loads(containerd("/usr/sbin/runc", "/usr/lib/cni"))
    cri = config["plugins"]["io.containerd.grpc.v1.cri"]
    assert cri["sandbox_image"] == PAUSE
    assert cri["restrict_oom_score_adj"] is True
    assert cri["cni"] == {"bin_dir": "/usr/lib/cni", "conf_dir": "/run/node/cni"}
    assert cri["containerd"]["runtimes"]["runc"]["options"]["BinaryName"] == "/usr/sbin/runc"
    assert "io.containerd.grpc.v1.cri" not in config["disabled_plugins"]


def test_the_kubelet_refuses_anonymous_clients() -> None:
    config = kubelet("/elasticjob-1/node1", Lan("10.90.0.0/24"))
    assert config["authentication"]["anonymous"] == {"enabled": False}
    assert config["authorization"] == {"mode": "Webhook"}
    assert config["cgroupRoot"] == "/elasticjob-1/node1"
    assert config["clusterDNS"] == ["10.90.0.1"]


def test_kube_proxy_leaves_the_machines_limits_alone() -> None:
    limits = kube_proxy("node1")["conntrack"]
    assert (limits["maxPerCore"], limits["min"]) == (0, 0)
