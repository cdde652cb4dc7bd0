"""The API server as the loop sees it: calls and watches on threads, results in the inbox."""

from __future__ import annotations

import threading
from functools import partial
from typing import Callable

from elasticjob.agent.api.calls import Call, Context, RequestAction, SetupError, Transport, perform
from elasticjob.agent.api.http import Client
from elasticjob.agent.api.thread_pool import CallThreads
from elasticjob.agent.api.watch import Watch, WatchScope
from elasticjob.agent.inbox import Message, SetupFailed, WatchEvent
from elasticjob.wire.lease import RoundLease
from elasticjob.wire.names import round_lease_name


class ApiThreads:
    """Runs calls and one watch on threads; no method blocks.

    A new watch replaces the current one with its first event, so that no change is missed.
    """

    def __init__(self, context: Context, client: Client, post: Callable[[Message], None]) -> None:
        self._context = context
        self._client = client
        self._post = post  # called by any thread
        self._calls = CallThreads(client.session)
        self._current: Watch | None = None
        self._next: Watch | None = None
        self._number = 0  # of the watch that was opened last

    def call(self, action: RequestAction, round_lease: RoundLease) -> None:
        """Perform one action on a thread, and post its results."""
        self._calls.submit(partial(self._perform, action, round_lease))

    def reopen(self, wide: bool) -> None:
        """Open a new watch; the current one continues until the new one has an event."""
        if self._next is not None:
            self._next.close()
        self._number += 1
        job = self._context.job
        scope = WatchScope(wide, round_lease_name(job.name), job.uid)
        is_first = self._current is None
        self._next = Watch(self._context, self._client, scope, self._number, is_first, self._post)
        thread = threading.Thread(target=self._next.run, name=f"watch-{self._number}", daemon=True)
        thread.start()

    def is_current(self, message: WatchEvent) -> bool:
        """Whether the event is of the current watch.

        The first event of the next watch makes that watch the current one, and closes the old one.
        """
        if self._next is not None and message.number == self._next.number:
            if self._current is not None:
                self._current.close()
            self._current, self._next = self._next, None
        return self._current is not None and message.number == self._current.number

    def close(self) -> None:
        """Close the watches and the idle connections."""
        for watch in (self._current, self._next):
            if watch is not None:
                watch.close()
        self._calls.close()

    def _perform(
        self, action: RequestAction, round_lease: RoundLease, transport: Transport
    ) -> None:
        try:
            for event in perform(Call(self._context, transport, round_lease), action):
                self._post(event)
        except SetupError as error:
            self._post(SetupFailed(str(error)))
        except Exception as error:  # else the thread would end, and the loop would wait for ever
            self._post(SetupFailed(f"internal error in {type(action).__name__}: {error!r}"))
