"""The timers of workers, as lines of a FIFO in which a worker can write anything."""

from __future__ import annotations

import json
import math
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from dev.wait import wait_until
from tests.support.clocks import VirtualClock

from elasticjob import files
from elasticjob.agent.workers.file_timer import (
    LONGEST_LINE,
    MOST_TIMERS,
    FileTimer,
    Timers,
    parse,
)


class SetClock(VirtualClock):
    """A clock whose time of day a test can set."""

    def __init__(self) -> None:
        super().__init__()
        self.ahead_s = 0.0

    def wall_at(self) -> float:
        return super().wall_at() + self.ahead_s


def line(
    clock: VirtualClock, after_s: float, pid: int = 12, scope: str = "a", number: int = 9
) -> bytes:
    """The line with which torch's client sets a timer."""
    at = clock.wall_at() + after_s
    return record(pid=pid, scope_id=scope, expiration_time=at, signal=number)


def release(pid: int = 12, scope: str = "a") -> bytes:
    """The line with which torch's client releases a timer."""
    return record(pid=pid, scope_id=scope, expiration_time=-1, signal=0)


def record(**fields: Any) -> bytes:
    return json.dumps({"version": 1, **fields}).encode() + b"\n"


def expired(timers: Timers, now: float) -> list[tuple[int, str]]:
    return [(timer.pid, timer.scope) for timer in timers.take_expired(now)]


def test_a_timer_expires_once_after_its_time() -> None:
    clock = VirtualClock()
    timers = Timers(None, clock)
    timers.receive(line(clock, 30.0))
    assert timers.next_at() == pytest.approx(clock.now() + 30.0)
    assert expired(timers, clock.now() + 29.0) == []
    (timer,) = timers.take_expired(clock.now() + 31.0)
    assert (timer.pid, timer.scope, timer.set_at) == (12, "a", clock.now())
    assert timer.expires_at == pytest.approx(clock.now() + 30.0)
    assert expired(timers, clock.now() + 31.0) == []
    assert timers.next_at() == math.inf


def test_a_timer_that_is_released_does_not_expire() -> None:
    clock = VirtualClock()
    timers = Timers(None, clock)
    timers.receive(line(clock, 1.0) + line(clock, 1.0, scope="b") + line(clock, 1.0, pid=13))
    timers.receive(release())
    timers.receive(release(scope="unknown"))
    assert expired(timers, clock.now() + 2.0) == [(12, "b"), (13, "a")]


def test_a_timer_that_is_set_again_replaces_the_first() -> None:
    clock = VirtualClock()
    timers = Timers(None, clock)
    timers.receive(line(clock, 1.0) + line(clock, 60.0))
    assert expired(timers, clock.now() + 2.0) == []
    timers.receive(line(clock, 1.0))
    assert expired(timers, clock.now() + 2.0) == [(12, "a")]


def test_the_first_timer_to_expire_is_the_first() -> None:
    clock = VirtualClock()
    timers = Timers(None, clock)
    timers.receive(line(clock, 3.0, pid=3) + line(clock, 1.0, pid=1) + line(clock, 2.0, pid=2))
    assert [pid for pid, _ in expired(timers, clock.now() + 9.0)] == [1, 2, 3]


@pytest.mark.parametrize("number", [0, -1, -9])
def test_without_a_signal_a_timer_has_no_effect(number: int) -> None:
    """It still replaces an earlier one of its name, as in torch's server."""
    clock = VirtualClock()
    timers = Timers(None, clock)
    timers.receive(line(clock, 1.0) + line(clock, 1.0, number=number))
    assert timers.next_at() == math.inf


def test_a_clock_that_is_set_changes_no_timer() -> None:
    clock = SetClock()
    timers = Timers(None, clock)
    timers.receive(line(clock, 30.0))
    for ahead_s in (-1e6, 1e6):
        clock.ahead_s = ahead_s
        assert expired(timers, clock.now() + 29.0) == []
    clock.ahead_s = -1e6
    assert expired(timers, clock.now() + 31.0) == [(12, "a")]


