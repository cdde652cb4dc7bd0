"""Cluster DNS: what it answers, and what it may read."""

from __future__ import annotations

from pathlib import Path

from dev.cluster.addresses import Lan
from dev.cluster.control_plane.dns import corefile, rights


def test_it_answers_for_the_cluster_at_the_bridge() -> None:
    text = corefile(Lan("10.91.0.0/24"), Path("/c/coredns.kubeconfig"))
    assert "bind 10.91.0.1\n" in text
    assert "kubernetes cluster.local in-addr.arpa" in text
    assert "kubeconfig /c/coredns.kubeconfig" in text
    assert "forward" not in text


def test_it_may_only_read() -> None:
    role, binding = rights()
    assert {verb for rule in role["rules"] for verb in rule["verbs"]} == {"get", "list", "watch"}
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
