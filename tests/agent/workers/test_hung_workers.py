"""Timers of real workers: an expired one fails the worker whose process has set it, and no other.

Any process may write into the FIFO. So the tests write the lines for the workers.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any, Callable

import pytest
from dev.wait import wait_until
from tests.support.supervised import Supervised, stub, supervised
from tests.support.survivors import alive, is_dead

pytestmark = pytest.mark.process

ENABLED = {"TORCHELASTIC_ENABLE_FILE_TIMER": "1"}
EXPIRED, NEVER = 0.0, 3600.0


def write(path: Path, pid: int, after_s: float, scope: str = "train.py#7") -> None:
    """Set a timer of a process, as torch's client does in it."""
    at = time.time() + after_s
    request = {"version": 1, "pid": pid, "scope_id": scope, "expiration_time": at, "signal": 9}
    end = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
    os.write(end, json.dumps(request).encode() + b"\n")
    os.close(end)


def expect_hang(one: Supervised) -> dict[str, Any]:
    """Wait for the next event, which must be the failure of a worker that hangs."""
    failure: dict[str, Any] = one.expect("WorkerExited")["failure"]
    assert failure["kind"] == "CauseKind.WORKER_HUNG"
    return failure


def worker(one: Supervised, n: int = 1, local_rank: int = 0) -> int:
    """The pid of a worker of round n."""
    mark = {"ELASTICJOB_POD_UID": one.pod_uid, "ELASTICJOB_ROUND": str(n)}
    find = lambda: alive(**mark, LOCAL_RANK=str(local_rank))  # noqa: E731
    return int(min(wait_until(find, what="a worker")))


def test_an_expired_timer_is_a_failure_in_each_round(tmp_path: Path) -> None:
    with supervised(tmp_path, *stub("runs"), workers=2, environment=ENABLED) as one:
        for n in (1, 2):
            one.start(n, workers=2)
            pid = worker(one, n, local_rank=1)
            write(tmp_path / "timers", pid, 0.3)
            failure = expect_hang(one)
            assert failure["message"] == 'the timer "train.py#7" expired 0.3 s after it was set'
            assert (failure["pod"], failure["rank"], failure["n"]) == ("demo-0-0", 1, n)
            assert (failure["code"], failure["signal"]) == (None, None)
            assert failure["after_ms"] >= 300
            one.stop(n)
            assert is_dead(pid)


def test_a_timer_of_a_process_behind_a_shell_fails_its_worker(tmp_path: Path) -> None:
    script = "[ $LOCAL_RANK = 0 ] && exec sleep 1000; sh -c 'echo $$; exec sleep 1000'; echo never"
    with supervised(tmp_path, "sh", "-c", script, workers=2, environment=ENABLED) as one:
        one.start(1, workers=2)
        (words,) = one.lines(1)
        write(tmp_path / "timers", int(words[0].partition(":")[2] or words[1]), EXPIRED)
        assert expect_hang(one)["rank"] == 1
        one.stop(1)


def test_timers_of_processes_that_are_no_workers_fail_none(tmp_path: Path) -> None:
    """On the local mode the processes of all pods have pids of one machine."""
    other = subprocess.Popen(["sleep", "1000"], start_new_session=True)
    gone = subprocess.Popen(["true"])
    gone.wait()
    with supervised(tmp_path, *stub("has_guest"), environment=ENABLED) as one:
        one.start(1)
        pid, guest = (int(word) for word in one.lines(1)[0][1:])
        strangers = [
            one.process.pid,
            os.getpid(),
            other.pid,
            gone.pid,
            guest,
            1,
            0,
            -1,
            -pid,
            2**70,
        ]
        for stranger in strangers:
            write(tmp_path / "timers", stranger, EXPIRED, f"of {stranger}")
        write(tmp_path / "timers", pid, 0.2)
        assert "train.py#7" in expect_hang(one)["message"]
        one.stop(1)
        assert other.poll() is None
        os.kill(guest, signal.SIGKILL)
    other.kill()
    other.wait()


def test_a_process_with_the_pid_of_an_older_one_inherits_no_timer(tmp_path: Path) -> None:
    """The timers of the next thousand pids are set before a process gets one of these."""
    script = f"until [ -s {tmp_path}/go ]; do sleep 0.05; done; echo $$; sleep 1000 & echo $!; wait"
    with supervised(tmp_path, "sh", "-c", script, environment=ENABLED) as one:
        one.start(1)
        pid = worker(one)
        for later in range(1, 1000):
            write(tmp_path / "timers", pid + later, 1.0, "of an older process")
        set_at = time.monotonic()
        wait_until(lambda: time.monotonic() > set_at + 0.1, what="another tick of process times")
        (tmp_path / "go").write_text("go")
        (_, (child,)) = one.lines(2)
        assert pid < int(child) < pid + 1000
        write(tmp_path / "timers", pid, 1.5)
        assert "train.py#7" in expect_hang(one)["message"]
        one.stop(1)


