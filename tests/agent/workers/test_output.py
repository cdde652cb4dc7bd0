from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from elasticjob.agent.workers.output import Output, prefixed, write_all

PREFIX = b"[default0]:"
F_SETPIPE_SZ = 1031  # fcntl has this name since Python 3.10


@pytest.mark.parametrize(
    ("text", "is_last", "lines", "rest"),
    [
        (b"", False, b"", b""),
        (b"a\n", False, b"[default0]:a\n", b""),
        (b"a\nb", False, b"[default0]:a\n", b"b"),
        (b"a\n\nb\n", False, b"[default0]:a\n[default0]:\n[default0]:b\n", b""),
        (b"a", False, b"", b"a"),
        (b"a", True, b"[default0]:a\n", b""),
        (b"a\nb", True, b"[default0]:a\n[default0]:b\n", b""),
        (b"x" * 16384, False, PREFIX + b"x" * 16384 + b"\n", b""),
    ],
)
def test_whole_lines_get_the_prefix(text: bytes, is_last: bool, lines: bytes, rest: bytes) -> None:
    assert prefixed(text, PREFIX, is_last) == (lines, rest)


class Scene:
    """An Output with two files as targets."""

    def __init__(self, root: Path) -> None:
        self.paths = (root / "out", root / "err")
        self.fds = [os.open(path, os.O_WRONLY | os.O_CREAT) for path in self.paths]
        self.output = Output(*self.fds)

    def close(self) -> tuple[str, str]:
        """Close the output, and return what it wrote to stdout and stderr."""
        self.output.close()
        for fd in self.fds:
            os.close(fd)
        return self.paths[0].read_text(), self.paths[1].read_text()


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    return Scene(tmp_path)


def test_lines_of_several_workers_do_not_mix(scene: Scene) -> None:
    for rank in range(3):
        streams = scene.output.streams(f"[default{rank}]:")
        out, err = streams.stdout, streams.stderr
        assert out is not None
        os.write(out, f"{rank}a\n{rank}".encode())
        os.write(err, f"{rank}e\n".encode())
        os.write(out, b"b\nlast")
        os.close(out)
        os.close(err)
    out_text, err_text = scene.close()
    expected = [f"[default{r}]:{word}" for r in range(3) for word in (f"{r}a", f"{r}b", "last")]
    assert sorted(out_text.splitlines()) == sorted(expected)
    assert sorted(err_text.splitlines()) == [f"[default{r}]:{r}e" for r in range(3)]


def test_the_bytes_of_a_single_worker_pass_unchanged(tmp_path: Path) -> None:
    """Neither a prefix nor a line feed is added, and nothing is decoded."""
    data = bytes(range(256)) * 2000 + b"\r 50%|##  |\r100%|####|"
    scene = Scene(tmp_path)
    streams = scene.output.streams(None)
    assert streams.stdout is None
    write_all(streams.stderr, data)
    os.close(streams.stderr)
    scene.output.close()
    assert scene.paths[1].read_bytes() == data


def test_the_end_of_stderr_is_known_as_soon_as_it_is_written(scene: Scene) -> None:
    """A child may keep the pipe open after the worker has ended, so nothing waits for its end."""
    for prefix in (None, "[default0]:"):
        streams = scene.output.streams(prefix)
        for number in range(300):
            os.write(streams.stderr, f"line {number}\n".encode())
            assert streams.copy.end().endswith(f"line {number}\n")
        os.close(streams.stderr)
    _, text = scene.close()
    for prefix in ("", "[default0]:"):
        found = [line for line in text.splitlines() if line.startswith(f"{prefix}line")]
        assert found == [f"{prefix}line {number}" for number in range(300)]


