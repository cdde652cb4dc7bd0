"""Run one agent as a pod does, against a scripted API server that stores its Leases."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dev.wait import wait_until
from tests.support.merge_patch import merge
from tests.support.protocol import JOB, is_round_lease, round_object
from tests.support.scripted_api import (
    Answer,
    ReceivedRequest,
    ScriptedApi,
    Stream,
    reply,
    scripted_api,
    token_directory,
)
from tests.support.survivors import sweep

from elasticjob.controller.act import launcher
from elasticjob.controller.act.bundle import build
from elasticjob.wire.lease import RoundLease, parse_round, round_patch
from elasticjob.wire.round import Round

PATIENCE_S = 20.0
INITIAL_END = {"k8s.io/initial-events-end": "true"}


class LeaseStore:
    """The API server's side: the Round Lease, this agent's Lease and one watch at a time."""

    def __init__(self, api: ScriptedApi) -> None:
        self.api = api
        self._versions = itertools.count(10)
        self._round = round_object(3, holder="B")
        self._lease: dict[str, Any] = {}
        self._watch = Stream()
        api.otherwise = self._answer

    @property
    def round(self) -> RoundLease:
        return parse_round(self._round)

    @property
    def state(self) -> Any:
        """The state in the agent's Lease."""
        notes = self._lease.get("metadata", {}).get("annotations", {})
        return json.loads(next(iter(notes.values()))) if notes else {}

    def set_round(self, round_: Round) -> None:
        """Write a round as another agent does."""
        self._store(merge(self._round, round_patch(round_, self.round.version)))

    def rewrite_lease(self) -> None:
        """Give the agent's Lease a new version, as a mark or an answer that is lost does."""
        self._store(merge(self._lease, {}))

    def close(self) -> None:
        self._watch.end()

    def _answer(self, request: ReceivedRequest) -> Answer:
        if request.method == "GET" and "watch=true" in request.path:
            return self._open_watch()
        if request.method == "GET":
            return reply(200, self._lease) if self._lease else reply(404)
        if request.method == "POST":
            self._lease = request.json
            self._lease["metadata"].update(uid="lease-uid", resourceVersion="9")
            return reply(201, self._lease)
        kept = self._round if request.path.endswith("/demo-round") else self._lease
        if request.json["metadata"]["resourceVersion"] != kept["metadata"]["resourceVersion"]:
            return reply(409)
        return reply(200, self._store(merge(kept, request.json)))

    def _store(self, made: dict[str, Any]) -> dict[str, Any]:
        made["metadata"]["resourceVersion"] = str(next(self._versions))
        if is_round_lease(made):
            self._round = made
            self._watch.send({"type": "MODIFIED", "object": made})
        else:
            self._lease = made
        return made

    def _open_watch(self) -> Stream:
        self._watch = Stream()
        version = self._round["metadata"]["resourceVersion"]
        end = {"metadata": {"resourceVersion": version, "annotations": INITIAL_END}}
        self._watch.send(
            {"type": "ADDED", "object": self._round}, {"type": "BOOKMARK", "object": end}
        )
        return self._watch


@dataclass
class OnePod:
    """The agent's process."""

    process: subprocess.Popen[bytes]
    job: LeaseStore
    root: Path
    uid: str

    def log(self, words: str) -> str:
        """Wait until the log contains these words; return the log."""
        path = self.root / "log"
        self.until(lambda: words in path.read_text())
        return path.read_text()

    def until(self, seen: Any) -> Any:
        """Wait for the first true result of the function, and return it."""
        try:
            return wait_until(seen, every_s=0.005)
        except TimeoutError:
            raise AssertionError((self.root / "log").read_text()) from None

    def wait(self) -> int:
        return self.process.wait(PATIENCE_S)

    @property
    def termination_message(self) -> Any:
        return json.loads((self.root / "termination-message").read_text())


@contextmanager
def one_pod(
    root: Path, *command: str, workers: int = 1, under: tuple[str, ...] = (), **environment: str
) -> Iterator[OnePod]:
    """An agent whose workers run this command. under: a program that starts it in its own way.

    environment: over what the operator gives.
    """
    with scripted_api() as api:
        job = LeaseStore(api)
        uid = f"pod-{os.getpid()}-{root.name}"
        bundle = build()
        (root / "agent.pyz").write_bytes(bundle.data)
        agent = launcher.command(str(root / "agent.pyz"), bundle.hash)[1:]
        (root / "work").mkdir()
        given = {
            "PATH": os.environ["PATH"],
            "ELASTICJOB_NAMESPACE": JOB.namespace,
            "ELASTICJOB_NAME": JOB.name,
            "ELASTICJOB_UID": JOB.uid,
            "ELASTICJOB_POD_NAME": "demo-0-0",
            "ELASTICJOB_POD_UID": uid,
            "ELASTICJOB_POD_IP": "127.0.0.1",
            "ELASTICJOB_NODE_NAME": "node",
            "ELASTICJOB_INDEX": "0",
            "ELASTICJOB_GENERATION": "0",
            "ELASTICJOB_NPROC": str(workers),
            "ELASTICJOB_DIR": str(root / "work"),
            "ELASTICJOB_TOKEN_DIR": str(token_directory(root / "token")),
            "ELASTICJOB_CGROUP_DIR": str(root / "cgroup"),
            "ELASTICJOB_TERMINATION_LOG": str(root / "termination-message"),
            "KUBERNETES_SERVICE_HOST": api.host,
            "KUBERNETES_SERVICE_PORT": str(api.port),
            **environment,
        }
        with (root / "log").open("wb") as log:
            process = subprocess.Popen(
                [*under, sys.executable, *agent, *command],
                env=given,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            yield OnePod(process, job, root, uid)
        finally:
            process.kill()
            process.wait()
            sweep(ELASTICJOB_POD_UID=uid)
            job.close()
