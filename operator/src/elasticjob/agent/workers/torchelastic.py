"""Records of torchelastic (torch.distributed.elastic.agent.server), with its names and meanings.

Three defects of torchelastic are absent: a result that is UNHEALTHY counts as failed, ranks do not
depend on host names, and the error files determine which worker failed first.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType
from typing import Any

from elasticjob.rendezvous.members.ranks import Ranks
from elasticjob.wire.dataclasses import dataclass, replace


class WorkerState(str, Enum):
    """The state of a whole group of workers."""

    UNKNOWN = "UNKNOWN"  # the agent has lost the state
    INIT = "INIT"  # not started yet
    HEALTHY = "HEALTHY"  # runs
    UNHEALTHY = "UNHEALTHY"  # runs, but badly
    STOPPED = "STOPPED"  # the agent stopped it, to restart it or to leave
    SUCCEEDED = "SUCCEEDED"  # all workers exited with code 0
    FAILED = "FAILED"  # a worker exited with another code or was ended by a signal

    @staticmethod
    def is_running(state: WorkerState) -> bool:
        """Whether processes of the group run."""
        return state in (WorkerState.HEALTHY, WorkerState.UNHEALTHY)


@dataclass(frozen=True)
class WorkerSpec:
    """The program of one agent's workers."""

    role: str
    local_world_size: int
    entrypoint: str  # the program
    args: tuple[str, ...] = ()

    def get_entrypoint_name(self) -> str:
        """Return the program without its directory."""
        return self.entrypoint.rpartition("/")[2]


@dataclass(frozen=True)
class Worker:
    """One worker process. All fields but local_rank change from round to round."""

    local_rank: int
    global_rank: int = -1
    role_rank: int = -1
    world_size: int = -1
    role_world_size: int = -1
    id: int | None = None  # the pid


@dataclass(frozen=True)
class WorkerGroup:
    """The workers of one agent, and its place in the round; fields are None before the first."""

    spec: WorkerSpec
    workers: tuple[Worker, ...]
    group_rank: int | None = None
    group_world_size: int | None = None
    master_addr: str | None = None
    master_port: int | None = None
    state: WorkerState = WorkerState.INIT


@dataclass(frozen=True)
class ProcessFailure:
    """The failure of one worker."""

    local_rank: int
    pid: int
    exitcode: int  # negative for a signal
    error_file: str
    message: str
    timestamp: int  # seconds since 1970


@dataclass(frozen=True)
class RunResult:
    """The result of a run. Both maps are by global rank, of this agent's workers alone."""

    state: WorkerState
    return_values: Mapping[int, Any] = MappingProxyType({})
    failures: Mapping[int, ProcessFailure] = MappingProxyType({})

    def is_failed(self) -> bool:
        """Whether the result is FAILED or, unlike torch's, UNHEALTHY."""
        return self.state in (WorkerState.FAILED, WorkerState.UNHEALTHY)


def new_group(spec: WorkerSpec) -> WorkerGroup:
    """Return a group that was never started."""
    return WorkerGroup(spec, tuple(Worker(rank) for rank in range(spec.local_world_size)))


def with_ranks(group: WorkerGroup, ranks: Ranks, master_addr: str, master_port: int) -> WorkerGroup:
    """Return the group with its ranks in a new round, before its workers start."""
    workers = tuple(
        Worker(
            local_rank=i,
            global_rank=ranks.first_rank + i,
            role_rank=ranks.first_role + i,
            world_size=ranks.world,
            role_world_size=ranks.role_world,
        )
        for i in range(ranks.workers)
    )
    return WorkerGroup(
        group.spec, workers, ranks.group_rank, ranks.group_world, master_addr, master_port
    )


def with_pid(group: WorkerGroup, local_rank: int, pid: int) -> WorkerGroup:
    """Return the group with the pid of one more worker."""
    workers = list(group.workers)
    workers[local_rank] = replace(workers[local_rank], id=pid)
    return replace(group, workers=tuple(workers))
