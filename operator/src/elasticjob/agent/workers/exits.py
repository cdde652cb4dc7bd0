"""What a worker's end means: which failure came first, and its cause in words.

A worker that failed may end late: torch needs seconds to take down its communicator, and meanwhile
a peer that only lost its connection is gone. Where workers write torch's error file (`@record`),
the file's time says who failed first; without a file, the moment of the exit counts.
"""

from __future__ import annotations

import errno
import json
import os
import signal
from collections.abc import Iterable

from elasticjob.wire.cause import MESSAGE_BYTES, CauseKind
from elasticjob.wire.dataclasses import dataclass

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
    """Torch's report of one exception. at: when it was written (wall clock)."""

    at: float
    message: str


@dataclass(frozen=True)
class Outcome:
    """How one worker stands. code: of its exit, negative for a signal; None: it still runs.

    at: when its end was noticed (wall clock). file: what it reported.
    """

    local_rank: int
    code: int | None
    at: float
    file: ErrorFile | None = None

    @property
    def has_failed(self) -> bool:
        """Ended badly, or about to."""
        return self.code != 0 if self.code is not None else self.file is not None


@dataclass(frozen=True)
class Failure:
    """The first failure among an agent's workers. code, signal: None while it is still ending."""

    kind: CauseKind
    local_rank: int
    code: int | None
    signal: int | None
    message: str


def first_failure(workers: Iterable[Outcome]) -> Failure:
    """The earliest failure of a group in which somebody failed."""
    failed = [worker for worker in workers if worker.has_failed]
    first = min(failed, key=lambda w: (w.file.at if w.file else w.at, w.local_rank))
    code, number = _code_and_signal(first.code)
    kind = CauseKind.WORKER_FAILED if number is None else CauseKind.WORKER_SIGNALED
    return Failure(
        kind,
        first.local_rank,
        code,
        number,
        first.file.message if first.file else exit_text(first.code),
    )


def start_failure(local_rank: int, command: str, error: OSError) -> tuple[Failure, bool]:
    """Our own exec failed; whether that is fatal: no restart mends a command that is not there."""
    code = _EXEC_ERRORS.get(error.errno or 0)
    reason = error.strerror or str(error)
    message = f"cannot execute {command!r}: {reason}"
    if code is not None:
        message += ": check the container's command and its image"
    return Failure(CauseKind.START_FAILED, local_rank, code, None, message), code is not None


def read_error_file(path: str) -> ErrorFile | None:
    """What a worker wrote to TORCHELASTIC_ERROR_FILE, or None.

    Its form is torch's: {"message": {"message": TEXT, "extraInfo": {"py_callstack": TEXT}}}, or a
    string as the outer message. A file that is not of this form is still the worker's last word.
    """
    try:
        with open(path, "rb") as file:
            text = file.read(_LONGEST_FILE).decode("utf-8", "replace")
            at = os.fstat(file.fileno()).st_mtime
    except OSError:
        return None
    return ErrorFile(at, last_lines(_reported(text))) if text.strip() else None


def last_lines(text: str) -> str:
    """As many last lines as fit into a cause: there a traceback has its error."""
    kept: list[str] = []
    for line in reversed(text.strip().splitlines()):
        if kept and len("\n".join([line, *kept]).encode()) > MESSAGE_BYTES:
            break
        kept.insert(0, line)
    return "\n".join(kept)


def exit_text(code: int | None) -> str:
    """An exit without a report: `exit code 3`, `ended by SIGKILL`."""
    if code is None or code >= 0:
        return f"exit code {code}"
    try:
        return f"ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"ended by signal {-code}"


def _reported(text: str) -> str:
    try:
        found = json.loads(text)
    except ValueError:
        return text
    message = found.get("message") if isinstance(found, dict) else None
    if isinstance(message, dict):
        extra = message.get("extraInfo")
        stack = extra.get("py_callstack") if isinstance(extra, dict) else None
        return str(stack or message.get("message") or text)
    return str(message or text)


def _code_and_signal(code: int | None) -> tuple[int | None, int | None]:
    return (code, None) if code is None or code >= 0 else (None, -code)
