from __future__ import annotations

import pytest

from elasticjob.agent.workers.environment import group_env, worker_env
from elasticjob.rendezvous.members.ranks import ranks_of
from elasticjob.wire.desired import Desired
from elasticjob.wire.member import Member, Pod
from elasticjob.wire.round import Endpoint, Phase, Round

MEMBERS = (Member(Pod(0, 0), 2), Member(Pod(4, 1), 3, "reader"), Member(Pod(10, 0), 2))
ROUND = Round(18, Phase.ACTIVE, MEMBERS, Endpoint("fd00::7", 20016), starts=5)
DESIRED = Desired(wanted=(Pod(0, 0),), max_restarts=7)


def env(pod: Pod, local_rank: int, base: dict[str, str]) -> dict[str, str]:
    ranks = ranks_of(ROUND, pod)
    group = group_env(ROUND, DESIRED, ranks, "job-uid", "pod-uid")
    return worker_env(base, group, ranks, local_rank, "/scratch")


def test_every_variable_of_the_contract() -> None:
    assert env(Pod(10, 0), 1, {}) == {
        "RANK": "6",
        "LOCAL_RANK": "1",
        "WORLD_SIZE": "7",
        "LOCAL_WORLD_SIZE": "2",
        "GROUP_RANK": "2",
        "GROUP_WORLD_SIZE": "3",
        "ROLE_RANK": "3",
        "ROLE_NAME": "default",
        "ROLE_WORLD_SIZE": "4",
        "MASTER_ADDR": "fd00::7",
        "MASTER_PORT": "20018",  # 20016 + 18 mod 16
        "TORCHELASTIC_RESTART_COUNT": "4",
        "TORCHELASTIC_MAX_RESTARTS": "7",
        "TORCHELASTIC_RUN_ID": "job-uid",
        "TORCHELASTIC_USE_AGENT_STORE": "False",
        "TORCHELASTIC_ERROR_FILE": "/scratch/error-1.json",
        "TORCH_NCCL_ASYNC_ERROR_HANDLING": "1",
        "OMP_NUM_THREADS": "1",
        "ELASTICJOB_POD_UID": "pod-uid",
        "ELASTICJOB_ROUND": "18",
        "ELASTICJOB_PROGRESS_FILE": "/scratch/progress-1.json",
    }


def test_roles_count_among_themselves() -> None:
    found = env(Pod(4, 1), 2, {})
    assert (found["RANK"], found["ROLE_RANK"], found["ROLE_WORLD_SIZE"]) == ("4", "2", "3")
    assert found["ROLE_NAME"] == "reader"


@pytest.mark.parametrize("name", ["OMP_NUM_THREADS", "TORCH_NCCL_ASYNC_ERROR_HANDLING", "PATH"])
def test_variables_of_the_user_override_defaults(name: str) -> None:
    assert env(Pod(0, 0), 0, {name: "theirs"})[name] == "theirs"


@pytest.mark.parametrize("name", ["RANK", "ELASTICJOB_ROUND", "MASTER_ADDR"])
def test_variables_of_the_round_override_those_of_the_user(name: str) -> None:
    assert env(Pod(0, 0), 0, {name: "theirs"})[name] != "theirs"


@pytest.mark.parametrize("path", ["", "/tmp/their-timers"])
def test_workers_find_the_fifo_of_the_agent_if_timers_are_enabled(path: str) -> None:
    """A torchrun between the agent and the workers passes the path on, and serves no timers."""
    given = {"TORCHELASTIC_ENABLE_FILE_TIMER": "1", "TORCHELASTIC_TIMER_FILE": path}
    for local_rank in (0, 1):
        found = env(Pod(0, 0), local_rank, given)
        assert found["TORCHELASTIC_TIMER_FILE"] == (path or "/scratch/timers")
        assert "TORCHELASTIC_ENABLE_FILE_TIMER" not in found


def test_a_single_worker_may_use_all_cores() -> None:
    round_ = Round(1, Phase.ACTIVE, (Member(Pod(0, 0)),), Endpoint("a"), starts=1)
    ranks = ranks_of(round_, Pod(0, 0))
    group = group_env(round_, DESIRED, ranks, "job-uid", "pod-uid")
    assert "OMP_NUM_THREADS" not in worker_env({}, group, ranks, 0, "/scratch")


def test_no_variables_of_torchruns_flags_are_set() -> None:
    assert not [name for name in env(Pod(0, 0), 0, {}) if name.startswith("PET_")]
