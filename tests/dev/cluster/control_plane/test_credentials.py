"""Credentials: users, file modes and host names."""

from __future__ import annotations

import base64
import json
from pathlib import Path

from dev.cluster.control_plane.credentials import api_hosts, token_file, users, write_credentials
from dev.cluster.control_plane.flags import Placement
from dev.cluster.options import Options


def placement(run: Path) -> Placement:
    return Placement(run, Path("/c/hyperkube"), ("10.90.0.1", "10.90.0.2"), 6443, 2379)


def test_users_have_the_names_that_the_built_in_roles_are_bound_to() -> None:
    assert users(1) == {
        "admin": ("admin", "system:masters"),
        "kube-controller-manager": ("system:kube-controller-manager", ""),
        "kube-scheduler": ("system:kube-scheduler", ""),
        "kube-proxy": ("system:kube-proxy", ""),
        "coredns": ("system:coredns", ""),
        "node1": ("system:node:node1", "system:nodes"),
    }


def test_the_token_file_is_as_the_api_server_reads_it() -> None:
    tokens = {name: name[0] for name in users(1)}
    lines = token_file(tokens, 1).splitlines()
    assert lines[0] == 'a,admin,admin,"system:masters"'
    assert lines[-1] == 'n,system:node:node1,system:node:node1,"system:nodes"'


def test_the_certificate_has_every_name_of_the_api_server(tmp_path: Path) -> None:
    hosts = api_hosts(placement(tmp_path))
    assert {"10.90.0.1", "10.90.0.2", "10.96.0.1", "kubernetes.default.svc"} <= set(hosts)


def test_only_the_owner_can_read_the_files_and_the_ca_key_is_not_written(tmp_path: Path) -> None:
    admin = tmp_path / "kubeconfig"
    write_credentials(placement(tmp_path), Options(nodes=2), admin)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
    assert not (tmp_path / "pki" / "ca.key").exists()
    config = json.loads(admin.read_text())
    cluster = config["clusters"][0]["cluster"]
    assert cluster["server"] == "https://10.90.0.1:6443"
    ca = base64.b64decode(cluster["certificate-authority-data"])
    assert ca == (tmp_path / "pki" / "ca.crt").read_bytes()
    token = config["users"][0]["user"]["token"]
    assert (tmp_path / "pki" / "tokens.csv").read_text().startswith(f"{token},admin,")
