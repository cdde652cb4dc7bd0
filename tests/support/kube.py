"""The Kubernetes cluster of the tests: requests with the rights of a kubeconfig, kubectl, waits."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from dev.kube_client import Client, Json
from dev.wait import wait_until

T = TypeVar("T")

REQUEST_S = 10.0
PATIENCE_S = 90.0  # for any one thing to happen, on a slow and shared machine
LOOK_EVERY_S = 0.1
PAUSE = threading.Event()


@dataclass
class Kube:
    """One cluster. An answer that is an error raises RefusedError, no answer OSError."""

    kubeconfig: Path
    kubectl_command: Sequence[str]
    """The words that start kubectl."""
    client: Client = field(init=False)

    def __post_init__(self) -> None:
        self.client = Client.from_kubeconfig(self.kubeconfig, timeout_s=REQUEST_S)

    def close(self) -> None:
        """Close the connection."""
        self.client.close()

    def get(self, path: str, **query: Any) -> Json:
        """One object or list."""
        found: Json = self.client.get(path, **query).accepted()
        return found

    def items(self, path: str, **query: Any) -> list[Json]:
        """The items of a list."""
        return self.get(path, **query)["items"]

    def post(self, path: str, body: Json) -> Json:
        """Create an object."""
        made: Json = self.client.post(path, body).accepted()
        return made

    def patch(self, path: str, body: Json) -> Json:
        """Change an object by a merge patch."""
        changed: Json = self.client.patch(path, body).accepted()
        return changed

    def delete(self, path: str, **query: Any) -> None:
        """Delete an object or a collection; an object that does not exist counts as deleted."""
        reply = self.client.delete(path, **query)
        if reply.code != 404:
            reply.accepted()

    def exists(self, path: str) -> bool:
        """Whether there is such an object."""
        reply = self.client.get(path)
        return reply.code != 404 and bool(reply.accepted())

    def kubectl(self, *words: str, check: bool = True, stdin: str = "") -> str:
        """Run kubectl; return what it prints."""
        command = [*self.kubectl_command, f"--kubeconfig={self.kubeconfig}", *words]
        done = subprocess.run(
            command, input=stdin, capture_output=True, text=True, check=False, timeout=60
        )
        if check and done.returncode:
            raise AssertionError(f"kubectl {' '.join(words)}: {done.stderr or done.stdout}")
        return done.stdout + ("" if check else done.stderr)


def until(what: str, look: Callable[[], T], within_s: float = PATIENCE_S) -> T:
    """Wait for the first true result of `look`; a look without an answer counts as a false one."""
    return wait_until(look, what=what, within_s=within_s, every_s=LOOK_EVERY_S, not_yet=(OSError,))


def throughout(what: str, holds: Callable[[], bool], for_s: float) -> None:
    """Assert that a condition holds during a whole period."""
    end = time.monotonic() + for_s
    while time.monotonic() < end:
        assert holds(), f"for {for_s:.0f} s, {what}"
        PAUSE.wait(LOOK_EVERY_S)
