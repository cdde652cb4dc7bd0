"""A thread that writes the agent's log, and copies what workers write to stdout and stderr.

A container runtime that reads slowly, or not at all, blocks a process that writes to its pipe. The
loop must not block, so only this thread writes. A worker that writes faster than the runtime reads
waits, as it would without the agent. Lines of several workers get a prefix. A single worker
inherits stdout; the bytes of its stderr pass unchanged.

The end of each stderr is kept: it names the error of a worker that fails.
"""

from __future__ import annotations

import os
import selectors
import threading
from collections import deque
from typing import Callable

from elasticjob.wire.dataclasses import dataclass

STDOUT, STDERR = 1, 2
_PIECE = 65536
_LONGEST_LINE = 16384  # runtimes split longer lines; a progress bar has no line feeds
_MOST_WAITING = 1000  # log lines while stderr is blocked
_CLOSE_S = 1.0
_MOST_CLOSE_WAITS = 5
_KEPT = 16384  # bytes of the end of a stderr
_MOST_READS = 16  # of a pipe by the loop: a worker can enlarge its pipe to 1 MiB


class Output:
    """The agent's stdout and stderr, given as file descriptors."""

    def __init__(self, stdout: int = STDOUT, stderr: int = STDERR) -> None:
        self._targets = (stdout, stderr)
        self._log: deque[str] = deque(maxlen=_MOST_WAITING)
        self._selector = selectors.DefaultSelector()
        self._woken, self._wake = os.pipe()
        os.set_blocking(self._woken, False)
        os.set_blocking(self._wake, False)
        self._selector.register(self._woken, selectors.EVENT_READ, None)
        self._new: deque[Copy] = deque()
        self._copies: list[Copy] = []  # of the thread; those of older rounds first
        self._writes = 0
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="output", daemon=True)
        self._thread.start()

    def write_line(self, line: str) -> None:
        """Write a line of the log. Never blocks: while stderr blocks, the oldest lines are lost."""
        self._log.append(line)
        self._wake_up()

    def streams(self, prefix: str | None) -> Streams:
        """Return the streams of one worker, each line with the prefix; None: it is the only one."""
        stderr_end, stderr = self._pipe(self._targets[1], prefix, kept=_KEPT)
        if prefix is None:
            return Streams(None, stderr, stderr_end)
        return Streams(self._pipe(self._targets[0], prefix, kept=0)[1], stderr, stderr_end)

    def close(self) -> None:
        """Write what has arrived so far; wait at most a second while the runtime reads nothing."""
        self._closing = True
        self._wake_up()
        for _ in range(_MOST_CLOSE_WAITS):
            before = self._writes
            self._thread.join(_CLOSE_S)
            if self._writes == before:
                return

    def _pipe(self, target: int, prefix: str | None, kept: int) -> tuple[Copy, int]:
        source, end = os.pipe()
        copy = Copy(source, target, (prefix or "").encode(), kept, self._wake_up)
        self._new.append(copy)
        self._wake_up()
        return copy, end

    def _wake_up(self) -> None:
        try:
            os.write(self._wake, b"\0")
        except BlockingIOError:
            pass  # the thread is awake

    def _run(self) -> None:
        while True:
            ready = self._selector.select(0.0 if self._closing else None)
            for key, _ in ready:
                if key.data is None:
                    _drain(self._woken)
                elif not key.data.read():
                    self._remove(key.data)
            self._take_new()
            for copy in self._copies:
                self._writes += copy.write()
            self._write_log()
            if self._closing and not ready:
                return

    def _take_new(self) -> None:
        while self._new:
            copy = self._new.popleft()
            self._selector.register(copy.source, selectors.EVENT_READ, copy)
            self._copies.append(copy)

    def _remove(self, copy: Copy) -> None:
        self._selector.unregister(copy.source)
        self._copies.remove(copy)
        self._writes += copy.write()
        copy.close()

    def _write_log(self) -> None:
        while self._log:
            write_all(self._targets[1], self._log.popleft().encode("utf-8", "replace") + b"\n")
            self._writes += 1


