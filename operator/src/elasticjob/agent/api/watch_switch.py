"""The agent's one watch, and the change from one kind of it to the other."""

from __future__ import annotations

import threading
from typing import Callable

from elasticjob.agent.api.calls import Context
from elasticjob.agent.api.watch import Kind, Opener, Watch
from elasticjob.agent.inbox import Message, Streamed
from elasticjob.wire.names import round_lease_name


class Watches:
    """The present watch, and the next while it is being opened: make before break."""

    def __init__(self, context: Context, opener: Opener, post: Callable[[Message], None]) -> None:
        self._context = context
        self._opener = opener
        self._post = post
        self._current: Watch | None = None
        self._next: Watch | None = None
        self._number = 0

    def reopen(self, wide: bool) -> None:
        """Opens a new watch; the old one goes on until the new one has said what there is."""
        if self._next is not None:
            self._next.close()
        self._number += 1
        kind = Kind(wide, round_lease_name(self._context.job.name), self._context.job.uid)
        is_first = self._current is None
        self._next = Watch(self._context, self._opener, kind, self._number, is_first, self._post)
        thread = threading.Thread(target=self._next.run, name=f"watch-{self._number}", daemon=True)
        thread.start()

    def close(self) -> None:
        """Ends both."""
        for watch in (self._current, self._next):
            if watch is not None:
                watch.close()

    def accepts(self, message: Streamed) -> bool:
        """Whether the message counts; the first one of a new watch closes the old one."""
        if self._next is not None and message.number == self._next.number:
            if self._current is not None:
                self._current.close()
            self._current, self._next = self._next, None
        return self._current is not None and message.number == self._current.number
