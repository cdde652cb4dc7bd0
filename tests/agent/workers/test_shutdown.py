"""The times at which a shutdown checks; test_supervisor proves that no process outlives it."""

from __future__ import annotations

import subprocess

import pytest

from elasticjob.agent.workers.process_tree import ProcessTree
from elasticjob.agent.workers.shutdown import FIRST_CHECK_S, Shutdown


@pytest.fixture
def leader() -> int:
    """The pid of a worker that has ended."""
    with subprocess.Popen(["true"], start_new_session=True) as process:
        return process.pid


def shutdown(*leaders: int) -> Shutdown:
    return Shutdown(1, ProcessTree("uid", adopts=True), leaders, now=5.0)


def test_without_a_leader_it_checks_at_once() -> None:
    assert shutdown().wake_at == 5.0


def test_with_a_leader_it_checks_later(leader: int) -> None:
    one = shutdown(leader)
    one.set_grace(3.0, now=5.0)
    assert one.wake_at == 5.0 + FIRST_CHECK_S


def test_without_a_grace_period_it_checks_at_once(leader: int) -> None:
    one = shutdown(leader)
    one.set_grace(0.0, now=5.0)
    assert one.wake_at == 5.0
