"""Kubeconfig files with all data embedded, mode 0600."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any


def kubeconfig(server: str, ca: bytes, token: str) -> dict[str, Any]:
    """Return a kubeconfig of one cluster and one user."""
    authority = base64.b64encode(ca).decode()
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "elasticjob-dev",
        "clusters": [
            {
                "name": "elasticjob-dev",
                "cluster": {"server": server, "certificate-authority-data": authority},
            }
        ],
        "users": [{"name": "elasticjob-dev", "user": {"token": token}}],
        "contexts": [
            {
                "name": "elasticjob-dev",
                "context": {"cluster": "elasticjob-dev", "user": "elasticjob-dev"},
            }
        ],
    }


def write_private(path: Path, content: str | bytes) -> None:
    """Create a file that only its owner may read at any time."""
    data = content.encode() if isinstance(content, str) else content
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)


def write_kubeconfig(path: Path, server: str, ca: bytes, token: str) -> None:
    """Write a kubeconfig."""
    write_private(path, json.dumps(kubeconfig(server, ca, token), indent=1))
