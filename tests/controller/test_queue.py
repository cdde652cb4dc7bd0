from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.operator_log import logged

from elasticjob.controller import queue
from elasticjob.controller.observe.key import Key
from elasticjob.controller.queue import Backlog, Backoff, Queue
from elasticjob.controller.report.metrics import Metrics

A, B, C = (Key("default", name) for name in "abc")


def backlog() -> Backlog:
    return Backlog(Backoff(first_s=1.0, longest_s=60.0), random=lambda: 0.0)


def test_first_come_first_served() -> None:
    q = backlog()
    q.mark(B, 1.0)
    q.mark(A, 2.0)
    q.mark(C, 2.0)
    assert [q.take(3.0) for _ in range(4)] == [B, A, C, None]


def test_marks_of_one_key_become_one_run() -> None:
    q = backlog()
    for _ in range(5):
        q.mark(A, 0.0)
    assert (q.take(0.0), q.take(0.0)) == (A, None)


def test_a_key_never_runs_twice_at_once_and_comes_again_if_marked_meanwhile() -> None:
    q = backlog()
    q.mark(A, 0.0)
    assert q.take(0.0) == A
    q.mark(A, 0.5)
    assert q.take(1.0) is None
    q.finished(A, 1.0)
    assert q.take(1.0) == A
    q.finished(A, 2.0)
    assert q.take(99.0) is None


def test_the_sooner_of_two_delays_counts() -> None:
    q = backlog()
    q.mark(A, 0.0, delay_s=60)
    q.mark(A, 0.0, delay_s=5)
    q.mark(A, 0.0, delay_s=30)
    assert q.next_at() == 5.0
    assert (q.take(4.9), q.take(5.0)) == (None, A)
    q.finished(A, 5.0)
    assert q.next_at() is None


def test_a_finished_key_runs_again_when_it_is_due() -> None:
    q = backlog()
    q.mark(A, 0.0)
    q.take(0.0)
    q.finished(A, 1.0, again_s=10)
    assert (q.take(10.9), q.take(11.0)) == (None, A)


def test_a_failure_is_held_back_in_spite_of_marks_and_longer_each_time() -> None:
    q = backlog()
    q.mark(A, 0.0)
    now, delays = 0.0, []
    for _ in range(8):
        assert q.take(now) == A
        delays.append(q.failed(A, now))
        q.mark(A, now)
        assert q.take(now) is None
        now += delays[-1]
    assert delays == [1, 2, 4, 8, 16, 32, 60, 60]


def test_a_success_resets_the_backoff() -> None:
    q = backlog()
    q.mark(A, 0.0)
    q.take(0.0)
    q.failed(A, 0.0)
    q.take(1.0)
    q.finished(A, 1.0)
    q.mark(A, 1.0)
    q.take(1.0)
    assert q.failed(A, 1.0) == 1.0


def test_a_mark_during_a_failing_run_waits_for_the_backoff() -> None:
    q = backlog()
    q.mark(A, 0.0)
    q.take(0.0)
    q.mark(A, 0.1)
    q.failed(A, 1.0)
    assert (q.take(1.9), q.take(2.0)) == (None, A)


@pytest.mark.parametrize(
    ("failures", "jitter", "expected"),
    [
        (1, 0.0, 0.2),
        (1, 1.0, 0.1),
        (4, 0.0, 1.6),
        (9, 0.0, 51.2),
        (10, 0.0, 60.0),
        (500, 0.5, 45.0),
    ],
)
def test_backoff(failures: int, jitter: float, expected: float) -> None:
    assert Backoff().delay_s(failures, jitter) == pytest.approx(expected)