def test_the_end_of_stderr_is_known_while_the_target_is_blocked() -> None:
    end, full = full_pipe()
    output = Output(full, full)
    streams = output.streams(None)
    os.write(streams.stderr, b"first\n")
    assert streams.copy.end() == "first\n"
    os.write(streams.stderr, b"last\n")
    os.close(streams.stderr)
    assert streams.copy.end() == "first\nlast\n"
    found = b""
    while not found.endswith(b"first\nlast\n"):
        found += os.read(end, 65536)
    assert set(found[: -len(b"first\nlast\n")]) == {ord("x")}
    output.close()
    assert streams.copy.end() == "first\nlast\n"  # its pipe is closed
    os.close(end)
    os.close(full)


def test_of_a_long_stderr_the_last_whole_lines_are_kept(scene: Scene) -> None:
    streams = scene.output.streams(None)
    lines = [f"{number:05} " + "x" * 100 for number in range(2000)]
    write_all(streams.stderr, "".join(f"{line}\n" for line in lines).encode())
    found = streams.copy.end().splitlines()
    assert found == lines[-len(found) :]
    assert 100 < len(found) < 200
    write_all(streams.stderr, b"y" * 100_000)
    assert set(streams.copy.end()) == {"y"}  # a single line, without its beginning
    os.close(streams.stderr)
    scene.close()


def test_no_byte_is_lost_or_moved_while_the_loop_reads_too(scene: Scene) -> None:
    streams = scene.output.streams(None)
    pieces = [bytes([number % 256]) * (number * 37 % 5000) for number in range(2000)]
    writer = threading.Thread(target=lambda: [write_all(streams.stderr, each) for each in pieces])
    writer.start()
    while writer.is_alive():
        streams.copy.end()
    writer.join()
    os.close(streams.stderr)
    scene.output.close()
    assert scene.paths[1].read_bytes() == b"".join(pieces)


def test_at_its_end_it_writes_all_to_a_runtime_that_still_reads() -> None:
    end, target = os.pipe()
    output = Output(target, target)
    streams = output.streams(None)
    fcntl.fcntl(streams.stderr, F_SETPIPE_SZ, 1 << 20)
    data = os.urandom(1 << 20)
    write_all(streams.stderr, data)  # to its end: the pipe holds all of it
    os.close(streams.stderr)
    found = bytearray()

    def read() -> None:
        while len(found) < len(data):
            found.extend(os.read(end, 4096))

    reader = threading.Thread(target=read)
    reader.start()
    output.close()
    reader.join(20)
    assert bytes(found) == data
    os.close(end)
    os.close(target)


def test_the_log_goes_to_stderr(scene: Scene) -> None:
    scene.output.write_line("[elasticjob] one")
    scene.output.write_line("[elasticjob] two")
    assert scene.close() == ("", "[elasticjob] one\n[elasticjob] two\n")


def full_pipe() -> tuple[int, int]:
    """A pipe that blocks its next writer."""
    end, full = os.pipe()
    os.set_blocking(full, False)
    while True:
        try:
            os.write(full, b"x" * 4096)
        except BlockingIOError:
            break
    os.set_blocking(full, True)
    return end, full


def test_a_blocked_stderr_blocks_no_caller() -> None:
    """While the pipe is full, callers do not wait, and the oldest log lines are dropped."""
    end, full = full_pipe()
    output = Output(full, full)
    for number in range(5000):
        output.write_line(f"line {number} " + "y" * 1000)
    closer = threading.Thread(target=output.close)
    closer.start()
    closer.join(5)
    assert not closer.is_alive()
    os.close(end)  # the writer wakes with EPIPE and drops the rest
    output.close()
    os.close(full)


def test_output_to_a_closed_target_is_dropped() -> None:
    end, target = os.pipe()
    os.close(end)
    write_all(target, b"unread\n")
    os.close(target)


def test_a_target_that_another_process_made_non_blocking() -> None:
    end, target = os.pipe()
    os.set_blocking(target, False)
    data = b"z" * 300_000
    writer = threading.Thread(target=write_all, args=(target, data))
    writer.start()
    found = b""
    while len(found) < len(data):
        found += os.read(end, 65536)
    writer.join(5)
    assert found == data
    os.close(end)
    os.close(target)
