from __future__ import annotations

import asyncio
import io
from collections.abc import Callable
from pathlib import Path

import pytest

from elasticjob.local.node import logs

LINE = b"0123456789" * 10 + b"\n"


@pytest.mark.parametrize(
    ("text", "lines", "last"),
    [
        (b"a\nb\nc\n", 1, b"c\n"),
        (b"a\nb\nc\n", 2, b"b\nc\n"),
        (b"a\nb\nc\n", 3, b"a\nb\nc\n"),
        (b"a\nb\nc\n", 9, b"a\nb\nc\n"),
        (b"a\nb\nc\n", 0, b""),
        (b"a\nb\nc", 1, b"c"),  # a line without its end is one
        (b"a\nb\nc", 2, b"b\nc"),
        (b"\n\n\n", 2, b"\n\n"),
        (b"", 5, b""),
        (b"x", 1, b"x"),
        (LINE * 5000, 1, LINE),
        (LINE * 5000, 3000, LINE * 3000),  # is_last several pieces
        (b"x" * 200_000 + b"\nlast\n", 1, b"last\n"),
        (b"first\n" + b"x" * 200_000, 1, b"x" * 200_000),
    ],
)
def test_the_last_lines(text: bytes, lines: int, last: bytes) -> None:
    offset = logs.tail_offset(io.BytesIO(text), lines)
    assert text[offset:] == last


def read(
    path: Path, tail: int | None = None, is_running: Callable[[], bool] | None = None
) -> bytes:
    log = logs.Log.open(path, tail)
    assert log is not None

    async def collect() -> bytes:
        return b"".join([piece async for piece in logs.read(log, is_running)])

    try:
        return asyncio.run(collect())
    finally:
        log.close()


def test_the_whole_log(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(LINE * 2000)
    assert read(tmp_path / "log") == LINE * 2000
    assert read(tmp_path / "log", tail=7) == LINE * 7


def test_a_follower_reads_everything_written_before_the_end(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"old\nfirst\n")
    writes = [b"second\n", b"third\n"]

    def is_running() -> bool:
        if not writes:
            return False
        with path.open("ab") as log:
            log.write(writes.pop(0))
        return True

    assert read(path, tail=1, is_running=is_running) == b"first\nsecond\nthird\n"


def test_the_read_tail_is_bounded_in_lines_and_bytes(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"a\nb\nc\n")
    assert logs.read_tail(path, 2, 100) == b"b\nc\n"
    assert logs.read_tail(path, 2, 3) == b"\nc\n"
    assert logs.read_tail(tmp_path / "none", 2, 3) == b""
