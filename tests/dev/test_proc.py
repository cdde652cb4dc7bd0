from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

import pytest
from dev import proc
from dev.wait import wait_until

pytestmark = pytest.mark.process
MARK = {"BENCH_TEST_MARK": str(os.getpid())}


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    """A process that waits for the end of its input."""
    process = subprocess.Popen(["cat"], stdin=subprocess.PIPE, env={**os.environ, **MARK})
    yield process
    process.communicate()


def test_a_process_is_found_by_its_parent_and_by_its_environment(
    child: subprocess.Popen[bytes],
) -> None:
    wait_until(lambda: proc.command_line(child.pid) == ["cat"], what="the exec")
    assert child.pid in proc.children(os.getpid())
    assert proc.with_environment(**MARK) == [child.pid]


def test_an_ended_process_is_a_zombie_until_it_is_reaped(child: subprocess.Popen[bytes]) -> None:
    assert child.stdin is not None
    child.stdin.close()
    wait_until(lambda: not proc.is_alive(child.pid), what="the end of the process")
    found = proc.stat(child.pid)
    assert found is not None
    assert (found.state, found.parent) == ("Z", os.getpid())
    child.wait()
    assert proc.stat(child.pid) is None
    assert (proc.children(child.pid), proc.environment(child.pid)) == ([], set())
    with pytest.raises(ProcessLookupError, match="has ended"):
        proc.cpu_s(child.pid)


def test_memory_and_times_of_this_process_are_positive() -> None:
    pid = os.getpid()
    assert proc.rss_mib(pid) > 1
    assert proc.age_s(pid) > 0
    assert proc.cpu_s(pid) > 0
