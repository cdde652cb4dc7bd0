"""Run the local API server on a separate thread, for tests whose clients block."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from elasticjob.local.api.server import RunningServer, serve

T = TypeVar("T")
DEADLINE_S = 10


@dataclass(frozen=True)
class LocalServer:
    """A running server; tests reach its parts through `call`, on the server's event loop."""

    running: RunningServer
    loop: asyncio.AbstractEventLoop

    def call(self, function: Callable[[RunningServer], T]) -> T:
        """Run a function on the server's event loop; return its result."""

        async def run() -> T:
            return function(self.running)

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(DEADLINE_S)


@contextmanager
def local_server(root: Path, **options: Any) -> Iterator[LocalServer]:
    """Serve while the context lasts; `options` are those of `serve`."""
    started: Future[LocalServer] = Future()
    stopped: Future[None] = Future()
    thread = threading.Thread(target=_run, args=(root, options, started, stopped), daemon=True)
    thread.start()
    server = started.result(DEADLINE_S)
    try:
        yield server
    finally:
        server.loop.call_soon_threadsafe(stopped.set_result, None)
        thread.join(DEADLINE_S)
        assert not thread.is_alive(), "the server did not stop"


def _run(
    root: Path, options: dict[str, Any], started: Future[LocalServer], stopped: Future[None]
) -> None:
    async def main() -> None:
        try:
            async with serve(root, **options) as running:
                started.set_result(LocalServer(running, asyncio.get_running_loop()))
                await asyncio.wrap_future(stopped)
        except Exception as error:
            if started.done():
                raise
            started.set_exception(error)

    asyncio.run(main())
