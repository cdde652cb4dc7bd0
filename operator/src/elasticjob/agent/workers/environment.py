"""The environment of a worker: torchelastic's names and meanings, and ours."""

from __future__ import annotations

import os
from collections.abc import Mapping

from elasticjob.agent.config import POD_UID, ROUND
from elasticjob.rendezvous.members.ranks import Ranks
from elasticjob.wire.desired import Desired
from elasticjob.wire.round import DEFAULT_PORT_BASE, Endpoint, Round

ERROR_FILE = "TORCHELASTIC_ERROR_FILE"
PROGRESS_FILE = "ELASTICJOB_PROGRESS_FILE"


def error_file(directory: str, local_rank: int) -> str:
    """Where a worker writes what it failed of."""
    return os.path.join(directory, f"error-{local_rank}.json")


def progress_file(directory: str, local_rank: int) -> str:
    """Where a worker writes how far it is."""
    return os.path.join(directory, f"progress-{local_rank}.json")


def group_env(
    round_: Round, desired: Desired, ranks: Ranks, job_uid: str, pod_uid: str
) -> dict[str, str]:
    """What all workers of one pod have in common in this round.

    Not the budget but the job's starts are counted: all ranks see the same number, and it never
    falls. The pod's UID and the round are the marker by which what is left of a round
    is found.
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
    """The container's environment, untouched, with what this worker needs over it."""
    own = {
        "RANK": str(ranks.first_rank + local_rank),
        "LOCAL_RANK": str(local_rank),
        "ROLE_RANK": str(ranks.first_role + local_rank),
        ERROR_FILE: error_file(directory, local_rank),
        PROGRESS_FILE: progress_file(directory, local_rank),
    }
    return {**_defaults(base, ranks.workers), **base, **group, **own}


def _defaults(base: Mapping[str, str], workers: int) -> dict[str, str]:
    """As torchrun: several workers with a thread per core each would slow each other down."""
    defaults = {"TORCH_NCCL_ASYNC_ERROR_HANDLING": "1"}
    if workers > 1:
        defaults["OMP_NUM_THREADS"] = "1"
    return defaults
