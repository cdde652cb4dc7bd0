"""Fault injection for tests: the server refuses, delays, cuts off or suspends requests."""

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
    """The server closes the connection without a response."""


@dataclass
class Fault:
    """One injected fault."""

    when: When
    times: int | None  # the number of matching requests that are left; None: until it is removed
    refusal: ApiError | None = None
    delay_s: float = 0
    cut_before: bool = False
    cut_after: bool = False

    def consume(self, call: Call) -> bool:
        """Whether the fault applies to the request. If so, `times` decreases by one."""
        if self.times == 0 or not self.when(call):
            return False
        if self.times is not None:
            self.times -= 1
        return True


class Faults:
    """The active faults, and the open streams that can be cut."""

    def __init__(self) -> None:
        self.active: list[Fault] = []
        self._thawed = asyncio.Event()
        self._thawed.set()
        self._streams: dict[asyncio.BaseTransport, Call] = {}

    # -- injection ------------------------------------------------------------------------------

    def refuse(
        self,
        code: int,
        when: When,
        *,
        times: int | None = 1,
        retry_after_s: int | None = None,
        message: str = "",
    ) -> Fault:
        """Respond to matching requests with an error instead of performing them."""
        details = {} if retry_after_s is None else {"retryAfterSeconds": retry_after_s}
        refusal = ApiError(code, REASONS[code], message or f"fault: {REASONS[code]}", details)
        return self._add(Fault(when, times, refusal=refusal))

    def delay(self, seconds: float, when: When, *, times: int | None = 1) -> Fault:
        """Delay matching requests."""
        return self._add(Fault(when, times, delay_s=seconds))

    def cut(self, when: When, *, times: int | None = 1, after: bool = False) -> Fault:
        """Cut the connections of matching requests before they are performed, or `after` that."""
        return self._add(Fault(when, times, cut_before=not after, cut_after=after))

    def remove(self, fault: Fault) -> None:
        """Deactivate a fault."""
        self.active.remove(fault)

    def freeze(self) -> None:
        """Accept connections and requests, and send nothing until `thaw`."""
        self._thawed.clear()

    def thaw(self) -> None:
        """Perform the requests received since `freeze`, and continue."""
        self._thawed.set()

    def cut_streams(self, when: When = lambda call: True) -> int:
        """Cut the connections of open watches and logs; returns their number."""
        cut = [transport for transport, call in self._streams.items() if when(call)]
        for transport in cut:
            if isinstance(transport, asyncio.WriteTransport):
                transport.abort()
        return len(cut)

    # -- use by the server ----------------------------------------------------------------------

    async def apply(self, call: Call) -> bool:
        """Apply the faults that match; returns whether to cut the connection afterwards."""
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
        """Wait until the server is not frozen."""
        if not self._thawed.is_set():
            await self._thawed.wait()

    def stream_opened(self, transport: asyncio.BaseTransport, call: Call) -> None:
        """Register an open stream, so that it can be cut."""
        self._streams[transport] = call

    def stream_closed(self, transport: asyncio.BaseTransport) -> None:
        """Remove a stream that has ended."""
        self._streams.pop(transport, None)

    def _add(self, fault: Fault) -> Fault:
        self.active.append(fault)
        return fault
