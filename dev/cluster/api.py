"""Readiness of the cluster's API server and nodes."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

from dev.kube_client import Client


class Api:
    """The API server of a kubeconfig. No connection stays open between two requests."""

    def __init__(self, kubeconfig: Path, timeout_s: float = 5.0) -> None:
        self._client = Client.from_kubeconfig(kubeconfig, timeout_s=timeout_s)

    def ready(self) -> bool:
        """Whether /readyz answers ok."""
        try:
            with closing(self._client):
                return bool(self._client.get("/readyz").body == b"ok")
        except OSError:
            return False

    def ready_nodes(self) -> set[str]:
        """The names of the Ready nodes; raises OSError if the server does not answer."""
        with closing(self._client):
            nodes = self._client.get("/api/v1/nodes").accepted()["items"]
        return {node["metadata"]["name"] for node in nodes if is_ready(node)}


def is_ready(node: dict[str, Any]) -> bool:
    """Whether the node's Ready condition is True."""
    conditions = node.get("status", {}).get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
