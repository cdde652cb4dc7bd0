"""Reading the log of one run of a container: the whole log, its last lines, or following it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import BinaryIO

from elasticjob import files

CHUNK = 65536
LONGEST_TAIL = 10 << 20
"""The bytes that are searched for the last lines: a kubelet begins another log file then."""
POLL_S = 0.05
"""A container writes its log file directly, so a follower polls it."""


async def read(
    log: BinaryIO, tail: int | None = None, is_running: Callable[[], bool] | None = None
) -> AsyncIterator[bytes]:
    """The log in pieces. With `is_running`, follow the log until that returns False."""
    if tail is not None:
        log.seek(tail_offset(log, tail))
    while True:
        # Evaluated before reading, so that what was written before the end is read.
        is_last = is_running is None or not is_running()
        while piece := log.read(CHUNK):
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
    log = files.open_regular(str(path))
    if log is None:
        return b""
    with log:
        begin = tail_offset(log, lines)
        end = log.seek(0, os.SEEK_END)
        log.seek(max(begin, end - limit))
        return log.read(limit)


def _nth_last(piece: bytes, count: int) -> int:
    position = len(piece)
    for _ in range(count):
        position = piece.rindex(b"\n", 0, position)
    return position
