"""kopf itself with our handlers and settings, against the local API server."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import kopf
from tests.support.connections import forget_connections

from elasticjob.controller import handlers
from elasticjob.controller.kube import Json, Kube, Resource
from elasticjob.local.builtins import LEASES
from elasticjob.local.server import Running, serve
from elasticjob.wire import lease as leases
from elasticjob.wire.desired import Desired
from elasticjob.wire.round import Round

DEADLINE_S = 30.0
JOB = leases.Job("default", "demo", "uid-of-demo")
NAME = "demo-round"


@dataclass
class Watches:
    """What kopf tells. heard: of all deliveries; told: holder and whether it is gone."""

    heard: int = 0
    told: list[tuple[str, bool]] = field(default_factory=list)

    def hear(self, resource: Resource) -> None:
        self.heard += 1

    def deliver(self, resource: Resource, body: Json, gone: bool) -> None:
        self.told.append((body["spec"].get("holderIdentity", ""), gone))

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while not holds():  # noqa: ASYNC110
                await asyncio.sleep(0.02)


@asynccontextmanager
async def watching(running: Running) -> AsyncIterator[Watches]:
    found, ready, stop = Watches(), threading.Event(), threading.Event()
    kube = Kube(str(running.operator_kubeconfig), threads=1)
    words: dict[str, Any] = {
        "registry": handlers.registry(found.hear, found.deliver, kube.credentials),
        "settings": handlers.settings(),
        "clusterwide": True,
        "standalone": True,
        "identity": "test",
        "stop_flag": stop,
        "ready_flag": ready,
    }
    ended = asyncio.create_task(asyncio.to_thread(kopf.run, **words))
    try:
        await found.until(ready.is_set)
        yield found
    finally:
        stop.set()
        await ended
        kube.close()
        forget_connections()


def change(running: Running, **spec: Any) -> None:
    running.store.update(
        LEASES, "default", NAME, lambda lease: {**lease, "spec": {**lease["spec"], **spec}}
    )


def test_pulses_are_heard_and_only_news_is_told(tmp_path: Path) -> None:
    async def main() -> tuple[int, list[tuple[str, bool]], Any]:
        async with serve(tmp_path) as running, watching(running) as found:
            lease = leases.round_manifest(JOB, Desired(()), Round(0))
            del lease["metadata"]["ownerReferences"]
            running.store.create(LEASES, "default", lease)
            await found.until(lambda: len(found.told) == 1)
            change(running, holderIdentity="demo-0-0")
            for second in range(4):
                change(running, renewTime=f"2026-01-01T00:00:0{second}.000000Z")
            change(running, holderIdentity="demo-1-0", renewTime="2026-01-01T00:00:09.000000Z")
            await found.until(lambda: len(found.told) == 3)
            last = running.store.get(LEASES, "default", NAME)
            running.store.delete(LEASES, "default", NAME)
            await found.until(lambda: len(found.told) == 4)
            return found.heard, found.told, last["metadata"]["annotations"]

    heard, told, annotations = asyncio.run(main())
    assert heard == 8
    assert told == [("", False), ("demo-0-0", False), ("demo-1-0", False), ("demo-1-0", True)]
    assert [key for key in annotations if "kopf" in key] == []
