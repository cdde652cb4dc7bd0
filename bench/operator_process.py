"""The operator as a process of its own, and what it counts."""

from __future__ import annotations

import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.site import Site, until

WRITES = ("POST", "PUT", "PATCH", "DELETE")


class Operator:
    """Started at once. ready_s: from its start until it says that it is ready; 0: not yet."""

    def __init__(self, site: Site, log: Path) -> None:
        self._log = log
        self._began = time.monotonic()
        command = [sys.executable, "-m", "elasticjob.controller"]
        options = ["--kubeconfig", str(site.kubeconfig), "--health-host", "127.0.0.1"]
        with log.open("wb") as file:
            self.process = subprocess.Popen(
                [*command, *options, "--health-port", "0"],
                stdout=file, stderr=file,
            )  # fmt: skip
        self.ready_s = 0.0

    @property
    def pid(self) -> int:
        return self.process.pid

    def wait_ready(self) -> None:
        """Until everything is listed and the watches are up."""
        until("the operator", self._is_ready)
        self.ready_s = time.monotonic() - self._began

    def writes(self) -> int:
        """Requests so far that change something."""
        return sum(self.written().values())

    def written(self) -> dict[str, int]:
        """The same by verb and kind: 'PATCH elasticjobs'."""
        found: dict[str, int] = {}
        for row in self._ask("/metrics").splitlines():
            if row.startswith("elasticjob_api_requests_total{"):
                labels = dict(re.findall(r'(\w+)="([^"]*)"', row))
                what = f"{labels['method']} {labels['resource']}"
                if labels["method"] in WRITES:
                    found[what] = found.get(what, 0) + int(float(row.rpartition(" ")[2]))
        return found

    def end(self) -> None:
        """In order."""
        self.process.terminate()
        self.process.wait(30)

    def _is_ready(self) -> bool:
        try:
            return bool(self._ask("/readyz"))
        except (OSError, urllib.error.URLError):
            return False

    def _ask(self, path: str) -> str:
        found = re.search(r"health: port (\d+)", self._log.read_text())
        if found is None:
            raise OSError("it has not said its port yet")
        with urllib.request.urlopen(f"http://127.0.0.1:{found[1]}{path}", timeout=5) as reply:
            text: str = reply.read().decode()
            return text


@contextmanager
def operator(site: Site, root: Path, name: str = "operator") -> Iterator[Operator]:
    """Ready when the block begins, gone when it ends."""
    found = Operator(site, root / f"{name}.log")
    try:
        found.wait_ready()
        yield found
    finally:
        found.end()
