"""Processes: found by pid and by mark, and ended."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from dev.cluster.errors import ClusterError
from dev.cluster.processes import Identity, Processes, end, identity, marked
from dev.wait import wait_until


def test_a_pid_with_another_start_time_is_another_process() -> None:
    me = identity(os.getpid())
    assert me is not None
    end([Identity(me.pid, me.started + 1)])  # we would not come back


def test_no_process_has_a_pid_that_is_too_high() -> None:
    assert identity(2**30) is None


def test_a_process_that_was_never_started_cannot_be_paused(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="etcd does not run"):
        Processes(tmp_path).pause("etcd")


@pytest.mark.process
def test_a_process_is_started_found_and_stopped(tmp_path: Path) -> None:
    processes = Processes(tmp_path)
    processes.start("sleeper", ["sh", "-c", "echo ready; sleep 60; true"])
    who = processes.find("sleeper")
    assert who is not None
    wait_until(lambda: who in list(marked(tmp_path)))  # the kernel shows it a moment after exec
    assert processes.names() == ["sleeper"]
    wait_until(lambda: processes.last_line_of("sleeper").startswith("ready"))
    processes.pause("sleeper")
    processes.stop("sleeper")
    assert processes.find("sleeper") is None
    end(list(marked(tmp_path)))
    assert list(marked(tmp_path)) == []
    assert processes.names() == []


@pytest.mark.process
def test_a_process_that_has_ended_is_not_found(tmp_path: Path) -> None:
    processes = Processes(tmp_path)
    processes.start("sleeper", ["sleep", "60"])
    who = processes.find("sleeper")
    assert who is not None
    os.kill(who.pid, signal.SIGKILL)
    wait_until(lambda: processes.find("sleeper") is None)
    processes.stop("sleeper")
