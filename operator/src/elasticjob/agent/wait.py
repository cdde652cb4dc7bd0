"""The one place where the agent waits: for a message, a signal, or time."""

from __future__ import annotations

import os
import selectors

from elasticjob.agent.inbox import Inbox
from elasticjob.agent.signals import Signals


class Waiter:
    """Rings for what a thread put into the inbox and for signals, a child's end among them."""

    def __init__(self, inbox: Inbox, signals: Signals) -> None:
        self._signals = signals
        self._selector = selectors.DefaultSelector()
        for fd in (inbox.fd, signals.fd):
            self._selector.register(fd, selectors.EVENT_READ)

    def wait(self, timeout_s: float | None) -> None:
        """Until there is something, at most so long; None: for ever."""
        for key, _ in self._selector.select(timeout_s):
            os.read(key.fd, 4096)

    def signals(self) -> tuple[int, ...]:
        """Those that have arrived since the last call."""
        return self._signals.take()