@pytest.mark.parametrize("at", [0, 0.0, 1e-300, -0.0])
def test_a_time_of_the_past_expires_when_it_arrives_and_not_before(at: float) -> None:
    clock = VirtualClock()
    timers = Timers(None, clock)
    timers.receive(record(pid=1, scope_id="a", expiration_time=at, signal=9))
    (timer,) = timers.take_expired(clock.now())
    assert timer.expires_at == clock.now()


@pytest.mark.parametrize("at", [10**400, 1e308, 2**53, 1e12])
def test_a_time_that_never_comes_replaces_an_earlier_one(at: float) -> None:
    clock = VirtualClock()
    timers = Timers(None, clock)
    timers.receive(line(clock, 1.0))
    timers.receive(record(pid=12, scope_id="a", expiration_time=at, signal=9))
    assert expired(timers, clock.now() + 1e9) == []
    assert clock.now() + 1e9 < timers.next_at() < math.inf


@pytest.mark.parametrize(
    "text",
    [
        b"", b"{", b"null", b"[]", b"12", b'"x"', b"\x00\xff", b"[" * 4000, b"{}",
        b'{"pid": 12, "scope_id": "a", "expiration_time": 1}',
        b'{"pid": 12, "scope_id": "a", "expiration_time": NaN, "signal": 9}',
        b'{"pid": 12, "scope_id": "a", "expiration_time": Infinity, "signal": 9}',
        b'{"pid": 12, "scope_id": "a", "expiration_time": 1e999, "signal": 9}',
        b'{"pid": 12, "scope_id": "a", "expiration_time": true, "signal": 9}',
        b'{"pid": 12, "scope_id": "a", "expiration_time": "1", "signal": 9}',
        b'{"pid": true, "scope_id": "a", "expiration_time": 1, "signal": 9}',
        b'{"pid": 1.5, "scope_id": "a", "expiration_time": 1, "signal": 9}',
        b'{"pid": 12, "scope_id": 7, "expiration_time": 1, "signal": 9}',
        b'{"pid": 12, "scope_id": ["a"], "expiration_time": 1, "signal": 9}',
        b'{"pid": 12, "scope_id": "a", "expiration_time": 1, "signal": "SIGKILL"}',
        b'{"pid": 12, "scope_id": "a", "expiration_time": 1, "signal": 9}' + b" " * LONGEST_LINE,
    ],
)  # fmt: skip
def test_what_is_no_timer_is_ignored(text: bytes) -> None:
    assert parse(text) is None
    clock = VirtualClock()
    timers = Timers(None, clock)
    timers.receive(text + b"\n" + line(clock, 1.0))
    assert expired(timers, clock.now() + 2.0) == [(12, "a")]


def test_lines_arrive_in_pieces_of_any_size() -> None:
    clock = VirtualClock()
    timers = Timers(None, clock)
    for byte in line(clock, 1.0) + line(clock, 2.0, scope="größe \U0001f600"):
        timers.receive(bytes([byte]))
    assert expired(timers, clock.now() + 3.0) == [(12, "a"), (12, "größe \U0001f600")]


def test_a_line_without_an_end_is_kept_in_part_and_the_next_line_counts() -> None:
    clock = VirtualClock()
    timers = Timers(None, clock)
    for _ in range(100):
        timers.receive(b"x" * 65536)
    assert len(timers._rest) == LONGEST_LINE + 1
    timers.receive(b'{"pid": 1}\n' + line(clock, 1.0))
    assert expired(timers, clock.now() + 2.0) == [(12, "a")]


def test_the_longest_line_of_the_client_is_read() -> None:
    clock = VirtualClock()
    empty = len(line(clock, 1.0, scope="")) - 1
    longest = line(clock, 1.0, scope="x" * (LONGEST_LINE - empty))
    assert len(longest) == LONGEST_LINE + 1
    assert parse(longest[:-1]) is not None
    assert parse(longest[:-1] + b" ") is None


