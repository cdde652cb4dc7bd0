"""Cluster DNS: CoreDNS as a process at the bridge's address, for every pod."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dev.cluster.addresses import DOMAIN, Lan
from dev.cluster.control_plane.flags import Placement
from dev.cluster.shell import run

NAME = "coredns"
USER = "system:coredns"
RULES = (
    ("", ["endpoints", "services", "pods", "namespaces"]),
    ("discovery.k8s.io", ["endpointslices"]),
)


def corefile(lan: Lan, kubeconfig: Path) -> str:
    """Return a Corefile for Services and their pods only: the cluster has no route out."""
    return f"""\
.:53 {{
    bind {lan.dns}
    errors
    kubernetes {DOMAIN} in-addr.arpa {{
        kubeconfig {kubeconfig}
        pods insecure
    }}
    cache 5
}}
"""


def rights() -> list[dict[str, Any]]:
    """The ClusterRole of CoreDNS and its binding."""
    group = "rbac.authorization.k8s.io"
    verbs = ["get", "list", "watch"]
    return [
        {
            "apiVersion": f"{group}/v1",
            "kind": "ClusterRole",
            "metadata": {"name": USER},
            "rules": [
                {"apiGroups": [api_group], "resources": resources, "verbs": verbs}
                for api_group, resources in RULES
            ],
        },
        {
            "apiVersion": f"{group}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": USER},
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": USER},
            "subjects": [{"apiGroup": group, "kind": "User", "name": USER}],
        },
    ]


def command(coredns: Path, placement: Placement) -> list[str]:
    return [str(coredns), "-conf", str(placement.run / "Corefile")]


def prepare(placement: Placement, lan: Lan, admin: Path) -> None:
    """Write the configuration and create the RBAC rules."""
    (placement.run / "Corefile").write_text(corefile(lan, placement.kubeconfig(NAME)))
    objects = {"apiVersion": "v1", "kind": "List", "items": rights()}
    apply = ["kubectl", f"--kubeconfig={admin}", "apply", "--filename=-"]
    run([str(placement.hyperkube), *apply], stdin=json.dumps(objects))
