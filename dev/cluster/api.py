"""The few requests that bringing a cluster up needs."""

from __future__ import annotations

import base64
import json
import ssl
import urllib.request
from pathlib import Path
from typing import Any


class Api:
    """The API server of a kubeconfig."""

    def __init__(self, kubeconfig: Path, timeout_s: float = 5.0) -> None:
        config = json.loads(kubeconfig.read_text())
        cluster = config["clusters"][0]["cluster"]
        self._server = cluster["server"]
        self._token = config["users"][0]["user"]["token"]
        self._timeout_s = timeout_s
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        self._tls = ssl.create_default_context(cadata=authority)
        # Python 3.13 sets it; it refuses a CA without key identifiers
        self._tls.verify_flags &= ~ssl.VERIFY_X509_STRICT

    def get(self, path: str) -> str:
        """What the server answers to a GET; OSError if it does not, or with an error."""
        request = urllib.request.Request(
            self._server + path, headers={"Authorization": f"Bearer {self._token}"}
        )
        opener = urllib.request.build_opener(
            urllib.request.HTTPSHandler(context=self._tls), urllib.request.ProxyHandler({})
        )
        with opener.open(request, timeout=self._timeout_s) as reply:
            text: str = reply.read().decode()
            return text

    def ready(self) -> bool:
        """Whether the server says so."""
        try:
            return self.get("/readyz") == "ok"
        except OSError:
            return False

    def ready_nodes(self) -> set[str]:
        """The names of the nodes that are Ready."""
        return {
            node["metadata"]["name"]
            for node in json.loads(self.get("/api/v1/nodes"))["items"]
            if is_ready(node)
        }


def is_ready(node: dict[str, Any]) -> bool:
    """Whether the node's Ready condition is True."""
    conditions = node.get("status", {}).get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
