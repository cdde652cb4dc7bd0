"""The exits of workers: which failure came first.

The worker that failed first may exit later than a peer that lost its connection: torch needs
seconds to destroy a communicator. So the first failure is the one with the oldest torch error file
(`@record`); the time of a worker without a file is that of its exit.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable

from elasticjob import files
from elasticjob.agent.workers import failure_message
from elasticjob.agent.workers.file_timer import Timer
from elasticjob.wire.cause import CauseKind
from elasticjob.wire.dataclasses import dataclass
from elasticjob.wire.untrusted import WireError, decode, plain

NOT_FOUND = 127
NOT_EXECUTABLE = 126
_EXEC_ERRORS = {
    errno.ENOENT: NOT_FOUND,
    errno.ENOTDIR: NOT_FOUND,
    errno.EACCES: NOT_EXECUTABLE,
    errno.EPERM: NOT_EXECUTABLE,
    errno.ENOEXEC: NOT_EXECUTABLE,
    errno.EISDIR: NOT_EXECUTABLE,
    errno.ELIBBAD: NOT_EXECUTABLE,
    errno.ELOOP: NOT_EXECUTABLE,
    errno.E2BIG: NOT_EXECUTABLE,
    errno.ENAMETOOLONG: NOT_EXECUTABLE,
}
_LONGEST_FILE = 1 << 20


@dataclass(frozen=True)
class ErrorFile:
    """A worker's report of its exception, in torch's error file."""

    at: float  # when it was written; wall clock
    message: str


@dataclass(frozen=True)
class WorkerOutcome:
    """The outcome of one worker so far."""

    local_rank: int
    code: int | None  # of its exit, negative for a signal; None: it still runs
    at: float  # when its exit was noticed; wall clock
    file: ErrorFile | None = None
    stderr: str = ""  # the end of it

    @property
    def has_failed(self) -> bool:
        """Whether the worker failed, or runs and has reported an exception."""
        return self.code != 0 if self.code is not None else self.file is not None

    @property
    def failed_at(self) -> float:
        """When a worker that has failed did so; wall clock. A file cannot be of the future."""
        return min(self.file.at, self.at) if self.file else self.at

    @property
    def message(self) -> str:
        """The message of its failure."""
        if self.file is not None:
            return self.file.message
        return failure_message.of_exit(self.code, self.stderr)


@dataclass(frozen=True)
class Failure:
    """The first failure among an agent's workers."""

    kind: CauseKind
    local_rank: int
    code: int | None  # None: ended by a signal, or still running
    signal: int | None
    message: str
    at: float  # wall clock


def first_failure(workers: Iterable[WorkerOutcome]) -> Failure | None:
    """Return the earliest failure, or None."""
    failed = [worker for worker in workers if worker.has_failed]
    if not failed:
        return None
    first = min(failed, key=lambda w: (w.failed_at, w.local_rank))
    code, number = _code_and_signal(first.code)
    kind = CauseKind.WORKER_FAILED if number is None else CauseKind.WORKER_SIGNALED
    return Failure(kind, first.local_rank, code, number, first.message, first.failed_at)


def start_failure(local_rank: int, command: str, error: OSError, at: float) -> tuple[Failure, bool]:
    """Return the failure of an exec, and whether it is fatal: restarts cannot cure it."""
    code = _EXEC_ERRORS.get(error.errno or 0)
    reason = error.strerror or str(error)
    message = f"cannot execute {command!r}: {reason}"
    if error.errno == errno.E2BIG:
        message += ": set enableServiceLinks: false in spec.template.spec, or shorten env and args"
    elif code is not None:
        message += ": check the container's command and its image"
    failure = Failure(CauseKind.START_FAILED, local_rank, code, None, message, at)
    return failure, code is not None


def timer_failure(local_rank: int, timer: Timer, at: float) -> Failure:
    """Return the failure of a worker whose timer has expired."""
    name = " ".join(plain(timer.scope).split())
    after_s = timer.expires_at - timer.set_at
    message = f'the timer "{name}" expired {after_s:.1f} s after it was set'
    return Failure(CauseKind.WORKER_HUNG, local_rank, None, None, message, at)


def timer_file_failure(path: str, at: float) -> Failure:
    """Return the failure of a start without the FIFO for timers that the user has enabled."""
    message = (
        f"cannot create the FIFO for timers, {path}: set TORCHELASTIC_TIMER_FILE to an unused path"
        " in a writable directory of the pod, or remove it from env"
    )
    return Failure(CauseKind.START_FAILED, 0, None, None, message, at)


def earliest(*failures: Failure | None) -> Failure | None:
    """Return the failure that happened first, or None if there is none."""
    return min((each for each in failures if each), key=lambda each: each.at, default=None)


def read_error_file(path: str) -> ErrorFile | None:
    """Read the file at TORCHELASTIC_ERROR_FILE. None: it is absent, empty or no plain file.

    Torch writes {"message": {"message": TEXT, "extraInfo": {"py_callstack": TEXT}}}, or a string as
    the outer message. Of any other file the whole text is the message.
    """
    found = files.read(path, _LONGEST_FILE)
    if found is None or not found.data.strip():
        return None
    return ErrorFile(found.changed_at, failure_message.of_report(*_reported(found.data)))


def _reported(raw: bytes) -> tuple[str, str]:
    """Return message and stack of a report."""
    text = raw.decode("utf-8", "replace")
    try:
        found = decode(raw, "the error file")
    except WireError:
        return text, ""
    message = found.get("message") if isinstance(found, dict) else None
    if isinstance(message, dict):
        extra = message.get("extraInfo")
        stack = extra.get("py_callstack") if isinstance(extra, dict) else None
        return str(message.get("message") or ("" if stack else text)), str(stack or "")
    return str(message or text), ""


def _code_and_signal(code: int | None) -> tuple[int | None, int | None]:
    return (code, None) if code is None or code >= 0 else (None, -code)