class Copy:
    """The copying of one worker's pipe to stdout or stderr: whole lines with a prefix, or, if it is
    empty, bytes as they arrive.

    Any thread may read the pipe, which does not block; only the thread of the output writes.
    """

    def __init__(
        self, source: int, target: int, prefix: bytes, kept: int, wake_up: Callable[[], None]
    ) -> None:
        os.set_blocking(source, False)
        self.source = source
        self._target = target
        self._prefix = prefix
        self._most_kept = kept
        self._wake_up = wake_up
        self._lock = threading.Lock()
        self._is_at_end = False
        self._kept = bytearray()
        self._waiting: deque[bytes] = deque()  # has been read and not yet written
        self._rest = b""

    def read(self) -> bool:
        """Read a piece of what has arrived. False: every process has closed the pipe."""
        with self._lock:
            return self._read() != b""

    def write(self) -> int:
        """Write what has been read; return the number of writes."""
        count = 0
        while self._waiting:
            piece = self._waiting.popleft()
            if self._prefix:
                whole = self._rest + piece
                piece, self._rest = prefixed(whole, self._prefix, is_last=not piece)
            write_all(self._target, piece)
            count += 1
        return count

    def end(self) -> str:
        """The last characters that have arrived, also those that no thread has read so far.

        Of a worker that has exited this is all that it wrote, even if a child keeps the pipe open.
        """
        with self._lock:
            for _ in range(_MOST_READS):
                if self._is_at_end or not self._read():
                    break
            kept = bytes(self._kept[-self._most_kept :])
        self._wake_up()
        text = kept.decode("utf-8", "replace")
        is_cut = len(kept) == self._most_kept
        return text.partition("\n")[2] or text if is_cut else text

    def close(self) -> None:
        """Close the pipe, once nothing more can arrive."""
        with self._lock:
            self._is_at_end = True
            os.close(self.source)

    def _read(self) -> bytes | None:
        """Read a piece; empty at the end of the pipe, None if nothing has arrived."""
        try:
            piece = os.read(self.source, _PIECE)
        except BlockingIOError:
            return None
        if piece or not self._is_at_end:
            self._waiting.append(piece)  # an empty one marks the end
        self._is_at_end = not piece
        if self._most_kept:
            self._kept += piece[-self._most_kept :]
            if len(self._kept) > 2 * self._most_kept:
                del self._kept[: -self._most_kept]
        return piece


@dataclass(frozen=True)
class Streams:
    """The standard streams of one worker, as file descriptors that the caller closes."""

    stdout: int | None  # None: it inherits that of the agent
    stderr: int
    copy: Copy  # of stderr


def prefixed(text: bytes, prefix: bytes, is_last: bool) -> tuple[bytes, bytes]:
    """Return the whole lines of text, each with the prefix, and the rest.

    A rest counts as a line if nothing follows (is_last) or if it is too long.
    """
    whole, feed, rest = text.rpartition(b"\n")
    if rest and (is_last or len(rest) >= _LONGEST_LINE):
        whole, feed, rest = text, b"\n", b""
    if not feed:
        return b"", rest
    return prefix + whole.replace(b"\n", b"\n" + prefix) + b"\n", rest


def write_all(target: int, data: bytes) -> None:
    """Write all data, and block while the target does; if it is closed, drop the rest."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(target, view) :]
        except BlockingIOError:
            _wait_writable(target)
        except OSError:
            return  # closed


def _wait_writable(target: int) -> None:
    """Wait for a target that another process has made non-blocking."""
    with selectors.DefaultSelector() as selector:
        selector.register(target, selectors.EVENT_WRITE)
        selector.select(1.0)


def _drain(fd: int) -> None:
    try:
        os.read(fd, _PIECE)
    except BlockingIOError:
        pass  # nothing left
