"""A log has parts of limited size, of which the newest are kept; a reader continues across them."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from elasticjob.local.node import logs
from elasticjob.local.node.log_parts import PARTS, LogWriter, numbers, part_path

PART = 100


def writer(root: Path) -> LogWriter:
    return LogWriter(str(root / "0.log"), PART)


def line(number: int) -> bytes:
    return b"line %04d\n" % number


def text_of(root: Path, tail: int | None = None) -> bytes:
    log = logs.Log.open(root / "0.log", tail)
    assert log is not None
    pieces = list(iter(log.next_piece, b""))
    log.close()
    return b"".join(pieces)


def test_only_the_newest_parts_are_kept(tmp_path: Path) -> None:
    log = writer(tmp_path)
    for number in range(1000):
        log.write(line(number))
    paths = [Path(part_path(str(tmp_path / "0.log"), n)) for n in numbers(str(tmp_path / "0.log"))]
    assert sorted(tmp_path.iterdir()) == sorted(paths)
    assert len(paths) == PARTS
    assert all(path.stat().st_size <= PART + len(line(0)) for path in paths)
    found = text_of(tmp_path)
    assert found.endswith(b"".join(map(line, range(960, 1000))))
    assert found.startswith(b"line ")


@pytest.mark.parametrize("wanted", [0, 1, 3, 10, 11, 25, 40])
def test_the_last_lines_are_in_several_parts(tmp_path: Path, wanted: int) -> None:
    log = writer(tmp_path)
    for number in range(200):
        log.write(line(number))
    assert text_of(tmp_path, wanted) == b"".join(map(line, range(200 - wanted, 200)))
    assert logs.read_tail(tmp_path / "0.log", wanted, 10_000) == text_of(tmp_path, wanted)


def test_a_large_write_is_split_at_lines_and_a_long_line_is_cut(tmp_path: Path) -> None:
    log = writer(tmp_path)
    log.write(b"".join(map(line, range(30))))
    assert text_of(tmp_path) == b"".join(map(line, range(30)))
    assert len(numbers(str(tmp_path / "0.log"))) == 2
    for _ in range(100):
        log.write(b"x" * 50)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= (PARTS + 1) * 3 * PART


@pytest.mark.parametrize("lag", [7, 70])
def test_a_follower_continues_with_the_next_part(tmp_path: Path, lag: int) -> None:
    """Also if the parts in between are gone, because it read too slowly."""
    log = writer(tmp_path)
    log.write(line(0))
    lines = iter(range(1, 141))

    def is_running() -> bool:
        written = [log.write(line(number)) for _, number in zip(range(lag), lines, strict=False)]
        return bool(written)

    async def collect() -> bytes:
        opened = logs.Log.open(tmp_path / "0.log")
        assert opened is not None
        try:
            return b"".join([piece async for piece in logs.read(opened, is_running)])
        finally:
            opened.close()

    found = asyncio.run(collect()).splitlines(keepends=True)
    assert found[0] == line(0)
    assert found[-1] == line(140)
    assert found == sorted(set(found))
    assert lag > 10 or found == [line(number) for number in range(141)]


def test_what_the_container_has_put_in_the_place_of_a_part_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_bytes(b"mine")
    (tmp_path / "0.log.1").symlink_to(tmp_path / "mine")
    os.mkfifo(tmp_path / "0.log.2")
    (tmp_path / "0.log.3").mkdir()
    log = writer(tmp_path)
    for number in range(40):
        log.write(line(number))
    assert (tmp_path / "mine").read_bytes() == b"mine"
    assert text_of(tmp_path) == b"".join(map(line, range(40)))


def test_a_pipe_is_read_until_it_is_empty_or_closed(tmp_path: Path) -> None:
    log = writer(tmp_path)
    source, sink = os.pipe()
    os.set_blocking(source, False)
    assert log.copy(source)
    os.write(sink, b"a\n")
    assert log.copy(source)
    os.write(sink, b"b")
    os.close(sink)
    assert log.copy(source) is True
    assert log.copy(source) is False
    os.close(source)
    assert text_of(tmp_path) == b"a\nb"
