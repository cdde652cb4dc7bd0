"""The operator as a process against the local API server: its start, its health, its end."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from dev.wait import wait_until_async
from tests.support.jobs import elastic_job
from tests.support.operator_log import health_port

from elasticjob.api.crd import custom_resource_definition
from elasticjob.local.api.call import Call
from elasticjob.local.api.objects.builtins import CRDS, PODS
from elasticjob.local.api.server import RunningServer, serve
from elasticjob.wire import names

pytestmark = pytest.mark.process

DEADLINE_S = 40.0
OPERATOR = (sys.executable, "-m", "elasticjob.controller")
HEALTH = ("--health-host", "127.0.0.1", "--health-port", "0")


def apply(running: RunningServer, name: str) -> None:
    body = {**elastic_job(name, replicas=1), "metadata": {"name": name}}
    running.store.create(running.store.resources[names.GROUP, names.PLURAL], "default", body)


async def has_pod(running: RunningServer, name: str) -> None:
    has = lambda: running.store.find(PODS, "default", name) is not None  # noqa: E731
    await wait_until_async(has, what=f"pod {name}", within_s=DEADLINE_S)


async def is_ready(session: aiohttp.ClientSession, readyz: str) -> None:
    async def holds() -> bool:
        return (await session.get(readyz)).status == 200

    await wait_until_async(holds, what="readiness", within_s=DEADLINE_S)


class Operator:
    """An operator's process, and what it has logged so far."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[bytes] = []
        self._reads = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            self.lines.append(line)

    async def port(self) -> int:
        found = lambda: next(filter(None, map(health_port, self.lines)), 0)  # noqa: E731
        await wait_until_async(
            lambda: found() or self._reads.done(), what="the health port", within_s=DEADLINE_S
        )
        assert found(), "the operator ended before it served its health"
        return found()

    async def ends(self) -> int:
        """Wait until it has ended; the exit code."""
        await self._reads
        return await self.process.wait()

    async def stop(self) -> int:
        self.process.terminate()
        return await self.ends()


@asynccontextmanager
async def operator(*flags: str) -> AsyncIterator[Operator]:
    """Start an operator. A test that fails leaves none behind, and shows what it has logged."""
    process = await asyncio.create_subprocess_exec(
        *OPERATOR, *HEALTH, *flags, stderr=asyncio.subprocess.PIPE
    )
    found = Operator(process)
    try:
        yield found
    finally:
        if process.returncode is None:
            process.kill()
        await found.ends()
        print(b"".join(found.lines).decode())


async def test_it_is_ready_measures_itself_and_ends_at_a_signal(tmp_path: Path) -> None:
    async with (
        serve(tmp_path) as running,
        operator("--kubeconfig", str(running.operator_kubeconfig)) as found,
    ):
        base = f"http://127.0.0.1:{await found.port()}"
        async with aiohttp.ClientSession() as session, asyncio.timeout(DEADLINE_S):
            await is_ready(session, f"{base}/readyz")
            assert (await session.get(f"{base}/livez")).status == 200
            text = await (await session.get(f"{base}/metrics")).text()
        assert 'elasticjob_api_requests_total{code="200",method="GET"' in text
        async with asyncio.timeout(DEADLINE_S):
            assert await found.stop() == 0


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--workers", "none"], "--workers is 'none': give a whole number"),
        ([], 'the definition of ElasticJob is not installed: apply crds/ first"}'),
    ],
)
async def test_it_reports_in_a_line_why_it_cannot_start(
    tmp_path: Path, flags: list[str], said: str
) -> None:
    async with (
        serve(tmp_path, definitions=[]) as running,
        asyncio.timeout(DEADLINE_S),
        operator("--kubeconfig", str(running.operator_kubeconfig), *flags) as found,
    ):
        assert await found.ends() == 2
        assert said in found.lines[-1].decode()


async def test_an_api_server_that_goes_away_and_comes_back_is_waited_for(tmp_path: Path) -> None:
    async with (
        serve(tmp_path) as running,
        operator("--kubeconfig", str(running.operator_kubeconfig)) as found,
    ):
        apply(running, "first")
        await has_pod(running, "first-0-0")
        running.faults.freeze()
        running.faults.cut_streams()
        apply(running, "second")
        running.faults.thaw()
        await has_pod(running, "second-0-0")
        async with asyncio.timeout(DEADLINE_S):
            await found.stop()


@pytest.mark.parametrize("scope", [(), ("--namespace", "default")])
async def test_it_ends_with_the_definition_and_works_when_it_is_back(
    tmp_path: Path, scope: tuple[str, ...]
) -> None:
    async with serve(tmp_path) as running, asyncio.timeout(DEADLINE_S):
        flags = ("--kubeconfig", str(running.operator_kubeconfig), *scope)
        async with operator(*flags) as found:
            apply(running, "first")
            await has_pod(running, "first-0-0")
            running.store.delete(CRDS, "", f"{names.PLURAL}.{names.GROUP}")
            assert await found.ends() == 2
        last = json.loads(found.lines[-1])
        assert last["event"].startswith("watch /apis/")
        assert last["event"].endswith("is not installed: apply crds/ first")
        assert b"Traceback" not in b"".join(found.lines)
        running.store.create(CRDS, "", custom_resource_definition())
        async with operator(*flags) as found:
            apply(running, "second")
            await has_pod(running, "second-0-0")
            await found.stop()


async def test_a_pod_that_was_deleted_while_no_watch_ran_is_replaced_at_once(
    tmp_path: Path,
) -> None:
    """Watches that start again deliver no deletion, and the next resync is ten minutes away."""

    def is_watch(call: Call) -> bool:
        return call.path.endswith("/pods") and "watch" in call.query

    async with (
        serve(tmp_path) as running,
        asyncio.timeout(DEADLINE_S),
        operator("--kubeconfig", str(running.operator_kubeconfig)) as found,
    ):
        apply(running, "first")
        await has_pod(running, "first-0-0")
        refusal = running.faults.refuse(410, is_watch)
        while refusal.times:
            running.faults.cut_streams(is_watch)
            await asyncio.sleep(0.02)
        running.store.delete(PODS, "default", "first-0-0")
        assert running.store.find(PODS, "default", "first-0-0") is None
        await has_pod(running, "first-0-1")
        await found.stop()


@pytest.mark.parametrize("election", [(), ("--elect", "default/operator")])
async def test_it_is_ready_when_the_api_server_has_answered_and_stays_so(
    tmp_path: Path, election: tuple[str, ...]
) -> None:
    """Else a rollout to operators that cannot reach it replaces those that can.

    A candidate is ready at its first answer, and then again when it leads and has listed all: it
    creates pods then.
    """
    async with serve(tmp_path) as running, asyncio.timeout(DEADLINE_S):
        running.faults.freeze()
        flags = ("--kubeconfig", str(running.operator_kubeconfig), *election)
        async with operator(*flags) as found, aiohttp.ClientSession() as session:
            readyz = f"http://127.0.0.1:{await found.port()}/readyz"
            assert (await session.get(readyz)).status == 503
            running.faults.thaw()
            apply(running, "first")
            await has_pod(running, "first-0-0")
            await is_ready(session, readyz)
            running.faults.freeze()
            running.faults.cut_streams()
            assert (await session.get(readyz)).status == 200
            running.faults.thaw()
            await found.stop()
