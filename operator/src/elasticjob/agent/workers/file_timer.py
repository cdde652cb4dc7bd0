"""The server of torch's file timers: a worker reports by when it will have left a piece of code.

`torch.distributed.elastic.timer.FileTimerClient` writes one line of JSON into a FIFO when the code
begins, and one with a negative time when it ends:

{"version": 1, "pid": 12, "scope_id": "train.py#7", "expiration_time": 1764e6, "signal": 9}

A worker can write anything into the FIFO. So lines and timers are limited, and the supervisor looks
for the process when a timer has expired.
"""

from __future__ import annotations

import math
import os
import select
import threading
from typing import NamedTuple

from elasticjob import files
from elasticjob.agent.clock import Clock
from elasticjob.wire.dataclasses import dataclass
from elasticjob.wire.untrusted import WireError, decode

LONGEST_LINE = 4096  # bytes, as the client limits it: the kernel writes no more at once
MOST_TIMERS = 1024
_PIECE = 65536  # bytes that are read at once
_LATEST_AT = 1e12  # wall clock; later times count as this one


@dataclass(frozen=True)
class Timer:
    """A timer that runs."""

    pid: int  # of the process that has set it; not checked
    scope: str  # the name of the timer, in the words of the worker
    set_at: float  # monotonic, as all times of a timer: a clock that is set changes none
    expires_at: float


class Request(NamedTuple):
    """One line that a client has written."""

    pid: int
    scope: str
    expires_at: float  # wall clock; negative: the timer is released


class Timers:
    """The timers of one round. One thread reads the FIFO, and any thread may call the rest.

    reader: the end of the FIFO from which to read; None: there are no timers.
    """

    def __init__(self, reader: int | None, clock: Clock) -> None:
        self._reader = reader
        self._clock = clock
        self._lock = threading.Lock()
        self._is_reading = False  # what the thread has read, it has not yet applied
        self._rest = b""  # a line whose end has not arrived
        self._running: dict[tuple[int, bytes], tuple[float, float]] = {}  # set at, expires at

    def serve(self) -> None:
        """Read the FIFO until no process has it open for writing."""
        assert self._reader is not None
        arrival = _arrival(self._reader)
        while self._read(self._reader, arrival):
            pass
        os.close(self._reader)

    def receive(self, data: bytes) -> None:
        """Take a piece of what the clients have written."""
        now, wall_at = self._clock.now(), self._clock.wall_at()
        *lines, rest = (self._rest + data).split(b"\n")
        self._rest = rest[: LONGEST_LINE + 1]  # this is enough of a line that is too long
        requests = [request for request in map(parse, lines) if request is not None]
        with self._lock:
            for request in requests:
                self._apply(request, now, wall_at)

    def next_at(self) -> float:
        """The time at which the next timer expires; infinite without timers."""
        with self._lock:
            return min((at for _, at in self._running.values()), default=math.inf)

    def take_expired(self, now: float) -> list[Timer]:
        """Return the timers that have expired, the first one first, and forget them.

        None counts as expired while the FIFO has lines, as they may release it: the agent, and not
        the worker, may have been stopped meanwhile.
        """
        with self._lock:
            due = [(key, times) for key, times in self._running.items() if times[1] <= now]
            if not due or self._has_unread():
                return []
            for key, _ in due:
                del self._running[key]
        timers = [Timer(pid, scope.decode(), *times) for (pid, scope), times in due]
        return sorted(timers, key=lambda timer: timer.expires_at)

    def _read(self, reader: int, arrival: select.poll) -> bool:
        """Wait for a piece, and take it. False: no process has the FIFO open for writing."""
        arrival.poll()
        self._is_reading = True
        try:
            data = os.read(reader, _PIECE)
            self.receive(data)
        except BlockingIOError:
            return True  # another process has read it
        finally:
            self._is_reading = False
        return data != b""

    def _has_unread(self) -> bool:
        if self._reader is None:
            return False
        return bool(_arrival(self._reader).poll(0)) or self._is_reading

    def _apply(self, request: Request, now: float, wall_at: float) -> None:
        key = request.pid, request.scope.encode()
        self._running.pop(key, None)
        if request.expires_at < 0:
            return
        if len(self._running) >= MOST_TIMERS:  # the processes that set the oldest may be gone
            del self._running[next(iter(self._running))]
        self._running[key] = now, now + max(0.0, request.expires_at - wall_at)


class FileTimer:
    """The FIFO at TORCHELASTIC_TIMER_FILE, which a thread reads. path: None if it is not enabled.

    The thread reads at once: a client whose line does not fit into the FIFO raises an exception.
    """

    def __init__(self, path: str | None, clock: Clock) -> None:
        self._path = path
        self.timers = Timers(None, clock)
        self._clock = clock
        self._writer: int | None = None  # while it is open, the thread does not end

    def begin(self) -> str | None:
        """Begin a round with a new FIFO and without timers. Return the path if it cannot have a
        FIFO, and else None."""
        self.end()
        if self._path is None:
            return None
        fifo = files.make_fifo(self._path)
        if fifo is None:
            return self._path
        self._writer = fifo.writer
        self.timers = Timers(fifo.reader, self._clock)
        threading.Thread(target=self.timers.serve, name="timers", daemon=True).start()
        return None

    def end(self) -> None:
        """Forget all timers, and end the thread as soon as no other process has the FIFO open."""
        if self._writer is not None:
            os.close(self._writer)
            self._writer = None
        self.timers = Timers(None, self._clock)


def parse(line: bytes) -> Request | None:
    """Parse one line. None: it is invalid.

    A signal that is 0 or negative asks the agent not to end the worker, so that the timer has no
    effect. Any other signal has the same effect, that of a failure.
    """
    if not line or len(line) > LONGEST_LINE:
        return None
    try:
        found = decode(line, "a timer")
    except WireError:
        return None
    if not isinstance(found, dict):
        return None
    pid, scope, number = found.get("pid"), found.get("scope_id"), found.get("signal")
    at = found.get("expiration_time")
    if type(pid) is not int or type(number) is not int or type(scope) is not str:
        return None
    if type(at) is not int and type(at) is not float:
        return None
    return Request(pid, scope, min(max(at, -1.0), _LATEST_AT) if number > 0 else -1.0)


def _arrival(reader: int) -> select.poll:
    """Return what reports that the FIFO has data, or that no process has it open for writing."""
    arrival = select.poll()
    arrival.register(reader, select.POLLIN)
    return arrival
