"""The queue of jobs to reconcile: one reconciliation per key at a time, several keys in parallel.

`Backlog` decides, without clock or tasks; `Queue` runs it on an event loop. A key that is marked
while it runs is run once more. A key that fails is run again after a growing, jittered delay, which
marks do not shorten: an object that fails and changes all the time costs little.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from structlog.contextvars import bind_contextvars

from elasticjob.controller.observe.key import Key

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Backoff:
    """The delay after the n-th failure in a row: first_s doubled each time, at most longest_s."""

    first_s: float = 0.2
    longest_s: float = 60.0

    def delay_s(self, failures: int, jitter: float) -> float:
        """The delay; jitter, a random number in [0, 1), shortens it by up to a half."""
        delay_s = min(self.first_s * 2.0 ** min(failures - 1, 32), self.longest_s)
        return delay_s * (1.0 - 0.5 * jitter)


@dataclass
class _Entry:
    """The state of one key."""

    due_at: float | None = None  # None: it is not to be run
    since: float | None = None  # when the current run began; None: it does not run
    failures: int = 0  # in a row
    held_until: float = 0.0  # the end of the delay after a failure


class Backlog:
    """Keys that are due, waiting or running. Callers pass the time, in seconds of one clock."""

    def __init__(self, backoff: Backoff, random: Callable[[], float]) -> None:
        self._backoff = backoff
        self._random = random
        self._entries: dict[Key, _Entry] = {}
        self._heap: list[tuple[float, int, Key]] = []
        self._order = itertools.count()  # keys with equal times keep their order

    def mark(self, key: Key, now: float, delay_s: float = 0.0) -> None:
        """Run the key after this delay, or sooner if an earlier mark requires it."""
        entry = self._entries.setdefault(key, _Entry())
        due_at = max(now + delay_s, entry.held_until)
        if entry.due_at is not None and entry.due_at <= due_at:
            return
        entry.due_at = due_at
        if entry.since is None:
            self._push(key, due_at)

    def take(self, now: float) -> Key | None:
        """Start the key that has been due longest; None if no key is due."""
        self._drop_outdated()
        if not self._heap or self._heap[0][0] > now:
            return None
        key = heapq.heappop(self._heap)[2]
        entry = self._entries[key]
        entry.due_at, entry.since = None, now
        return key

    def finished(self, key: Key, now: float, again_s: float | None = None) -> None:
        """Note that a run succeeded; again_s: run the key again after this time."""
        entry = self._entries[key]
        entry.since, entry.failures, entry.held_until = None, 0, 0.0
        self._after_run(key, entry)
        if again_s is not None:
            self.mark(key, now, again_s)

    def failed(self, key: Key, now: float) -> float:
        """Note that a run failed. Returns the delay after which the key is run again."""
        entry = self._entries[key]
        entry.since = None
        entry.failures += 1
        delay_s = self._backoff.delay_s(entry.failures, self._random())
        entry.held_until = entry.due_at = now + delay_s
        self._push(key, entry.due_at)
        return delay_s

    def next_at(self) -> float | None:
        """When the next key is due; None if no key waits."""
        self._drop_outdated()
        return self._heap[0][0] if self._heap else None

    def depth(self, now: float) -> int:
        """The number of keys that are due and do not run."""
        waiting = (e for e in self._entries.values() if e.since is None and e.due_at is not None)
        return sum(1 for entry in waiting if entry.due_at is not None and entry.due_at <= now)

    def late_s(self, now: float) -> float:
        """How long the key that is due longest waits for its turn."""
        at = self.next_at()
        return max(0.0, now - at) if at is not None else 0.0

    def _after_run(self, key: Key, entry: _Entry) -> None:
        if entry.due_at is None:
            del self._entries[key]
        else:
            self._push(key, entry.due_at)

    def _push(self, key: Key, due_at: float) -> None:
        heapq.heappush(self._heap, (due_at, next(self._order), key))

    def _drop_outdated(self) -> None:
        """Remove entries from the top of the heap that an earlier mark has replaced."""
        while self._heap:
            due_at, _, key = self._heap[0]
            entry = self._entries.get(key)
            if entry is not None and entry.since is None and entry.due_at == due_at:
                return
            heapq.heappop(self._heap)


class Queue:
    """Runs `reconcile` for the keys of a backlog, `workers` at once, each within a deadline.

    reconcile returns the seconds until the next run, or None. Errors of the expected types, such as
    a conflict or an API server that is away, are logged in one line, without a traceback. on_error
    receives every error, also the TimeoutError of a run that the deadline ends.
    """

    def __init__(
        self,
        reconcile: Callable[[Key], Awaitable[float | None]],
        backlog: Backlog,
        *,
        workers: int,
        on_error: Callable[[Exception], None],
        deadline_s: float = 120.0,
        expected: tuple[type[Exception], ...] = (),
    ) -> None:
        self._reconcile = reconcile
        self._backlog = backlog
        self._workers = workers
        self._deadline_s = deadline_s
        self._expected = expected
        self._on_error = on_error
        self._wake = asyncio.Event()
        self._running: set[asyncio.Task[None]] = set()
        self.turned_at = 0.0  # when the loop last looked for work

    def mark(self, key: Key, delay_s: float = 0.0) -> None:
        """Run the key after this delay."""
        self._backlog.mark(key, _now(), delay_s)
        self._wake.set()

    def depth(self) -> int:
        """The number of keys that are due and wait for a worker."""
        return self._backlog.depth(_now())

    def late_s(self) -> float:
        """How long the key that is due longest waits for its turn."""
        return self._backlog.late_s(_now())

    async def run(self) -> None:
        """Run until cancelled; then cancel the current runs and wait for them."""
        try:
            while True:
                self.turned_at = _now()
                self._wake.clear()
                self._start_due()
                await self._wait()
        finally:
            for task in self._running:
                task.cancel()
            await asyncio.gather(*self._running, return_exceptions=True)

    def _start_due(self) -> None:
        while len(self._running) < self._workers:
            key = self._backlog.take(_now())
            if key is None:
                return
            task = asyncio.create_task(self._work(key), name=f"reconcile {key}")
            self._running.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._wake.set()

    async def _wait(self) -> None:
        """Wait for a mark, the end of a run, or a due key; at most a second, for `turned_at`."""
        at = self._backlog.next_at() if len(self._running) < self._workers else None
        wait_s = 1.0 if at is None else min(max(at - _now(), 0.0), 1.0)
        try:
            async with asyncio.timeout(wait_s):
                await self._wake.wait()
        except TimeoutError:
            pass

    async def _work(self, key: Key) -> None:
        bind_contextvars(job=str(key))  # a field of all records that this task logs
        try:
            async with asyncio.timeout(self._deadline_s):
                again_s = await self._reconcile(key)
        except Exception as error:
            self._on_error(error)
            delay_s = self._backlog.failed(key, _now())
            if isinstance(error, self._expected):
                log.info("again in %.1f s: %s", delay_s, error)
            else:
                log.exception("reconcile failed, again in %.1f s", delay_s)
        else:
            self._backlog.finished(key, _now(), again_s)


def _now() -> float:
    return asyncio.get_running_loop().time()
