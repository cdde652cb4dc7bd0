"""The connections of the server, and how long a client without a valid token may hold them.

Every user of the machine can connect to a loopback address. A connection is anonymous until its
first request with a valid token; afterwards it has no limits, as watches need.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial

from aiohttp import web

from elasticjob.local.api.handler import Handler

KEEPALIVE_S = 300  # more than the slowest heartbeat


@dataclass(frozen=True)
class Limits:
    """The limits of anonymous connections and of bodies."""

    anonymous: int = 100  # connections at a time
    time_s: float = 30.0  # each for the TLS handshake, the first valid token, and a body
    body_bytes: int = 3 * 1024 * 1024  # as kube-apiserver


class HttpServer(web.Server):
    """The low-level server of aiohttp, which has no router: `target_of` parses the paths.

    Without `handler_cancellation` an idle watch would outlive its client until its next event.
    """

    def __init__(self, handler: Handler, limits: Limits) -> None:
        super().__init__(
            handler,
            request_factory=partial(
                web.BaseRequest,
                loop=asyncio.get_running_loop(),
                client_max_size=limits.body_bytes,
            ),
            handler_cancellation=True,
            access_log=None,
            keepalive_timeout=KEEPALIVE_S,
        )
        handler.on_identified = self._identified
        self._limits = limits
        self._anonymous: dict[
            web.RequestHandler, tuple[asyncio.Transport, asyncio.TimerHandle]
        ] = {}

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        """Register a connection after its TLS handshake. Aborts the oldest of too many."""
        super().connection_made(handler, transport)
        timer = asyncio.get_running_loop().call_later(self._limits.time_s, transport.abort)
        self._anonymous[handler] = transport, timer
        if len(self._anonymous) > self._limits.anonymous:
            oldest, (its_transport, _) = next(iter(self._anonymous.items()))
            self._identified(oldest)
            its_transport.abort()

    def connection_lost(
        self, handler: web.RequestHandler, exc: BaseException | None = None
    ) -> None:
        """Remove a connection."""
        self._identified(handler)
        super().connection_lost(handler, exc)

    async def abort(self) -> None:
        """Abort all connections: a TLS shutdown would wait half a minute for each client."""
        for connection in self.connections:
            if connection.transport is not None:
                connection.transport.abort()
        await asyncio.sleep(0)

    def _identified(self, handler: web.RequestHandler) -> None:
        """Lift the limits of a connection."""
        if handler in self._anonymous:
            _, timer = self._anonymous.pop(handler)
            timer.cancel()
