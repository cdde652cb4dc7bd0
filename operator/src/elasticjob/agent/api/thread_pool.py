"""A small pool of threads for calls, each thread with its own connection."""

from __future__ import annotations

import threading
from collections import deque
from queue import SimpleQueue
from typing import Callable

from elasticjob.agent.api.drivers import Transport

LIMIT = 4

Work = Callable[[Transport], None]


class CallThreads:
    """Runs calls on up to `limit` threads; usually one thread and one connection serve all calls.

    The thread that became idle last runs the next call: a crash must not wait for a TLS handshake.
    A thread is added while all are busy, so that a request that hangs does not delay the next one.
    """

    def __init__(self, connect: Callable[[], Transport], limit: int = LIMIT) -> None:
        self._connect = connect
        self._limit = limit
        self._lock = threading.Lock()
        self._idle: list[SimpleQueue[Work | None]] = []
        self._waiting: deque[Work] = deque()
        self._count = 0  # of threads
        self._closed = False

    @property
    def busy(self) -> int:
        """The number of threads that run a call."""
        with self._lock:
            return self._count - len(self._idle)

    def submit(self, call: Work) -> None:
        """Run the call soon, on a thread. Returns at once. The call must not raise."""
        with self._lock:
            if self._idle:
                self._idle.pop().put(call)
            elif self._count < self._limit:
                self._count += 1
                name = f"call-{self._count}"
                threading.Thread(target=self._serve, args=(call,), name=name, daemon=True).start()
            else:
                self._waiting.append(call)

    def close(self) -> None:
        """End the idle threads now, and each busy one after its call."""
        with self._lock:
            self._closed = True
            for queue in self._idle:
                queue.put(None)

    def _serve(self, first: Work) -> None:
        transport = self._connect()
        queue: SimpleQueue[Work | None] = SimpleQueue()
        call: Work | None = first
        while call is not None:
            call(transport)
            call = self._next(queue)
        transport.close()

    def _next(self, queue: SimpleQueue[Work | None]) -> Work | None:
        """Wait for another call. None: the pool was closed."""
        with self._lock:
            if self._closed:
                return None
            if self._waiting:
                return self._waiting.popleft()
            self._idle.append(queue)
        return queue.get()
