"""The cluster's secrets: one CA, one token per user, one key for ServiceAccount tokens."""

from __future__ import annotations

import json
import secrets
from pathlib import Path

from dev.cluster.addresses import API_SERVICE, DOMAIN
from dev.cluster.certificates import Authority, signing_pair
from dev.cluster.command_lines import Site
from dev.cluster.kubeconfig import write_kubeconfig, write_private
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
    "rules": [
        {"level": "Metadata", "userGroups": ["system:serviceaccounts"]},
        {"level": "None"},
    ],
}


def node_name(number: int) -> str:
    return f"node{number}"


def users(nodes: int) -> dict[str, tuple[str, str]]:
    """Our names for the users, each with its user name and group in the cluster."""
    known = {ADMIN: ("admin", "system:masters")}
    known |= {name: (user, "") for name, user in PROGRAMS.items()}
    for number in range(1, nodes + 1):
        name = node_name(number)
        known[name] = (f"system:node:{name}", "system:nodes")
    return known


def api_hosts(site: Site) -> tuple[str, ...]:
    """Every name and address under which an API server is called."""
    service = "kubernetes.default.svc"
    return (
        *site.api_addresses,
        "127.0.0.1",
        API_SERVICE,
        "localhost",
        "kubernetes",
        "kubernetes.default",
        service,
        f"{service}.{DOMAIN}",
    )


def write_credentials(site: Site, options: Options, admin: Path) -> None:
    """Write them all, the administrator's kubeconfig last: once it is there, all are."""
    authority = Authority(key_identifiers=options.key_identifiers)
    write_private(site.pki / "ca.crt", authority.certificate)
    for name, pair in (
        ("apiserver", authority.issue("kube-apiserver", hosts=api_hosts(site))),
        ("kubelet-client", authority.issue("kube-apiserver", "system:masters")),
    ):
        write_private(site.pki / f"{name}.crt", pair.certificate)
        write_private(site.pki / f"{name}.key", pair.key)
    private, public = signing_pair()
    write_private(site.pki / "service-accounts.key", private)
    write_private(site.pki / "service-accounts.pub", public)
    write_private(site.pki / "audit.yaml", json.dumps(AUDIT))
    tokens = {name: secrets.token_hex(16) for name in users(options.nodes)}
    write_private(site.pki / "tokens.csv", token_file(tokens, options.nodes))
    for name in users(options.nodes):
        if name != ADMIN:
            write_kubeconfig(site.kubeconfig(name), site.url, authority.certificate, tokens[name])
    write_kubeconfig(admin, site.url, authority.certificate, tokens[ADMIN])


def token_file(tokens: dict[str, str], nodes: int) -> str:
    """kube-apiserver's static token file: token, user, uid, groups."""
    return "".join(
        f'{tokens[name]},{user},{user},"{group}"\n' for name, (user, group) in users(nodes).items()
    )