def test_of_100_000_timers_the_last_ones_are_kept() -> None:
    """The oldest ones are more probably of processes that are gone."""
    clock = VirtualClock()
    timers = Timers(None, clock)
    for first in range(0, 100_000, 1000):
        timers.receive(b"".join(line(clock, 1.0, pid=pid) for pid in range(first, first + 1000)))
    found = [pid for pid, _ in expired(timers, clock.now() + 2.0)]
    assert found == list(range(100_000 - MOST_TIMERS, 100_000))


def test_a_timer_that_is_set_again_is_no_old_one() -> None:
    clock = VirtualClock()
    timers = Timers(None, clock)
    timers.receive(line(clock, 1.0, scope="watchdog"))
    for pid in range(MOST_TIMERS - 1):
        timers.receive(line(clock, 9.0, pid=pid))
    timers.receive(line(clock, 1.0, scope="watchdog") + line(clock, 9.0, pid=-1))
    assert expired(timers, clock.now() + 2.0) == [(12, "watchdog")]


# ---- the FIFO ------------------------------------------------------------------------------------


@contextmanager
def served(path: Path) -> Iterator[tuple[FileTimer, VirtualClock]]:
    clock = VirtualClock()
    server = FileTimer(str(path), clock)
    try:
        yield server, clock
    finally:
        server.end()
        wait_until(lambda: not readers(), what="the end of the thread")


def readers() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name == "timers"]


def write(path: Path, data: bytes) -> None:
    """Write as torch's client does."""
    end = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
    assert os.write(end, data) == len(data)
    os.close(end)


def arrived(server: FileTimer) -> None:
    wait_until(lambda: server.timers.next_at() < math.inf, what="a timer")


def test_a_client_finds_a_reader_in_each_round_and_no_timer_of_the_round_before(
    tmp_path: Path,
) -> None:
    with served(tmp_path / "timers") as (server, clock):
        for _ in range(3):
            assert server.begin() is None
            assert server.timers.next_at() == math.inf
            write(tmp_path / "timers", line(clock, 1.0))
            arrived(server)
            assert expired(server.timers, clock.now() + 2.0) == [(12, "a")]
            write(tmp_path / "timers", line(clock, 1.0))


def test_the_thread_of_a_round_ends_with_it(tmp_path: Path) -> None:
    with served(tmp_path / "timers") as (server, _):
        for _ in range(3):
            assert server.begin() is None
            wait_until(lambda: len(readers()) == 1, what="the end of the older thread")


def test_a_process_that_keeps_the_fifo_of_an_older_round_sets_no_timer(tmp_path: Path) -> None:
    with served(tmp_path / "timers") as (server, clock):
        server.begin()
        old = os.open(tmp_path / "timers", os.O_WRONLY)
        server.begin()
        os.write(old, line(clock, 1.0, scope="old"))
        os.close(old)
        write(tmp_path / "timers", line(clock, 1.0))
        arrived(server)
        assert expired(server.timers, clock.now() + 2.0) == [(12, "a")]


def test_a_burst_of_lines_fits_into_the_fifo(tmp_path: Path) -> None:
    """A client whose line does not fit raises an exception, which would end the training."""
    fifo = files.make_fifo(str(tmp_path / "timers"))
    assert fifo is not None
    for pid in range(1000):
        assert os.write(fifo.writer, line(VirtualClock(), 1.0, pid=pid, scope="x" * 150))
    os.close(fifo.writer)
    os.close(fifo.reader)


def test_nothing_expires_while_the_fifo_has_lines_that_may_release_it(tmp_path: Path) -> None:
    """The agent, and not the worker, may have been stopped meanwhile."""
    fifo = files.make_fifo(str(tmp_path / "timers"))
    assert fifo is not None
    clock = VirtualClock()
    timers = Timers(fifo.reader, clock)
    timers.receive(line(clock, 1.0))
    write(tmp_path / "timers", release())
    assert expired(timers, clock.now() + 2.0) == []
    os.close(fifo.writer)
    timers.serve()
    assert timers.next_at() == math.inf


def test_without_a_path_there_is_no_thread() -> None:
    server = FileTimer(None, VirtualClock())
    assert server.begin() is None
    assert readers() == []
