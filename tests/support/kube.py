"""A cluster as a person sees it: requests with the rights of a kubeconfig, kubectl, and waiting.

The Kubernetes package's client, because it takes every kubeconfig: tokens, certificates, programs.
"""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import urllib3
from dev.wait import wait_until
from kubernetes import client, config

Json = dict[str, Any]
T = TypeVar("T")

REQUEST_S = 10.0
PATIENCE_S = 90.0  # for any one thing to happen, on a slow and shared machine
LOOK_EVERY_S = 0.1
PAUSE = threading.Event()


class RefusedError(Exception):
    """The API server's answer was an error."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code


@dataclass
class Kube:
    """One cluster. kubectl: the words that start it."""

    kubeconfig: Path
    kubectl_command: Sequence[str]
    api: client.ApiClient = field(init=False)

    def __post_init__(self) -> None:
        self.api = config.new_client_from_config(str(self.kubeconfig))

    def close(self) -> None:
        """Close the connections."""
        self.api.rest_client.pool_manager.clear()
        self.api.close()

    def call(
        self,
        method: str,
        path: str,
        body: Json | None = None,
        content: str = "application/json",
        **query: Any,
    ) -> bytes:
        """One request; raises RefusedError, and ConnectionError where there is no answer."""
        request = self.api.param_serialize(
            method, path, query_params=list(query.items()), body=body,
            header_params={"Accept": "application/json", "Content-Type": content},
            auth_settings=["BearerToken"],
        )  # fmt: skip
        try:
            response = self.api.call_api(*request, _request_timeout=REQUEST_S)
            data: bytes = response.read()
        except urllib3.exceptions.HTTPError as error:
            raise ConnectionError(str(error)) from None
        except client.ApiException as error:
            raise RefusedError(error.status or 0, str(error)) from None
        if not 200 <= response.status < 300:
            raise RefusedError(response.status, data.decode("utf-8", "replace"))
        return data

    def get(self, path: str, **query: Any) -> Json:
        """One object or list."""
        return json.loads(self.call("GET", path, **query))

    def items(self, path: str, **query: Any) -> list[Json]:
        """The items of a list."""
        return self.get(path, **query)["items"]

    def post(self, path: str, body: Json) -> Json:
        """Create an object."""
        return json.loads(self.call("POST", path, body))

    def patch(self, path: str, body: Json) -> Json:
        """A merge patch."""
        return json.loads(self.call("PATCH", path, body, "application/merge-patch+json"))

    def delete(self, path: str, **query: Any) -> None:
        """Delete an object or a collection; what is not there is deleted."""
        try:
            self.call("DELETE", path, **query)
        except RefusedError as refused:
            if refused.code != 404:
                raise

    def exists(self, path: str) -> bool:
        """Whether there is such an object."""
        try:
            self.get(path)
        except RefusedError as refused:
            if refused.code != 404:
                raise
            return False
        return True

    def kubectl(self, *words: str, check: bool = True, stdin: str = "") -> str:
        """What kubectl prints."""
        command = [*self.kubectl_command, f"--kubeconfig={self.kubeconfig}", *words]
        done = subprocess.run(
            command, input=stdin, capture_output=True, text=True, check=False, timeout=60
        )
        if check and done.returncode:
            raise AssertionError(f"kubectl {' '.join(words)}: {done.stderr or done.stdout}")
        return done.stdout + ("" if check else done.stderr)


def until(what: str, look: Callable[[], T], within_s: float = PATIENCE_S) -> T:
    """Wait for the first true result of `look`; a look without an answer counts as a false one."""
    limits: dict[str, Any] = {"within_s": within_s, "every_s": LOOK_EVERY_S}
    return wait_until(look, what=what, not_yet=(ConnectionError,), **limits)


def throughout(what: str, holds: Callable[[], bool], for_s: float) -> None:
    """It holds the whole time."""
    end = time.monotonic() + for_s
    while time.monotonic() < end:
        assert holds(), f"for {for_s:.0f} s, {what}"
        PAUSE.wait(LOOK_EVERY_S)
