"""The only place where the agent's loop waits: for a message, a signal or a time."""

from __future__ import annotations

import os
import selectors

from elasticjob.agent.inbox import Inbox
from elasticjob.agent.signals import Signals


class Waiter:
    """Waits for messages in the inbox and for signals, SIGCHLD included."""

    def __init__(self, inbox: Inbox, signals: Signals) -> None:
        self._signals = signals
        self._selector = selectors.DefaultSelector()
        for fd in (inbox.fd, signals.fd):
            self._selector.register(fd, selectors.EVENT_READ)

    def wait(self, timeout_s: float | None) -> None:
        """Return at a message or a signal, or after timeout_s seconds unless it is None."""
        for key, _ in self._selector.select(timeout_s):
            os.read(key.fd, 4096)

    def signals(self) -> tuple[int, ...]:
        """Return the signals that have arrived since the last call."""
        return self._signals.take()
