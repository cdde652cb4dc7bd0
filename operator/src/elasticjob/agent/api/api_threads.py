"""The API server as the loop sees it: calls and watches on threads, results in the inbox."""

from __future__ import annotations

import threading
from functools import partial

from elasticjob.agent.api.calls import Call, RequestAction, perform
from elasticjob.agent.api.conversation import Context
from elasticjob.agent.api.drivers import CallDriver, Machine, Transport, WatchDriver
from elasticjob.agent.api.http import Client
from elasticjob.agent.api.thread_pool import CallThreads
from elasticjob.agent.api.watch import Succession, Watch, scope_of
from elasticjob.agent.inbox import WatchEvent
from elasticjob.wire.lease import RoundLease


class ApiThreads:
    """Runs calls and one watch on threads; no method blocks.

    A new watch replaces the current one with its first event, so that no change is missed.
    """

    def __init__(self, context: Context, client: Client, machine: Machine) -> None:
        self._context = context
        self._client = client
        self._machine = machine
        self._calls = CallThreads(client.session)
        self._succession = Succession()
        self._watches: dict[int, WatchDriver] = {}  # by number: the current one and the next one

    def call(self, action: RequestAction, round_lease: RoundLease) -> None:
        """Perform one action on a thread, and post its results."""
        self._calls.submit(partial(self._perform, action, round_lease))

    def reopen(self, wide: bool) -> None:
        """Open a new watch; the current one continues until the new one has an event."""
        is_first = self._succession.is_first
        number = self._succession.open()
        driver = WatchDriver(self._machine, self._client, number)
        self._close_replaced()
        self._watches[number] = driver
        watch = Watch(self._context, scope_of(self._context.job, wide), is_first)
        threading.Thread(
            target=driver.run, args=(watch.conversation(), "a watch"), name=f"watch-{number}",
            daemon=True,
        ).start()  # fmt: skip

    def is_current(self, message: WatchEvent) -> bool:
        """Whether the event is of the current watch.

        The first event of the next watch makes that watch the current one, and closes the old one.
        """
        accepted = self._succession.accept(message.number)
        self._close_replaced()
        return accepted

    def close(self) -> None:
        """Close the watches and the idle connections."""
        for watch in self._watches.values():
            watch.close()
        self._calls.close()

    def _close_replaced(self) -> None:
        for number in [n for n in self._watches if self._succession.is_replaced(n)]:
            self._watches.pop(number).close()

    def _perform(
        self, action: RequestAction, round_lease: RoundLease, transport: Transport
    ) -> None:
        driver = CallDriver(self._machine, transport, self._note_answer)
        driver.run(perform(Call(self._context, round_lease), action), type(action).__name__)

    def _note_answer(self) -> None:
        """End the pauses of watches that wait for the API server."""
        for watch in list(self._watches.values()):
            watch.note_answer()
