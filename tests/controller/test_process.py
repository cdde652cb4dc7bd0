"""The operator as a process on the local mode, with real agents and workers of a few lines."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from tests.support.jobs import elastic_job, worker

from elasticjob.local.builtins import LEASES, PODS
from elasticjob.local.resource import Object
from elasticjob.local.server import Running, serve
from elasticjob.local.up import Local, up
from elasticjob.wire import lease as leases
from elasticjob.wire import names
from elasticjob.wire.desired import Desired

pytestmark = pytest.mark.process

T = "0.3"
DEADLINE_S = 40.0
WAITS = "import signal, sys; signal.signal(15, lambda *_: sys.exit(0)); signal.pause()"
OPERATOR = (sys.executable, "-m", "elasticjob.controller")
HEALTH = ("--health-host", "127.0.0.1", "--health-port", "0")


class Cluster:
    """What a person sees of it."""

    def __init__(self, running: Running) -> None:
        self.store = running.store
        self._jobs = self.store.resources[names.GROUP, names.PLURAL]

    def apply(self, name: str, command: list[str], **spec: Any) -> None:
        body = elastic_job(name, pod={"containers": [worker(command=command)]}, **spec)
        self.store.create(self._jobs, "default", {**body, "metadata": {"name": name}})

    def edit(self, name: str, **spec: Any) -> None:
        change = lambda old: {**old, "spec": {**old["spec"], **spec}}  # noqa: E731
        self.store.update(self._jobs, "default", name, change)

    def delete(self, name: str) -> None:
        self.store.delete(self._jobs, "default", name)

    def status(self, name: str) -> Object:
        found: Object = self.store.get(self._jobs, "default", name).get("status", {})
        return found

    def phase(self, name: str) -> str:
        return str(self.status(name).get("phase", ""))

    def pods(self, name: str) -> list[str]:
        of_job = [p["metadata"] for p in self.store.list(PODS, "default")]
        return [m["name"] for m in of_job if m["labels"][names.LABEL_JOB] == name]

    def desired(self, name: str) -> Desired:
        found = self.store.get(LEASES, "default", names.round_lease_name(name))
        return leases.parse_round(found).desired

    async def until(self, holds: Callable[[], bool]) -> None:
        """Looks again after each write."""
        changed = asyncio.Event()
        listener = lambda resource, event: changed.set()  # noqa: E731
        self.store.listeners.append(listener)
        try:
            async with asyncio.timeout(DEADLINE_S):
                while not holds():
                    await changed.wait()
                    changed.clear()
        finally:
            self.store.listeners.remove(listener)

    async def runs(self, name: str, ready: str) -> None:
        await self.until(
            lambda: self.phase(name) == "Running" and self.status(name)["ready"] == ready
        )


@asynccontextmanager
async def whole(root: Path) -> AsyncIterator[tuple[Local, Cluster]]:
    operator = (*OPERATOR, "--heartbeat-seconds", T, *HEALTH)
    async with up(root, operator=operator) as local:
        yield local, Cluster(local.server)


def test_a_job_from_start_to_end_beside_one_that_cannot_start(tmp_path: Path) -> None:
    async def main() -> None:
        async with whole(tmp_path) as (_, cluster):
            cluster.apply("bad", ["no-such-command"], replicas=2)
            cluster.apply("good", ["python3", "-c", "print(1)"], replicas=2)
            await cluster.until(lambda: cluster.phase("good") == "Complete")
            await cluster.until(lambda: cluster.phase("bad") == "Failed: StartFailed")
            assert "no-such-command" in cluster.status("bad")["lastFailure"]["message"]
            await cluster.until(lambda: cluster.pods("good") == [])
            blamed = cluster.status("bad")["lastFailure"]["pod"]  # both failed; one was first
            await cluster.until(lambda: cluster.pods("bad") == [blamed])

    asyncio.run(main())


def test_a_script_that_does_not_exist_ends_the_job_and_is_named(tmp_path: Path) -> None:
    async def main() -> None:
        async with whole(tmp_path) as (_, cluster):
            cluster.apply("job", ["python3", "/none/train.py"], replicas=2, maxRestarts=1)
            await cluster.until(lambda: cluster.phase("job") == "Failed: WorkerFailed")
            failed = cluster.status("job")["conditions"][-1]
            assert failed["type"] == "Failed"
            assert "exit code 2 of python3 /none/train.py" in failed["message"]
            assert cluster.status("job")["counted"] == 1

    asyncio.run(main())


def test_scaled_suspended_resumed_and_made_anew_without_a_charge(tmp_path: Path) -> None:
    async def main() -> None:
        async with whole(tmp_path) as (_, cluster):
            cluster.apply("job", ["python3", "-c", WAITS], replicas=3, minReplicas=2)
            await cluster.runs("job", "3/3")
            cluster.edit("job", replicas=2)
            await cluster.runs("job", "2/2")
            await cluster.until(lambda: cluster.pods("job") == ["job-0-0", "job-1-0"])
            cluster.edit("job", suspend=True)
            await cluster.until(lambda: cluster.phase("job") == "Suspended")
            assert cluster.pods("job") == []
            cluster.edit("job", suspend=False)
            await cluster.runs("job", "2/2")
            assert cluster.pods("job") == ["job-0-1", "job-1-1"]
            template = {"spec": {"containers": [worker(command=["python3", "-c", WAITS, "new"])]}}
            cluster.edit("job", template=template)
            await cluster.until(lambda: cluster.pods("job") == ["job-0-2", "job-1-2"])
            await cluster.runs("job", "2/2")
            assert cluster.status("job")["counted"] == 0
            assert cluster.desired("job").charged == frozenset()

    asyncio.run(main())


def test_a_frozen_pod_is_replaced_and_the_new_one_joins(tmp_path: Path) -> None:
    async def main() -> None:
        async with whole(tmp_path) as (local, cluster):
            cluster.apply("job", ["python3", "-c", WAITS], replicas=2)
            await cluster.runs("job", "2/2")
            local.kubelet.freeze("default", "job-1-0")
            await cluster.until(lambda: "job-1-1" in cluster.pods("job"))
            await cluster.until(lambda: cluster.status("job")["restarts"] == 1)
            await cluster.runs("job", "2/2")
            assert cluster.status("job")["lastFailure"]["reason"] == "PodSilent"
            assert cluster.status("job")["counted"] == 1

    asyncio.run(main())


def test_a_deleted_job_leaves_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        async with whole(tmp_path) as (_, cluster):
            cluster.apply("job", ["python3", "-c", WAITS], replicas=2)
            await cluster.runs("job", "2/2")
            cluster.delete("job")
            await cluster.until(
                lambda: cluster.pods("job") == [] and cluster.store.list(LEASES, "default") == []
            )

    asyncio.run(main())


# ---- the process ---------------------------------------------------------------------------------


async def start(*flags: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *OPERATOR, *HEALTH, *flags, stderr=asyncio.subprocess.PIPE
    )


async def port_of(process: asyncio.subprocess.Process) -> int:
    assert process.stderr is not None
    async for line in process.stderr:
        if b"health: port " in line:
            return int(line.rsplit(b" ", 1)[1])
    raise AssertionError("it did not start")


def test_it_is_ready_measures_itself_and_ends_when_it_is_told_to(tmp_path: Path) -> None:
    async def main() -> None:
        async with serve(tmp_path) as running:
            process = await start("--kubeconfig", str(running.operator_kubeconfig))
            base = f"http://127.0.0.1:{await port_of(process)}"
            drain = asyncio.create_task(process.communicate())
            async with aiohttp.ClientSession() as session, asyncio.timeout(DEADLINE_S):
                while (await session.get(f"{base}/readyz")).status != 200:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
                assert (await session.get(f"{base}/livez")).status == 200
                text = await (await session.get(f"{base}/metrics")).text()
            assert 'elasticjob_api_requests_total{code="200",method="GET"' in text
            process.terminate()
            async with asyncio.timeout(DEADLINE_S):
                await drain
            assert process.returncode == 0

    asyncio.run(main())


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--workers", "none"], "--workers is 'none': give a whole number from 1 to 64"),
        ([], "the definition of ElasticJob is not installed: apply crds/ first"),
    ],
)
def test_it_says_in_a_line_why_it_cannot_start(tmp_path: Path, flags: list[str], said: str) -> None:
    async def main() -> None:
        async with serve(tmp_path, definitions=[]) as running, asyncio.timeout(DEADLINE_S):
            process = await start("--kubeconfig", str(running.operator_kubeconfig), *flags)
            _, errors = await process.communicate()
            assert process.returncode == 2
            assert said in errors.decode().splitlines()[-1]

    asyncio.run(main())


def test_an_api_server_that_goes_away_and_comes_back_is_waited_for(tmp_path: Path) -> None:
    async def main() -> None:
        async with serve(tmp_path) as running:
            cluster = Cluster(running)
            process = await start("--kubeconfig", str(running.operator_kubeconfig))
            drain = asyncio.create_task(process.communicate())
            cluster.apply("first", ["python3"], replicas=1)
            await cluster.until(lambda: cluster.pods("first") == ["first-0-0"])
            running.faults.freeze()
            running.faults.cut_streams()
            cluster.apply("second", ["python3"], replicas=1)
            running.faults.thaw()
            await cluster.until(lambda: cluster.pods("second") == ["second-0-0"])
            process.terminate()
            async with asyncio.timeout(DEADLINE_S):
                await drain

    asyncio.run(main())
