"""A thread that writes the agent's log, and the output of several workers with a prefix.

A container runtime that reads slowly, or not at all, blocks a process that writes to its pipe. The
loop must not block, so only this thread writes. A single worker inherits stdout and stderr of the
agent, without a prefix. A worker that writes faster than the runtime reads waits in either case.
"""

from __future__ import annotations

import os
import selectors
import threading
from collections import deque

STDOUT, STDERR = 1, 2
_PIECE = 65536
_LONGEST_LINE = 16384  # runtimes split longer lines; a progress bar has no line feeds
_MOST_WAITING = 1000  # log lines while stderr is blocked
_CLOSE_S = 1.0


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
        self._new: deque[_Copy] = deque()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="output", daemon=True)
        self._thread.start()

    def write_line(self, line: str) -> None:
        """Write a line of the log. Never blocks: while stderr blocks, the oldest lines are lost."""
        self._log.append(line)
        self._wake_up()

    def pipes(self, prefix: str) -> tuple[int, int]:
        """Return pipes for the stdout and stderr of a worker; the caller closes its copies."""
        ends = [os.pipe() for _ in self._targets]
        for (read_end, _), target in zip(ends, self._targets):
            self._new.append(_Copy(read_end, target, prefix.encode()))
        self._wake_up()
        return ends[0][1], ends[1][1]

    def close(self) -> None:
        """Write what has arrived so far, for at most a second."""
        self._closing = True
        self._wake_up()
        self._thread.join(_CLOSE_S)

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
                elif not key.data.copy():
                    self._selector.unregister(key.fd)
                    os.close(key.fd)
            self._take_new()
            self._write_log()
            if self._closing and not ready:
                return

    def _take_new(self) -> None:
        while self._new:
            copy = self._new.popleft()
            self._selector.register(copy.source, selectors.EVENT_READ, copy)

    def _write_log(self) -> None:
        while self._log:
            write_all(self._targets[1], self._log.popleft().encode("utf-8", "replace") + b"\n")


class _Copy:
    """Copies whole lines from a worker's pipe to stdout or stderr, each with the prefix."""

    def __init__(self, source: int, target: int, prefix: bytes) -> None:
        self.source = source
        self._target = target
        self._prefix = prefix
        self._rest = b""

    def copy(self) -> bool:
        """Copy what has arrived. False: every process has closed the pipe."""
        piece = os.read(self.source, _PIECE)
        lines, self._rest = prefixed(self._rest + piece, self._prefix, is_last=not piece)
        if lines:
            write_all(self._target, lines)
        return bool(piece)


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
