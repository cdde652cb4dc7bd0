"""The API server as the loop sees it: calls and watches on threads, results in the inbox."""

from __future__ import annotations

from functools import partial
from typing import Callable

from elasticjob.agent.api.calls import Call, Context, Sender, SetupError, Talk, converse
from elasticjob.agent.api.http import Client
from elasticjob.agent.api.threads import CallThreads
from elasticjob.agent.api.watch_switch import Watches
from elasticjob.agent.inbox import GiveUp, Message, Streamed
from elasticjob.wire.lease import RoundLease


class ApiThreads:
    """Nothing here blocks; post may be called by any thread."""

    def __init__(self, context: Context, client: Client, post: Callable[[Message], None]) -> None:
        self._context = context
        self._post = post
        self._threads: CallThreads[Sender] = CallThreads(client.session)
        self._watches = Watches(context, client, post)

    def call(self, action: Call, round_lease: RoundLease) -> None:
        """Performs one request."""
        self._threads.submit(partial(self._converse, action, round_lease))

    def reopen(self, wide: bool) -> None:
        """Opens a new watch, then closes the old one."""
        self._watches.reopen(wide)

    def accepts(self, message: Streamed) -> bool:
        """Whether the watch that this comes from is the present one."""
        return self._watches.accepts(message)

    def close(self) -> None:
        """Ends the watch and the connections that are idle."""
        self._watches.close()
        self._threads.close()

    def _converse(self, action: Call, round_lease: RoundLease, sender: Sender) -> None:
        try:
            for event in converse(Talk(self._context, sender, round_lease), action):
                self._post(event)
        except SetupError as error:
            self._post(GiveUp(str(error)))
        except Exception as error:  # a thread that dies in silence would leave the loop waiting
            self._post(GiveUp(f"internal error in {type(action).__name__}: {error!r}"))
