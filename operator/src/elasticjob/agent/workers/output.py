"""Everything that the agent writes to its own stdout and stderr, on one thread.

A container runtime that reads slowly, or not at all, blocks whoever writes to its pipe. That must
be neither the loop nor a stop, so the agent's log lines and the lines of several workers pass
through here. A single worker writes to the agent's stdout by itself: no prefix, no copy.

A worker that writes faster than the runtime reads waits, as it would without us.
"""

from __future__ import annotations

import os
import selectors
import threading
from collections import deque

STDOUT, STDERR = 1, 2
_PIECE = 65536
_LONGEST_LINE = 16384  # runtimes cut there; a progress bar without a line feed shows so far
_MOST_WAITING = 1000  # log lines, while stderr is blocked
_CLOSE_S = 1.0


class Output:
    """The agent's stdout and stderr, given as file descriptors (tests: others)."""

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
        """A line of the agent's own log. Never blocks; the oldest are dropped when stderr is."""
        self._log.append(line)
        self._wake_up()

    def pipes(self, prefix: str) -> tuple[int, int]:
        """Two write ends, for a worker's stdout and stderr; the caller closes its copies."""
        ends = [os.pipe() for _ in self._targets]
        for (read_end, _), target in zip(ends, self._targets):
            self._new.append(_Copy(read_end, target, prefix.encode()))
        self._wake_up()
        return ends[0][1], ends[1][1]

    def close(self) -> None:
        """Writes what is there already, for at most a second."""
        self._closing = True
        self._wake_up()
        self._thread.join(_CLOSE_S)

    def _wake_up(self) -> None:
        try:
            os.write(self._wake, b"\0")
        except BlockingIOError:
            pass  # it is awake

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
    """From one worker's pipe to one of ours, whole lines at a time, each with the prefix."""

    def __init__(self, source: int, target: int, prefix: bytes) -> None:
        self.source = source
        self._target = target
        self._prefix = prefix
        self._rest = b""

    def copy(self) -> bool:
        """What there is to read; False: the worker and all who share its pipe have closed it."""
        piece = os.read(self.source, _PIECE)
        lines, self._rest = prefixed(self._rest + piece, self._prefix, is_last=not piece)
        if lines:
            write_all(self._target, lines)
        return bool(piece)


def prefixed(text: bytes, prefix: bytes, is_last: bool) -> tuple[bytes, bytes]:
    """The whole lines of text with the prefix before each, and the rest that is no line yet.

    is_last: nothing follows, so the rest is a line; so is one that grows too long.
    """
    whole, feed, rest = text.rpartition(b"\n")
    if rest and (is_last or len(rest) >= _LONGEST_LINE):
        whole, feed, rest = text, b"\n", b""
    if not feed:
        return b"", rest
    return prefix + whole.replace(b"\n", b"\n" + prefix) + b"\n", rest


def write_all(target: int, data: bytes) -> None:
    """Blocks for as long as it takes; what can no longer be written anywhere is dropped."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(target, view) :]
        except BlockingIOError:
            _wait_writable(target)
        except OSError:
            return  # closed: nobody reads it any more


def _wait_writable(target: int) -> None:
    """Somebody else made it non-blocking."""
    with selectors.DefaultSelector() as selector:
        selector.register(target, selectors.EVENT_WRITE)
        selector.select(1.0)


def _drain(fd: int) -> None:
    try:
        os.read(fd, _PIECE)
    except BlockingIOError:
        pass  # nothing left
