"""Reading the log of one run of a container: all of it, its last lines, or as it grows."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import BinaryIO

CHUNK = 65536
POLL_S = 0.05
"""A container writes its log by itself, so a follower has to look. Only while there is one."""


async def read(
    log: BinaryIO, tail: int | None = None, living: Callable[[], bool] | None = None
) -> AsyncIterator[bytes]:
    """The log in pieces. With `living` it goes on until that says no and the rest has been read."""
    if tail is not None:
        log.seek(tail_offset(log, tail))
    while True:
        over = living is None or not living()  # asked before reading: what came first is read
        while piece := log.read(CHUNK):
            yield piece
        if over:
            return
        await asyncio.sleep(POLL_S)


def tail_offset(log: BinaryIO, lines: int) -> int:
    """Where the last lines begin. A last line without its end counts as one."""
    end = log.seek(0, os.SEEK_END)
    if lines <= 0 or end == 0:
        return end
    log.seek(end - 1)
    wanted = lines + (log.read(1) == b"\n")
    while end > 0:
        begin = max(0, end - CHUNK)
        log.seek(begin)
        piece = log.read(end - begin)
        found = piece.count(b"\n")
        if found >= wanted:
            return begin + _nth_last(piece, wanted) + 1
        wanted -= found
        end = begin
    return 0


def last_part(path: Path, lines: int, limit: int) -> bytes:
    """The last lines of a log, at most `limit` bytes of them; nothing when there is no log."""
    try:
        with path.open("rb") as log:
            begin = tail_offset(log, lines)
            end = log.seek(0, os.SEEK_END)
            log.seek(max(begin, end - limit))
            return log.read(limit)
    except FileNotFoundError:
        return b""


def _nth_last(piece: bytes, count: int) -> int:
    position = len(piece)
    for _ in range(count):
        position = piece.rindex(b"\n", 0, position)
    return position
