from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from elasticjob.cli.interrupt import until_interrupted

SOURCE = str(Path(__file__).parents[2] / "operator" / "src")
PROGRAM = f"""
import asyncio, sys
sys.path.insert(0, {SOURCE!r})
from elasticjob.cli.interrupt import until_interrupted

async def work() -> int:
    try:
        print("up", flush=True)
        await asyncio.sleep(1000)
        return 0
    finally:
        print("ending", flush=True)
        await asyncio.sleep(float(sys.argv[1]))
        print("ended", flush=True)

sys.exit(until_interrupted(work()))
"""


def test_the_result_is_the_exit_code() -> None:
    async def work() -> int:
        return 7

    assert until_interrupted(work()) == 7


def test_an_exception_is_raised() -> None:
    async def work() -> int:
        raise ValueError("fault")

    with pytest.raises(ValueError, match="fault"):
        until_interrupted(work())


def test_a_cancellation_without_signal_is_raised() -> None:
    async def work() -> int:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        until_interrupted(work())


@pytest.mark.process
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_cancels_the_work(number: signal.Signals, code: int) -> None:
    with _started("0") as program:
        program.send_signal(number)
        out, _ = program.communicate(timeout=10)
    assert out == b"ending\nended\n"
    assert program.returncode == code


@pytest.mark.process
def test_a_second_signal_also_cancels_the_cleanup() -> None:
    with _started("1000") as program:
        program.send_signal(signal.SIGINT)
        assert program.stdout is not None
        assert program.stdout.readline() == b"ending\n"
        program.send_signal(signal.SIGINT)
        out, _ = program.communicate(timeout=10)
    assert out == b""
    assert program.returncode == 130


def _started(ending_s: str) -> subprocess.Popen[bytes]:
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, ending_s], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert program.stdout is not None
    assert program.stdout.readline() == b"up\n"
    return program
