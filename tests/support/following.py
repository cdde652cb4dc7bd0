"""Run the operator's watches on a thread with its own event loop, as the operator does."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Collection, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from tests.support.connections import forget_connections

from elasticjob.controller.kube import Kube, Resource
from elasticjob.controller.watch import handlers
from elasticjob.controller.watch.handlers import Watches
from elasticjob.wire.codec import Json

DEADLINE_S = 30.0


@dataclass
class Following:
    """What the watches delivered. seen: resource, name, is it gone. ended: why they ended."""

    deliveries: int = 0
    seen: list[tuple[str, str, bool]] = field(default_factory=list)
    bodies: list[Json] = field(default_factory=list)
    starts: int = 0
    ready: threading.Event = field(default_factory=threading.Event)
    ended: Future[None] = field(default_factory=Future)
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)

    def watchers(self) -> int:
        """How many tasks of kopf watch a resource."""
        tasks = asyncio.all_tasks(self.loop)
        return len([task for task in tasks if task.get_name().startswith("watcher for ")])

    def start(self) -> None:
        self.starts += 1
        self.ready.set()

    def note_delivery(self, resource: Resource) -> None:
        self.deliveries += 1

    def deliver(self, resource: Resource, body: Json, gone: bool) -> None:
        self.bodies.append(body)
        self.seen.append((resource.plural, body["metadata"]["name"], gone))

    def why_ended(self) -> BaseException | None:
        """Waits for the end."""
        return self.ended.exception(DEADLINE_S)


@contextmanager
def following(
    kubeconfig: Path,
    namespaces: Collection[str] = (),
    error_backoffs: Collection[float] | None = None,
    **options: Any,
) -> Iterator[Following]:
    """The watches while the context lasts. error_backoffs: of kopf; options: of Watches."""
    found, kube = Following(), Kube(kubeconfig, threads=1)
    settings = handlers.settings()
    if error_backoffs is not None:
        settings.networking.error_backoffs = error_backoffs
    watches = Watches(
        found.note_delivery,
        found.deliver,
        kube.credentials,
        namespaces,
        settings=settings,
        **options,
    )
    loop, stop = found.loop, asyncio.Event()

    async def main() -> None:
        task = asyncio.create_task(watches.follow(found.start))
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            found.ended.set_exception(task.exception())
        assert await handlers.end_all({cast(Any, asyncio.current_task())})

    def run() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(main())

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        with suppress(RuntimeError):  # it has ended by itself
            loop.call_soon_threadsafe(stop.set)
        thread.join(DEADLINE_S)
        kube.close()
        forget_connections()
    assert not thread.is_alive()
