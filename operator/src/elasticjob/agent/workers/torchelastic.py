"""The vocabulary of torchelastic (torch.distributed.elastic.agent.server): names and meanings.

Where we differ, the meaning is the contract's and the defect is not kept: FAILED and UNHEALTHY both
are a failed result, ranks never depend on names, and the error file decides who failed first.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType
from typing import Any

from elasticjob.rendezvous.members.ranks import Ranks
from elasticjob.wire.dataclasses import dataclass, replace


class WorkerState(str, Enum):
    """Of a whole group: it moves as one."""

    UNKNOWN = "UNKNOWN"  # the agent lost track of it
    INIT = "INIT"  # made, never started
    HEALTHY = "HEALTHY"  # runs
    UNHEALTHY = "UNHEALTHY"  # runs, but badly
    STOPPED = "STOPPED"  # was stopped by the agent, to be started again or to leave
    SUCCEEDED = "SUCCEEDED"  # every worker ended with 0
    FAILED = "FAILED"  # a worker ended with another code or by a signal

    @staticmethod
    def is_running(state: WorkerState) -> bool:
        """Whether processes of it are alive."""
        return state in (WorkerState.HEALTHY, WorkerState.UNHEALTHY)


@dataclass(frozen=True)
class WorkerSpec:
    """What one agent's workers are. entrypoint: the program; args: its arguments, untouched."""

    role: str
    local_world_size: int
    entrypoint: str
    args: tuple[str, ...] = ()

    def get_entrypoint_name(self) -> str:
        """The program without its directory."""
        return self.entrypoint.rpartition("/")[2]


@dataclass(frozen=True)
class Worker:
    """One process. Only local_rank is the same from round to round. id: its pid; None: none yet."""

    local_rank: int
    global_rank: int = -1
    role_rank: int = -1
    world_size: int = -1
    role_world_size: int = -1
    id: int | None = None


@dataclass(frozen=True)
class WorkerGroup:
    """The workers of one agent, and its place in the round; None before the first."""

    spec: WorkerSpec
    workers: tuple[Worker, ...]
    group_rank: int | None = None
    group_world_size: int | None = None
    master_addr: str | None = None
    master_port: int | None = None
    state: WorkerState = WorkerState.INIT


@dataclass(frozen=True)
class ProcessFailure:
    """How one worker failed. exitcode: negative for a signal. timestamp: seconds since 1970."""

    local_rank: int
    pid: int
    exitcode: int
    error_file: str
    message: str
    timestamp: int


@dataclass(frozen=True)
class RunResult:
    """What came of it. Both maps are by global rank and of this agent's workers only."""

    state: WorkerState
    return_values: Mapping[int, Any] = MappingProxyType({})
    failures: Mapping[int, ProcessFailure] = MappingProxyType({})

    def is_failed(self) -> bool:
        """Unlike torch's, an unhealthy result is a failed one, too."""
        return self.state in (WorkerState.FAILED, WorkerState.UNHEALTHY)


def new_group(spec: WorkerSpec) -> WorkerGroup:
    """A group that was never started."""
    return WorkerGroup(spec, tuple(Worker(rank) for rank in range(spec.local_world_size)))


def with_ranks(group: WorkerGroup, ranks: Ranks, master_addr: str, master_port: int) -> WorkerGroup:
    """The group with its ranks in a new round; nothing of it runs yet."""
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
    """The group with one more process."""
    workers = list(group.workers)
    workers[local_rank] = replace(workers[local_rank], id=pid)
    return replace(group, workers=tuple(workers))
