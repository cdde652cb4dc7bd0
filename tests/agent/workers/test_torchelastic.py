from __future__ import annotations

import pytest

from elasticjob.agent.workers.torchelastic import (
    RunResult,
    WorkerSpec,
    WorkerState,
    new_group,
    with_pid,
    with_ranks,
)
from elasticjob.rendezvous.members.ranks import Ranks

SPEC = WorkerSpec("default", 2, "/usr/bin/python3", ("train.py",))
RANKS = Ranks(
    group_rank=1, group_world=3, first_rank=2, world=7, first_role=2, role_world=5, workers=2,
    role="default",
)  # fmt: skip


def test_torchelastics_states_and_their_values() -> None:
    assert [state.value for state in WorkerState] == [
        "UNKNOWN", "INIT", "HEALTHY", "UNHEALTHY", "STOPPED", "SUCCEEDED", "FAILED",
    ]  # fmt: skip


@pytest.mark.parametrize("state", WorkerState)
def test_healthy_and_unhealthy_run(state: WorkerState) -> None:
    running = {WorkerState.HEALTHY, WorkerState.UNHEALTHY}
    assert WorkerState.is_running(state) == (state in running)


@pytest.mark.parametrize("state", WorkerState)
def test_failed_and_unhealthy_are_failed(state: WorkerState) -> None:
    """Torch's is_failed() is false for UNHEALTHY, and torchrun then exits 0."""
    failed = {WorkerState.FAILED, WorkerState.UNHEALTHY}
    assert RunResult(state).is_failed() == (state in failed)


def test_a_group_before_its_first_round() -> None:
    group = new_group(SPEC)
    assert group.state is WorkerState.INIT
    assert [worker.local_rank for worker in group.workers] == [0, 1]
    assert [worker.global_rank for worker in group.workers] == [-1, -1]
    assert (group.group_rank, group.group_world_size, group.master_addr) == (None, None, None)


def test_a_group_in_a_round() -> None:
    group = with_pid(with_ranks(new_group(SPEC), RANKS, "10.0.0.1", 29501), 1, 4711)
    assert [worker.global_rank for worker in group.workers] == [2, 3]
    assert [worker.role_rank for worker in group.workers] == [2, 3]
    assert {worker.world_size for worker in group.workers} == {7}
    assert {worker.role_world_size for worker in group.workers} == {5}
    assert [worker.id for worker in group.workers] == [None, 4711]
    assert (group.group_rank, group.group_world_size) == (1, 3)
    assert (group.master_addr, group.master_port) == ("10.0.0.1", 29501)


def test_the_name_of_the_entrypoint() -> None:
    assert SPEC.get_entrypoint_name() == "python3"
