"""The cluster's secrets: one CA, one token per user, one key for ServiceAccount tokens."""

from __future__ import annotations

import json
import secrets
from pathlib import Path

from dev.cluster.addresses import API_SERVICE, DOMAIN
from dev.cluster.control_plane.certificates import Authority, signing_pair
from dev.cluster.control_plane.flags import Placement
from dev.cluster.control_plane.kubeconfig import write_kubeconfig, write_private
from dev.cluster.options import Options

ADMIN = "admin"
PROGRAMS = {
    "kube-controller-manager": "system:kube-controller-manager",
    "kube-scheduler": "system:kube-scheduler",
    "kube-proxy": "system:kube-proxy",
    "coredns": "system:coredns",
}
AUDIT = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived", "ResponseStarted"],
    "rules": [{"level": "Metadata", "userGroups": ["system:serviceaccounts"]}, {"level": "None"}],
}


def node_name(number: int) -> str:
    return f"node{number}"


def users(nodes: int) -> dict[str, tuple[str, str]]:
    """Return the names of kubeconfigs, each with its user name and group in the cluster."""
    known = {ADMIN: ("admin", "system:masters")}
    known |= {name: (user, "") for name, user in PROGRAMS.items()}
    for number in range(1, nodes + 1):
        name = node_name(number)
        known[name] = (f"system:node:{name}", "system:nodes")
    return known


def api_hosts(placement: Placement) -> tuple[str, ...]:
    """Return every name and address under which clients reach an API server."""
    service = "kubernetes.default.svc"
    return (
        *placement.api_addresses,
        "127.0.0.1",
        API_SERVICE,
        "localhost",
        "kubernetes",
        "kubernetes.default",
        service,
        f"{service}.{DOMAIN}",
    )


def write_credentials(placement: Placement, options: Options, admin: Path) -> None:
    """Write all files, the administrator's kubeconfig last: if it exists, all exist."""
    authority = Authority(key_identifiers=options.key_identifiers)
    write_private(placement.pki / "ca.crt", authority.certificate)
    for name, pair in (
        ("apiserver", authority.issue("kube-apiserver", hosts=api_hosts(placement))),
        ("kubelet-client", authority.issue("kube-apiserver", "system:masters")),
    ):
        write_private(placement.pki / f"{name}.crt", pair.certificate)
        write_private(placement.pki / f"{name}.key", pair.key)
    private, public = signing_pair()
    write_private(placement.pki / "service-accounts.key", private)
    write_private(placement.pki / "service-accounts.pub", public)
    write_private(placement.pki / "audit.yaml", json.dumps(AUDIT))
    tokens = {name: secrets.token_hex(16) for name in users(options.nodes)}
    write_private(placement.pki / "tokens.csv", token_file(tokens, options.nodes))
    for name in users(options.nodes):
        if name != ADMIN:
            write_kubeconfig(
                placement.kubeconfig(name), placement.url, authority.certificate, tokens[name]
            )
    write_kubeconfig(admin, placement.url, authority.certificate, tokens[ADMIN])


def token_file(tokens: dict[str, str], nodes: int) -> str:
    """Return kube-apiserver's static token file: token, user, uid, groups."""
    return "".join(
        f'{tokens[name]},{user},{user},"{group}"\n' for name, (user, group) in users(nodes).items()
    )
