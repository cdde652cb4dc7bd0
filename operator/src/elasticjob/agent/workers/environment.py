"""The environment variables of a worker, with torchelastic's names and meanings."""

from __future__ import annotations

import os
from collections.abc import Mapping

from elasticjob.agent.config import POD_UID, ROUND
from elasticjob.rendezvous.members.ranks import Ranks
from elasticjob.wire.desired import Desired
from elasticjob.wire.round import DEFAULT_PORT_BASE, Endpoint, Round

ERROR_FILE = "TORCHELASTIC_ERROR_FILE"
PROGRESS_FILE = "ELASTICJOB_PROGRESS_FILE"
TIMER_FILE = "TORCHELASTIC_TIMER_FILE"
ENABLE_TIMERS = "TORCHELASTIC_ENABLE_FILE_TIMER"
_TIMERS = "timers"


def error_file(directory: str, local_rank: int) -> str:
    """The path of the file in which a worker reports its exception."""
    return os.path.join(directory, _error_file(local_rank))


def progress_file(directory: str, local_rank: int) -> str:
    """The path of the file in which a worker reports its progress."""
    return os.path.join(directory, _progress_file(local_rank))


def timer_file(base: Mapping[str, str], directory: str) -> str | None:
    """The path of the FIFO for torch's file timers. None: the container does not enable them."""
    if base.get(ENABLE_TIMERS) != "1":
        return None
    return base.get(TIMER_FILE) or os.path.join(directory, _TIMERS)


def file_names(workers: int) -> list[str]:
    """The names of all files that workers write. One of an earlier round would mislead the agent:
    its exception would become the first cause of this round.
    """
    of_ranks = [name(rank) for rank in range(workers) for name in (_error_file, _progress_file)]
    return [*of_ranks, _TIMERS]


def _error_file(local_rank: int) -> str:
    return f"error-{local_rank}.json"


def _progress_file(local_rank: int) -> str:
    return f"progress-{local_rank}.json"


def group_env(
    round_: Round, desired: Desired, ranks: Ranks, job_uid: str, pod_uid: str
) -> dict[str, str]:
    """Return the variables that all workers of one pod have in common in this round.

    TORCHELASTIC_RESTART_COUNT is how often workers were started again after they had run, not the
    number of charges: it is the same for all ranks and never falls. The pod's UID and the round
    mark the processes of a round.
    """
    master = round_.master or Endpoint("127.0.0.1", DEFAULT_PORT_BASE)
    return {
        "WORLD_SIZE": str(ranks.world),
        "LOCAL_WORLD_SIZE": str(ranks.workers),
        "GROUP_RANK": str(ranks.group_rank),
        "GROUP_WORLD_SIZE": str(ranks.group_world),
        "ROLE_NAME": ranks.role,
        "ROLE_WORLD_SIZE": str(ranks.role_world),
        "MASTER_ADDR": master.address,
        "MASTER_PORT": str(master.port(round_.n)),
        "TORCHELASTIC_RESTART_COUNT": str(max(0, round_.starts - 1)),
        "TORCHELASTIC_MAX_RESTARTS": str(desired.max_restarts),
        "TORCHELASTIC_RUN_ID": job_uid,
        "TORCHELASTIC_USE_AGENT_STORE": "False",
        POD_UID: pod_uid,
        ROUND: str(round_.n),
    }


def worker_env(
    base: Mapping[str, str], group: Mapping[str, str], ranks: Ranks, local_rank: int, directory: str
) -> dict[str, str]:
    """Return the container's environment, overridden by the variables of this worker.

    The agent serves the timers, so a launcher between it and the workers must not do so, too.
    """
    own = {
        "RANK": str(ranks.first_rank + local_rank),
        "LOCAL_RANK": str(local_rank),
        "ROLE_RANK": str(ranks.first_role + local_rank),
        ERROR_FILE: error_file(directory, local_rank),
        PROGRESS_FILE: progress_file(directory, local_rank),
    }
    path = timer_file(base, directory)
    if path is not None:
        own[TIMER_FILE] = path
        base = {name: value for name, value in base.items() if name != ENABLE_TIMERS}
    return {**_defaults(ranks.workers), **base, **group, **own}


def _defaults(workers: int) -> dict[str, str]:
    """Return the same defaults as torchrun: each of several workers has one OpenMP thread."""
    defaults = {"TORCH_NCCL_ASYNC_ERROR_HANDLING": "1"}
    if workers > 1:
        defaults["OMP_NUM_THREADS"] = "1"
    return defaults
