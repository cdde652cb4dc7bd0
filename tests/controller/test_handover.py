"""Two operators as processes: what a frozen leader had begun is neither lost nor done twice."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from dev.wait import wait_until_async
from tests.support.jobs import elastic_job

from elasticjob.controller.settings import Settings
from elasticjob.local.api.call import Call
from elasticjob.local.api.objects.builtins import LEASES, PODS
from elasticjob.local.api.server import RunningServer, serve
from elasticjob.wire import names

pytestmark = pytest.mark.process

LEASE = "operator"
TERM_S = 1.5
DEADLINE_S = 30.0
THREADS = 2 * Settings().workers
JOBS = [f"job-{number}" for number in range(8)]


@dataclass
class Journal:
    """Who wrote what, in order; told on the server's loop. As a fault it never applies."""

    lines: list[tuple[str, str]] = field(default_factory=list)
    on_write: Callable[[str, str], None] = lambda token, path: None

    def __call__(self, call: Call) -> bool:
        if call.method != "GET":
            token = call.authorization.removeprefix("Bearer ")
            self.lines.append((token, call.path))
            self.on_write(token, call.path)
        return False

    def writes(self, token: str) -> list[str]:
        """All but those of the election, which are guarded by the Lease's version."""
        own = f"/leases/{LEASE}"
        return [path for by, path in self.lines if by == token and not path.endswith(own)]


@asynccontextmanager
async def operator(kubeconfig: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "elasticjob.controller", "--kubeconfig", kubeconfig,
        "--elect", f"default/{LEASE}", "--elect-seconds", str(TERM_S), "--health-port", "0",
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGCONT)
            process.terminate()
        async with asyncio.timeout(DEADLINE_S):
            await process.wait()


def holder(running: RunningServer) -> str:
    lease = running.store.find(LEASES, "default", LEASE) or {}
    return str(lease.get("spec", {}).get("holderIdentity") or "")


def create_jobs(running: RunningServer) -> None:
    resource = running.store.resources[names.GROUP, names.PLURAL]
    for name in JOBS:
        job = elastic_job(name)
        job["metadata"] = {"name": name}
        running.store.create(resource, "default", job)


def pods(running: RunningServer) -> dict[str, str]:
    """Names and UIDs."""
    found = [pod["metadata"] for pod in running.store.list(PODS, "default")]
    return {meta["name"]: meta["uid"] for meta in found}


async def test_a_frozen_leader_does_no_harm(tmp_path: Path) -> None:
    journal = Journal()
    wanted = [names.pod_name(job, index, 0) for job in JOBS for index in range(4)]
    async with serve(tmp_path) as running:
        running.faults.refuse(500, journal, times=None)
        async with operator(running.kubeconfig) as first:
            await wait_until_async(lambda: bool(holder(running)), within_s=DEADLINE_S)
            led_first, frozen = holder(running), asyncio.Event()

            def freeze(token: str, path: str) -> None:
                """In the middle of its work: at the third pod that it makes."""
                made = [p for p in journal.writes(running.token) if p.endswith("/pods")]
                if len(made) == 3 and not frozen.is_set():
                    os.kill(first.pid, signal.SIGSTOP)
                    frozen.set()

            journal.on_write = freeze
            async with operator(running.operator_kubeconfig):
                create_jobs(running)
                await asyncio.wait_for(frozen.wait(), DEADLINE_S)
                await wait_until_async(
                    lambda: holder(running) not in ("", led_first), within_s=DEADLINE_S
                )
                await wait_until_async(
                    lambda: len(pods(running)) == len(wanted), within_s=DEADLINE_S
                )
                made, written = pods(running), len(journal.writes(running.token))
                first.send_signal(signal.SIGCONT)
                async with asyncio.timeout(DEADLINE_S):
                    assert await first.wait() == 1
                # What had passed the check when it froze still goes out, one request a thread, and
                # finds that its name is taken or its version old.
                assert len(journal.writes(running.token)) - written <= THREADS
                assert pods(running) == made
                assert sorted(made) == sorted(wanted)


async def test_a_leader_that_receives_sigterm_hands_over_at_once(tmp_path: Path) -> None:
    async with serve(tmp_path) as running, operator(running.kubeconfig) as first:
        await wait_until_async(lambda: bool(holder(running)), within_s=DEADLINE_S)
        led_first = holder(running)
        async with operator(running.operator_kubeconfig):
            first.terminate()
            async with asyncio.timeout(DEADLINE_S):
                assert await first.wait() == 0
            assert holder(running) != led_first
            await wait_until_async(
                lambda: holder(running) not in ("", led_first), within_s=DEADLINE_S
            )
