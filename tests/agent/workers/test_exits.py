from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest

from elasticjob.agent.workers.exits import (
    ErrorFile,
    Failure,
    WorkerOutcome,
    first_failure,
    read_error_file,
    start_failure,
    timer_failure,
)
from elasticjob.agent.workers.file_timer import Timer
from elasticjob.wire.cause import CauseKind

REPORT = ErrorFile(5.0, "ValueError: nan")
FAILED, SIGNALED = CauseKind.WORKER_FAILED, CauseKind.WORKER_SIGNALED
STACK = 'Traceback:\n  File "t.py", line 7\nValueError: nan'


@pytest.mark.parametrize(
    ("workers", "failure"),
    [
        ([WorkerOutcome(0, 3, 9.0)], Failure(FAILED, 0, 3, None, "exit code 3", 9.0)),
        ([WorkerOutcome(0, -9, 9.0)], Failure(SIGNALED, 0, None, 9, "ended by SIGKILL", 9.0)),
        (
            [WorkerOutcome(0, 3, 9.0, stderr="no data\n")],
            Failure(FAILED, 0, 3, None, "no data", 9.0),
        ),
        (  # an error file is the worker's own report
            [WorkerOutcome(0, 3, 9.0, REPORT, "no data\n")],
            Failure(FAILED, 0, 3, None, REPORT.message, 5.0),
        ),
        (
            [WorkerOutcome(0, 0, 1.0), WorkerOutcome(1, 1, 9.0)],
            Failure(FAILED, 1, 1, None, "exit code 1", 9.0),
        ),
        (
            [WorkerOutcome(0, None, 9.0), WorkerOutcome(1, 1, 9.0)],
            Failure(FAILED, 1, 1, None, "exit code 1", 9.0),
        ),
        # the earliest, then the lowest rank
        (
            [WorkerOutcome(0, 1, 9.0), WorkerOutcome(1, 2, 8.0)],
            Failure(FAILED, 1, 2, None, "exit code 2", 8.0),
        ),
        (
            [WorkerOutcome(1, 1, 9.0), WorkerOutcome(0, 2, 9.0)],
            Failure(FAILED, 0, 2, None, "exit code 2", 9.0),
        ),
        # the time of an error file counts, not that of the exit
        (
            [WorkerOutcome(0, 1, 8.0), WorkerOutcome(1, 1, 9.0, REPORT)],
            Failure(FAILED, 1, 1, None, REPORT.message, 5.0),
        ),
        (
            [WorkerOutcome(0, -6, 8.0), WorkerOutcome(1, None, 9.0, REPORT)],
            Failure(FAILED, 1, None, None, REPORT.message, 5.0),
        ),
        # the error file of a worker that succeeded is ignored
        (
            [WorkerOutcome(0, 0, 8.0, REPORT), WorkerOutcome(1, 4, 9.0)],
            Failure(FAILED, 1, 4, None, "exit code 4", 9.0),
        ),
    ],
)
def test_the_first_failure(workers: list[WorkerOutcome], failure: Failure) -> None:
    assert first_failure(workers) == failure


def test_no_failure() -> None:
    assert first_failure([WorkerOutcome(0, 0, 8.0, REPORT), WorkerOutcome(1, None, 9.0)]) is None


def test_an_error_file_is_of_no_later_time() -> None:
    """A worker can give its file any time."""
    found = first_failure([WorkerOutcome(0, 1, 4.0, REPORT)])
    assert found is not None
    assert found.at == 4.0


@pytest.mark.parametrize(
    ("number", "code", "fatal"),
    [
        (errno.ENOENT, 127, True),
        (errno.ENOTDIR, 127, True),
        (errno.EACCES, 126, True),
        (errno.ENOEXEC, 126, True),
        (errno.EAGAIN, None, False),
        (errno.ENOMEM, None, False),
        (errno.ETXTBSY, None, False),
    ],
)
def test_only_lasting_errors_are_fatal(number: int, code: int | None, fatal: bool) -> None:
    failure, is_fatal = start_failure(2, "python4", OSError(number, os.strerror(number)), 9.0)
    assert (failure.kind, failure.local_rank) == (CauseKind.START_FAILED, 2)
    assert (failure.code, is_fatal) == (code, fatal)
    assert failure.message.startswith(f"cannot execute 'python4': {os.strerror(number)}")


@pytest.mark.parametrize(
    ("number", "cure"),
    [
        (errno.ENOENT, "check the container's command and its image"),
        (
            errno.E2BIG,
            "set enableServiceLinks: false in spec.template.spec, or shorten env and args",
        ),
    ],
)
def test_a_command_that_cannot_be_executed_is_reported_with_the_cure(
    number: int, cure: str
) -> None:
    failure, is_fatal = start_failure(0, "python3", OSError(number, os.strerror(number)), 1.0)
    assert is_fatal
    assert failure.message == f"cannot execute 'python3': {os.strerror(number)}: {cure}"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"message": {"message": "ValueError: nan"}}, "ValueError: nan"),
        (
            {"message": {"message": "x", "extraInfo": {"py_callstack": STACK}}},
            f"ValueError: nan\nthe end of the traceback:\n{STACK}",
        ),
        ({"message": {"extraInfo": {"py_callstack": "no frames"}}}, "no frames"),
        ({"message": {"errorCode": 3}}, '{"message": {"errorCode": 3}}'),
        ({"message": "a string", "timestamp": 1}, "a string"),
        ({"message": {"message": "x", "extraInfo": "?"}}, "x"),
        ({"other": 1}, '{"other": 1}'),
        ([1], "[1]"),
    ],
)
def test_torchs_error_file(tmp_path: Path, content: Any, message: str) -> None:
    path = tmp_path / "error.json"
    path.write_text(json.dumps(content))
    os.utime(path, (7.5, 7.5))
    assert read_error_file(str(path)) == ErrorFile(7.5, message)


def test_the_text_of_an_invalid_error_file_is_the_message(tmp_path: Path) -> None:
    path = tmp_path / "error.json"
    path.write_bytes(b"\xff not JSON")
    found = read_error_file(str(path))
    assert found is not None
    assert found.message.endswith("not JSON")
    path.write_text("")
    assert read_error_file(str(path)) is None
    assert read_error_file(str(tmp_path / "none")) is None


@pytest.mark.parametrize(
    ("scope", "shown"),
    [
        ("/train.py#12", "/train.py#12"),
        ("a\nb\r\n\tc", "a b c"),
        ("\x1b[2J\u202e", "\ufffd[2J\ufffd"),
        ("", ""),
    ],
)
def test_the_message_of_a_timer_is_one_plain_line(scope: str, shown: str) -> None:
    failure = timer_failure(3, Timer(12, scope, set_at=10.0, expires_at=40.0), 7.0)
    assert failure.message == f'the timer "{shown}" expired 30.0 s after it was set'
    assert (failure.kind, failure.local_rank, failure.at) == (CauseKind.WORKER_HUNG, 3, 7.0)
    assert (failure.code, failure.signal) == (None, None)
