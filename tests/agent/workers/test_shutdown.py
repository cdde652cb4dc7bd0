"""When the end of a round is looked at; that nothing outlives it is in test_supervisor."""

from __future__ import annotations

import subprocess

import pytest

from elasticjob.agent.workers.process_tree import Household
from elasticjob.agent.workers.shutdown import FIRST_LOOK_S, Ending


@pytest.fixture
def leader() -> int:
    """A worker that has just ended."""
    with subprocess.Popen(["true"], start_new_session=True) as process:
        return process.pid


def ending(*leaders: int) -> Ending:
    return Ending(1, Household("uid", adopts=True), leaders, now=5.0)


def test_without_a_leader_nothing_may_be_left_already() -> None:
    assert ending().wake_at == 5.0


def test_the_end_of_a_leader_wakes_by_itself(leader: int) -> None:
    one = ending(leader)
    one.within(3.0, now=5.0)
    assert one.wake_at == 5.0 + FIRST_LOOK_S


def test_without_a_grace_it_looks_at_once(leader: int) -> None:
    one = ending(leader)
    one.within(0.0, now=5.0)
    assert one.wake_at == 5.0