def test_depth_and_lateness_see_only_what_waits() -> None:
    q = backlog()
    q.mark(A, 0.0)
    q.mark(B, 1.0)
    q.mark(C, 0.0, delay_s=100)
    assert (q.depth(3.0), q.late_s(3.0)) == (2, 3.0)
    q.take(3.0)
    assert (q.depth(3.0), q.late_s(3.0)) == (1, 2.0)


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from("mtfx"), st.integers(0, 2), st.integers(0, 9))))
def test_no_key_is_lost_or_runs_twice_in_any_order_of_calls(
    steps: list[tuple[str, int, int]],
) -> None:
    """m: mark with delay, t: take, f: finish, x: fail; the clock runs one second per step."""
    q, keys, running = backlog(), [A, B, C], set[Key]()
    owed = set[Key]()
    for now, (what, which, delay) in enumerate(steps):
        key = keys[which]
        if what == "m":
            q.mark(key, now, delay)
            owed.add(key)
        elif what == "t":
            taken = q.take(now)
            if taken is not None:
                assert taken not in running
                running.add(taken)
                owed.discard(taken)
        elif key in running:
            running.discard(key)
            if what == "f":
                q.finished(key, now)
            else:
                q.failed(key, now)
                owed.add(key)
    for key in running:
        q.finished(key, 1e6)
    drained = set[Key]()
    while (key_ := q.take(1e6)) is not None:
        drained.add(key_)
        q.finished(key_, 1e6)
    assert drained == owed


# ---- on an event loop ----------------------------------------------------------------------------


class AwaitedError(Exception):
    """An error that is a part of life."""


@asynccontextmanager
async def running(work: Queue) -> AsyncIterator[Queue]:
    for key in (A, B, C):
        work.mark(key)
    task = asyncio.create_task(work.run())
    async with asyncio.timeout(5):
        yield work
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_poisoned_key_does_not_hold_up_the_others() -> None:
    seen, errors = list[Key](), list[Exception]()
    done = asyncio.Event()

    async def reconcile(key: Key) -> float | None:
        if key == A:
            raise ZeroDivisionError
        if key == B:
            raise AwaitedError("not yet")
        seen.append(key)
        if len(seen) == 3:
            done.set()
            return None
        return 0.0

    work = Queue(reconcile, backlog(), workers=1, on_error=errors.append, expected=(AwaitedError,))
    with logged(queue.log) as lines:
        async with running(work):
            await done.wait()
    assert seen == [C, C, C]
    found = [(x["level"], x["job"], x["event"], "exception" in x) for x in lines]
    assert ("error", "default/a", "reconcile failed, again in 1.0 s", True) in found
    assert ("info", "default/b", "again in 1.0 s: not yet", False) in found


async def test_each_failed_run_is_counted_and_so_is_one_that_the_deadline_ends() -> None:
    metrics, counted = Metrics(), asyncio.Event()

    async def reconcile(key: Key) -> float | None:
        if key == A:
            raise ZeroDivisionError
        if key == B:
            raise AwaitedError
        return await asyncio.Event().wait()

    def on_error(error: Exception) -> None:
        metrics.note_error(error)
        if isinstance(error, TimeoutError):
            counted.set()

    work = Queue(
        reconcile, backlog(), workers=1, on_error=on_error, deadline_s=0, expected=(AwaitedError,)
    )
    async with running(work):
        await counted.wait()
    count = "elasticjob_reconcile_errors_total"
    for name in ("ZeroDivisionError", "AwaitedError", "TimeoutError"):
        assert metrics.registry.get_sample_value(count, {"error": name}) == 1


async def test_as_many_at_once_as_there_are_workers_and_all_ended_with_the_queue() -> None:
    inside, most, ended, errors = 0, 0, list[str](), list[Exception]()
    full = asyncio.Event()

    async def reconcile(key: Key) -> float | None:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        if inside == 2:
            full.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(key.name)
        return None

    async with running(Queue(reconcile, backlog(), workers=2, on_error=errors.append)) as work:
        await full.wait()
        assert work.depth() == 1
    assert (sorted(ended), most, errors) == (["a", "b"], 2, [])
