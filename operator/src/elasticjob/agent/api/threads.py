"""Threads for requests, each with a connection of its own; few, and the warm ones first."""

from __future__ import annotations

import threading
from collections import deque
from queue import SimpleQueue
from typing import Callable, Generic, Protocol, TypeVar

LIMIT = 4


class Closable(Protocol):
    """A thread's own connection."""

    def close(self) -> None:
        """Ends it."""


Session = TypeVar("Session", bound=Closable)


class CallThreads(Generic[Session]):
    """Runs calls; in the steady state one thread and one connection do it all.

    The thread that was idle last is used first: a crash must not wait for a TLS handshake. Another
    one is added while all are busy, so that a request that hangs does not hold up the next.
    session: makes a thread's own connection.
    """

    def __init__(self, session: Callable[[], Session], limit: int = LIMIT) -> None:
        self._session = session
        self._limit = limit
        self._lock = threading.Lock()
        self._idle: list[SimpleQueue[Callable[[Session], None] | None]] = []
        self._waiting: deque[Callable[[Session], None]] = deque()
        self._count = 0
        self._closed = False

    @property
    def busy(self) -> int:
        """How many threads have a call."""
        with self._lock:
            return self._count - len(self._idle)

    def submit(self, call: Callable[[Session], None]) -> None:
        """Runs the call soon; never blocks. The call must not raise."""
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
        """Ends the threads that are idle, and the others after their call."""
        with self._lock:
            self._closed = True
            for mailbox in self._idle:
                mailbox.put(None)

    def _serve(self, first: Callable[[Session], None]) -> None:
        session = self._session()
        mailbox: SimpleQueue[Callable[[Session], None] | None] = SimpleQueue()
        call: Callable[[Session], None] | None = first
        while call is not None:
            call(session)
            call = self._next(mailbox)
        session.close()

    def _next(
        self, mailbox: SimpleQueue[Callable[[Session], None] | None]
    ) -> Callable[[Session], None] | None:
        """Another call, as soon as there is one; None: no more."""
        with self._lock:
            if self._closed:
                return None
            if self._waiting:
                return self._waiting.popleft()
            self._idle.append(mailbox)
        return mailbox.get()
