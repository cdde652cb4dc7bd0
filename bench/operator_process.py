"""The operator as a process, its request counters, and the objects that it works on."""

from __future__ import annotations

import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.agents import address
from bench.api_server import WITHIN_S, ApiServer
from bench.stub_workers import STUB
from dev.kube_client import Json
from dev.wait import wait_until

from elasticjob.wire import names

WRITES = ("POST", "PUT", "PATCH", "DELETE")


class Operator:
    """An operator process."""

    def __init__(self, server: ApiServer, log: Path) -> None:
        self._log = log
        began = time.monotonic()
        command = [sys.executable, "-m", "elasticjob.controller"]
        options = ["--kubeconfig", str(server.kubeconfig), "--health-host", "127.0.0.1"]
        with log.open("wb") as file:
            self.process = subprocess.Popen(
                [*command, *options, "--health-port", "0"], stdout=file, stderr=file
            )
        # ready: everything is listed and the watches are open
        wait_until(
            lambda: self._get("/readyz"),
            what="the operator", within_s=WITHIN_S, every_s=0.05, not_yet=(OSError,),
        )  # fmt: skip
        self.ready_s = time.monotonic() - began

    @property
    def pid(self) -> int:
        """The operator's pid."""
        return self.process.pid

    def writes(self) -> int:
        """The number of requests so far that change an object."""
        return sum(self.writes_by_kind().values())

    def writes_by_kind(self) -> dict[str, int]:
        """The same by verb and resource: 'PATCH elasticjobs'."""
        found: dict[str, int] = {}
        for row in self._get("/metrics").splitlines():
            if row.startswith("elasticjob_api_requests_total{"):
                labels = dict(re.findall(r'(\w+)="([^"]*)"', row))
                kind = f"{labels['method']} {labels['resource']}"
                if labels["method"] in WRITES:
                    found[kind] = found.get(kind, 0) + int(float(row.rpartition(" ")[2]))
        return found

    def end(self) -> None:
        """Stop it with SIGTERM."""
        self.process.terminate()
        self.process.wait(30)

    def _get(self, path: str) -> str:
        found = re.search(r"health: port (\d+)", self._log.read_text())
        if found is None:
            raise OSError("the log does not name the health port yet")
        with urllib.request.urlopen(f"http://127.0.0.1:{found[1]}{path}", timeout=5) as reply:
            text: str = reply.read().decode()
            return text


@contextmanager
def operator(server: ApiServer, log: Path) -> Iterator[Operator]:
    """Run an operator that is ready when the block begins; stop it after the block."""
    found = Operator(server, log)
    try:
        yield found
    finally:
        found.end()


def job_manifest(name: str, replicas: int, file: Path | None = None, **spec: Any) -> Json:
    """Return an ElasticJob of stub workers. `file`: BENCH_FILE, unless the agent sets it."""
    environment = [{"name": "BENCH_FILE", "value": str(file)}] if file else []
    container = {
        "name": "worker", "image": "none", "command": ["bash", "-c", STUB], "env": environment,
    }  # fmt: skip
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND,
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas, "template": {"spec": {"containers": [container]}}, **spec,
        },
    }  # fmt: skip


def running_status(index: int) -> Json:
    """The patch that a kubelet would send for a running pod."""
    container = {
        "name": "worker",
        "image": "none",
        "imageID": "none",
        "ready": True,
        "restartCount": 0,
        "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}},
    }
    return {
        "status": {
            "phase": "Running",
            "podIP": address(index),
            "podIPs": [{"ip": address(index)}],
            "containerStatuses": [container],
        }
    }
