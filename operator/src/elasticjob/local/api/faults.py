"""Faults on purpose: a test tells the server to refuse, delay, cut or freeze.

One object, passed to `serve`; without orders it does nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from elasticjob.local.api.call import Call
from elasticjob.local.api.objects.errors import ApiError

When = Callable[[Call], bool]

REASONS = {
    401: "Unauthorized",
    403: "Forbidden",
    409: "Conflict",
    410: "Expired",
    422: "Invalid",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
    504: "Timeout",
}


class CutError(Exception):
    """The connection is to be broken off without an answer."""


@dataclass
class Fault:
    """A fault for the next `times` requests that match; None: until it is withdrawn."""

    when: When
    times: int | None
    refusal: ApiError | None = None
    delay_s: float = 0
    cut_before: bool = False
    cut_after: bool = False

    def consume(self, call: Call) -> bool:
        """Whether it applies to the call; if so it is used up once."""
        if self.times == 0 or not self.when(call):
            return False
        if self.times is not None:
            self.times -= 1
        return True


class Faults:
    """The orders in force, and the streams that can be cut."""

    def __init__(self) -> None:
        self.active: list[Fault] = []
        self._thawed = asyncio.Event()
        self._thawed.set()
        self._streams: dict[asyncio.BaseTransport, Call] = {}

    # -- orders ---------------------------------------------------------------------------------

    def refuse(
        self,
        code: int,
        when: When,
        *,
        times: int | None = 1,
        retry_after_s: int | None = None,
        message: str = "",
    ) -> Fault:
        """Answer with an error instead of doing what is asked."""
        details = {} if retry_after_s is None else {"retryAfterSeconds": retry_after_s}
        refusal = ApiError(code, REASONS[code], message or f"fault: {REASONS[code]}", details)
        return self._add(Fault(when, times, refusal=refusal))

    def delay(self, seconds: float, when: When, *, times: int | None = 1) -> Fault:
        """Wait before doing what is asked."""
        return self._add(Fault(when, times, delay_s=seconds))

    def cut(self, when: When, *, times: int | None = 1, after: bool = False) -> Fault:
        """Break the connection: before anything is done, or `after` it is done but unanswered."""
        return self._add(Fault(when, times, cut_before=not after, cut_after=after))

    def remove(self, fault: Fault) -> None:
        """End an fault."""
        self.active.remove(fault)

    def freeze(self) -> None:
        """Take connections and requests, and answer nothing until `thaw`."""
        self._thawed.clear()

    def thaw(self) -> None:
        """Answer what has piled up."""
        self._thawed.set()

    def cut_streams(self, when: When = lambda call: True) -> int:
        """Break off open watches without a last word; answers how many."""
        cut = [transport for transport, call in self._streams.items() if when(call)]
        for transport in cut:
            if isinstance(transport, asyncio.WriteTransport):
                transport.abort()
        return len(cut)

    # -- the server's side ----------------------------------------------------------------------

    async def apply_before(self, call: Call) -> bool:
        """Suffer what is ordered; answers whether the connection is to be cut afterwards."""
        cut_after = False
        for fault in [fault for fault in self.active if fault.consume(call)]:
            await asyncio.sleep(fault.delay_s)
            if fault.cut_before:
                raise CutError
            if fault.refusal is not None:
                raise fault.refusal
            cut_after = cut_after or fault.cut_after
        await self.wait_until_thawed()
        return cut_after

    async def wait_until_thawed(self) -> None:
        """Wait out a freeze."""
        if not self._thawed.is_set():
            await self._thawed.wait()

    def stream_opened(self, transport: asyncio.BaseTransport, call: Call) -> None:
        """A stream that can be cut."""
        self._streams[transport] = call

    def stream_closed(self, transport: asyncio.BaseTransport) -> None:
        """It is gone."""
        self._streams.pop(transport, None)

    def _add(self, fault: Fault) -> Fault:
        self.active.append(fault)
        return fault
