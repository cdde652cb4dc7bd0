from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from elasticjob.agent.workers.output import Output, prefixed, write_all

PREFIX = b"[default0]:"


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
        out, err = scene.output.pipes(f"[default{rank}]:")
        os.write(out, f"{rank}a\n{rank}".encode())
        os.write(err, f"{rank}e\n".encode())
        os.write(out, b"b\nlast")
        os.close(out)
        os.close(err)
    out_text, err_text = scene.close()
    expected = [f"[default{r}]:{word}" for r in range(3) for word in (f"{r}a", f"{r}b", "last")]
    assert sorted(out_text.splitlines()) == sorted(expected)
    assert sorted(err_text.splitlines()) == [f"[default{r}]:{r}e" for r in range(3)]


def test_the_log_goes_to_stderr(scene: Scene) -> None:
    scene.output.write_line("[elasticjob] one")
    scene.output.write_line("[elasticjob] two")
    assert scene.close() == ("", "[elasticjob] one\n[elasticjob] two\n")


def test_a_blocked_stderr_blocks_no_caller() -> None:
    """While the pipe is full, callers do not wait, and the oldest log lines are dropped."""
    end, full = os.pipe()
    os.set_blocking(full, False)
    while True:
        try:
            os.write(full, b"x" * 4096)
        except BlockingIOError:
            break
    os.set_blocking(full, True)
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
