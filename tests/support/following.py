"""The operator's watches, on a thread and a loop of their own as in the operator."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Collection, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.connections import forget_connections

from elasticjob.controller import handlers
from elasticjob.controller.kube import Json, Kube, Resource
from elasticjob.controller.session import SILENCE_S

DEADLINE_S = 30.0


@dataclass
class Following:
    """What the watches deliver. seen: resource, name, whether it is gone. ended: why they ended."""

    heard: int = 0
    seen: list[tuple[str, str, bool]] = field(default_factory=list)
    bodies: list[Json] = field(default_factory=list)
    ready: threading.Event = field(default_factory=threading.Event)
    ended: Future[None] = field(default_factory=Future)

    def hear(self, resource: Resource) -> None:
        self.heard += 1

    def deliver(self, resource: Resource, body: Json, gone: bool) -> None:
        self.bodies.append(body)
        self.seen.append((resource.plural, body["metadata"]["name"], gone))

    def why_ended(self) -> BaseException | None:
        """Waits for the end."""
        return self.ended.exception(DEADLINE_S)


async def _end_all() -> None:
    """Cancels all tasks until none is left.

    The operator need not: its process ends. A request of kopf that is cancelled while its session
    is closed takes that for a reason to sign in again, and waits for credentials for ever: so one
    cancellation is not enough.
    """
    while left := asyncio.all_tasks() - {asyncio.current_task()}:
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=0.1)


@contextmanager
def following(
    kubeconfig: Path,
    namespaces: Collection[str] = (),
    silence_s: float = SILENCE_S,
    **networking: Any,
) -> Iterator[Following]:
    """The watches while the context lasts; networking: kopf's settings of that name."""
    found, kube = Following(), Kube(kubeconfig, threads=1)
    settings = handlers.settings()
    for name, value in networking.items():
        setattr(settings.networking, name, value)
    loop, stop = asyncio.new_event_loop(), asyncio.Event()

    async def main() -> None:
        registry = handlers.registry(found.hear, found.deliver, kube.credentials, silence_s)
        follow = handlers.follow(registry, namespaces, found.ready.set, settings)
        task, stopped = asyncio.create_task(follow), asyncio.create_task(stop.wait())
        await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            found.ended.set_exception(task.exception())
        await _end_all()

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
