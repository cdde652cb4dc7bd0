"""Reading the log of one run of a container: the whole log, its last lines, or following it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import BinaryIO

from elasticjob import files
from elasticjob.local.node.log_parts import PART_BYTES, numbers, part_path

CHUNK = 65536
LONGEST_TAIL = PART_BYTES
"""The bytes of a part that are searched for the last lines."""
POLL_S = 0.05
"""How often a follower looks for more."""


class Log:
    """The log of one run, open at the place from which it is read."""

    def __init__(self, path: Path, number: int, part: BinaryIO) -> None:
        self._path = str(path)
        self._number = number
        self._part = part

    @classmethod
    def open(cls, path: Path, tail: int | None = None) -> Log | None:
        """Open a log at its begin, or before its last lines; None if there is none."""
        found: Log | None = None
        wanted = tail
        for number in reversed(numbers(str(path))):
            part = files.open_regular(part_path(str(path), number))
            if part is None:
                continue
            if found is not None:
                found.close()
            found = cls(path, number, part)
            if wanted is not None:
                part.seek(tail_offset(part, wanted))
                wanted -= _lines(part)
                if wanted <= 0:
                    break
        return found

    def close(self) -> None:
        """Close the part that is read."""
        self._part.close()

    def next_piece(self) -> bytes:
        """The next bytes, of this part or a later one; empty at the end."""
        while True:
            # Before reading: a part is complete once there is a later one.
            later = [n for n in numbers(self._path) if n > self._number]
            if piece := self._part.read(CHUNK):
                return piece
            if not later:
                return b""
            self._number = later[0]
            if part := files.open_regular(part_path(self._path, self._number)):
                self._part.close()
                self._part = part


async def read(log: Log, is_running: Callable[[], bool] | None = None) -> AsyncIterator[bytes]:
    """The log in pieces. With `is_running`, follow the log until that returns False."""
    while True:
        # Evaluated before reading, so that what was written before the end is read.
        is_last = is_running is None or not is_running()
        while piece := log.next_piece():
            yield piece
            await asyncio.sleep(0)  # a container can write faster than this loop reads
        if is_last:
            return
        await asyncio.sleep(POLL_S)


def tail_offset(log: BinaryIO, lines: int) -> int:
    """The offset of the last lines. A last line without a newline counts as a line."""
    end = log.seek(0, os.SEEK_END)
    if lines <= 0 or end == 0:
        return end
    first = max(0, end - LONGEST_TAIL)
    log.seek(end - 1)
    wanted = lines + (log.read(1) == b"\n")
    while end > first:
        begin = max(first, end - CHUNK)
        log.seek(begin)
        piece = log.read(end - begin)
        found = piece.count(b"\n")
        if found >= wanted:
            return begin + _nth_last(piece, wanted) + 1
        wanted -= found
        end = begin
    return first


def read_tail(path: Path, lines: int, limit: int) -> bytes:
    """The last lines of a log, at most `limit` bytes; empty if there is no log."""
    log = Log.open(path, lines)
    if log is None:
        return b""
    found = b""
    while piece := log.next_piece():
        found = (found + piece)[-limit:]
    log.close()
    return found


def _lines(part: BinaryIO) -> int:
    """The number of lines from here to the end. The place stays as it is."""
    begin, count, last = part.seek(0, os.SEEK_CUR), 0, b""
    while piece := part.read(CHUNK):
        count, last = count + piece.count(b"\n"), piece[-1:]
    part.seek(begin)
    return count + (last not in (b"", b"\n"))


def _nth_last(piece: bytes, count: int) -> int:
    position = len(piece)
    for _ in range(count):
        position = piece.rindex(b"\n", 0, position)
    return position