def test_an_exception_that_came_before_is_the_cause(tmp_path: Path) -> None:
    """The other ranks wait for the one that raised it."""
    with supervised(tmp_path, *stub("reports_and_runs"), environment=ENABLED) as one:
        one.start(1)
        assert "loss is nan" in one.expect("FailureNoticed")["failure"]["message"]
        write(tmp_path / "timers", worker(one), EXPIRED)
        failure = one.expect("WorkerExited")["failure"]
        assert failure["kind"] == "CauseKind.WORKER_FAILED"
        assert "loss is nan" in failure["message"]
        one.stop(1)


def test_a_timer_that_has_expired_before_a_stop_is_noticed(tmp_path: Path) -> None:
    """When all ranks hang, another agent may write the next round first. It compares the causes."""
    with supervised(tmp_path, *stub("runs"), environment=ENABLED) as one:
        one.start(1)
        write(tmp_path / "timers", worker(one), 0.5)
        expires_at = time.monotonic() + 0.5
        os.kill(one.process.pid, signal.SIGSTOP)
        wait_until(lambda: time.monotonic() > expires_at, what="the end of the timer")
        one.order_stop(1)
        os.kill(one.process.pid, signal.SIGCONT)
        event = one.events.get(timeout=20)
        assert event["failure"]["kind"] == "CauseKind.WORKER_HUNG"
        one.expect("WorkersReaped")


def file(path: Path) -> None:
    path.write_text("x")


def directory(path: Path) -> None:
    (path / "below").mkdir(parents=True)


def link(path: Path) -> None:
    path.symlink_to("/etc/passwd")


def nothing(path: Path) -> None:
    pass


@pytest.mark.parametrize("put", [file, directory, link, nothing])
def test_a_worker_that_replaces_the_fifo_loses_it_for_one_round(
    tmp_path: Path, put: Callable[[Path], None]
) -> None:
    with supervised(tmp_path, *stub("runs"), environment=ENABLED) as one:
        one.start(1)
        (tmp_path / "timers").unlink()
        put(tmp_path / "timers")
        one.stop(1)
        one.start(2)
        write(tmp_path / "timers", worker(one, 2), EXPIRED)
        expect_hang(one)
        one.stop(2)


@pytest.mark.parametrize("put", [file, directory, link])
def test_at_a_path_of_the_user_nothing_but_a_fifo_is_replaced(
    tmp_path: Path, put: Callable[[Path], None]
) -> None:
    path = tmp_path / "theirs"
    put(path)
    before = sorted(tmp_path.rglob("*"))
    environment = {**ENABLED, "TORCHELASTIC_TIMER_FILE": str(path)}
    with supervised(tmp_path / "agent", *stub("runs"), environment=environment) as one:
        one.order_start(1)
        exited = one.expect("WorkerExited")
        assert exited["failure"]["kind"] == "CauseKind.START_FAILED"
        assert exited["failure"]["message"].startswith(
            f"cannot create the FIFO for timers, {path}: set TORCHELASTIC_TIMER_FILE to an unused"
        )
        assert not exited["fatal"]
        assert [each for each in sorted(tmp_path.rglob("*")) if "agent" not in each.parts] == before
        one.stop(1)
        shutil.rmtree(path) if put is directory else path.unlink()
        os.mkfifo(path)
        one.start(2)
        write(path, worker(one, 2), EXPIRED)
        expect_hang(one)
        one.stop(2)


@pytest.mark.parametrize("enabled", ["", "0", "true", "1 "])
def test_timers_are_served_only_if_the_variable_is_1(tmp_path: Path, enabled: str) -> None:
    environment = {"TORCHELASTIC_ENABLE_FILE_TIMER": enabled, "TORCHELASTIC_TIMER_FILE": "/theirs"}
    with supervised(tmp_path, *stub("environment"), environment=environment) as one:
        one.start(1)
        found = json.loads(" ".join(one.lines(1)[0]))
        assert {name: found[name] for name in environment} == environment
        assert not (tmp_path / "timers").exists()
        one.stop(1)


def test_junk_in_the_fifo_delays_neither_a_timer_nor_a_stop(tmp_path: Path) -> None:
    """Lines without an end, and 100,000 timers that have expired."""
    with supervised(tmp_path, *stub("runs"), environment=ENABLED) as one:
        one.start(1)
        pid = worker(one)
        fields = {"pid": 1, "scope_id": "\u202e" * 99, "expiration_time": 0, "signal": 9}
        line = json.dumps(fields).encode() + b"\n"
        with (tmp_path / "timers").open("wb", buffering=0) as end:  # waits while the FIFO is full
            for junk in (b"\0" * 10_000_000, b"[" * 1_000_000 + b"\n", line * 100_000):
                view = memoryview(junk)
                while view:
                    view = view[end.write(view) or 0 :]
        write(tmp_path / "timers", pid, EXPIRED)
        assert "train.py#7" in expect_hang(one)["message"]
        one.stop(1)
