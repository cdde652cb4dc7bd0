"""When the end of a round is looked at; that nothing outlives it is in test_supervisor."""

from __future__ import annotations

import subprocess

import pytest

from elasticjob.agent.workers.process_tree import ProcessTree
from elasticjob.agent.workers.shutdown import FIRST_CHECK_S, Shutdown


@pytest.fixture
def leader() -> int:
    """A worker that has just ended."""
    with subprocess.Popen(["true"], start_new_session=True) as process:
        return process.pid


def shutdown(*leaders: int) -> Shutdown:
    return Shutdown(1, ProcessTree("uid", adopts=True), leaders, now=5.0)


def test_without_a_leader_nothing_may_be_left_already() -> None:
    assert shutdown().wake_at == 5.0


def test_the_end_of_a_leader_wakes_by_itself(leader: int) -> None:
    one = shutdown(leader)
    one.set_grace(3.0, now=5.0)
    assert one.wake_at == 5.0 + FIRST_CHECK_S


def test_without_a_grace_it_looks_at_once(leader: int) -> None:
    one = shutdown(leader)
    one.set_grace(0.0, now=5.0)
    assert one.wake_at == 5.0
