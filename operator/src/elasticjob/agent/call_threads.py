"""Threads for requests, each with a connection of its own; few, and the warm ones first."""

from __future__ import annotations

import threading
from collections import deque
from typing import Callable, Generic, TypeVar

Session = TypeVar("Session")

LIMIT = 4


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
        self._idle: list[_Slot[Session]] = []
        self._waiting: deque[Callable[[Session], None]] = deque()
        self._count = 0

    def submit(self, call: Callable[[Session], None]) -> None:
        """Runs the call soon; never blocks. The call must not raise."""
        with self._lock:
            if self._idle:
                self._idle.pop().give(call)
            elif self._count < self._limit:
                self._count += 1
                self._start(call)
            else:
                self._waiting.append(call)

    def _start(self, call: Callable[[Session], None]) -> None:
        slot = _Slot(self._session())
        slot.give(call)
        name = f"call-{self._count}"
        threading.Thread(target=self._serve, args=(slot,), name=name, daemon=True).start()

    def _serve(self, slot: _Slot[Session]) -> None:
        while True:
            slot.run()
            with self._lock:
                if self._waiting:
                    slot.give(self._waiting.popleft())
                else:
                    self._idle.append(slot)


class _Slot(Generic[Session]):
    """One thread's mailbox: at most one call at a time."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._call: Callable[[Session], None] | None = None
        self._given = threading.Semaphore(0)

    def give(self, call: Callable[[Session], None]) -> None:
        self._call = call
        self._given.release()

    def run(self) -> None:
        """Waits for a call and runs it."""
        self._given.acquire()
        call, self._call = self._call, None
        if call is not None:
            call(self._session)
