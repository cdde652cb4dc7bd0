"""The events that an agent receives: the input of agent_step."""

from __future__ import annotations

from enum import Enum
from typing import Union

from elasticjob.wire.cause import Cause
from elasticjob.wire.dataclasses import dataclass
from elasticjob.wire.lease import AgentLease, RoundLease
from elasticjob.wire.report import Progress


class Source(Enum):
    """How the agent received a version of the Round Lease."""

    READ = "read"  # a consistent read, or the initial set of a new watch
    WATCH = "watch"
    ANSWER = "answer"  # the answer to this agent's CasRound
    PULSE = "pulse"  # the answer to this agent's Pulse


@dataclass(frozen=True)
class RoundSeen:
    """The agent received a version of the Round Lease."""

    lease: RoundLease
    source: Source


@dataclass(frozen=True)
class RoundGone:
    """The Round Lease was deleted, or the agent has lost its rights."""


@dataclass(frozen=True)
class LeaseSeen:
    """The agent received a version of an agent Lease."""

    lease: AgentLease
    by_get: bool = False  # by a GET; else by the wide watch, or as the answer to CreateLease


@dataclass(frozen=True)
class LeaseGone:
    """An agent Lease does not exist."""

    name: str
    by_get: bool = False  # a GET did not find it; else the watch reported its deletion


@dataclass(frozen=True)
class GetFailed:
    """A GET of an agent Lease had no answer."""

    name: str


@dataclass(frozen=True)
class ViewComplete:
    """The wide watch has delivered its initial set of Leases, which replaces the view."""

    leases: tuple[AgentLease, ...]


@dataclass(frozen=True)
class RenewalReturned:
    """The API server has answered WriteState, or the request failed."""

    lease: AgentLease | None  # None: it failed; after a conflict, LeaseSeen came before


@dataclass(frozen=True)
class CasFailed:
    """CasRound failed."""

    conflict: bool  # the Round Lease had another version


@dataclass(frozen=True)
class PulseFailed:
    """Pulse failed."""

    conflict: bool  # the Round Lease had another version


@dataclass(frozen=True)
class WorkersStarted:
    """All workers of round n have started."""

    n: int
    start_ms: int  # from the delivery of the round to the exec of the last worker


@dataclass(frozen=True)
class WorkerExited:
    """A worker of round n failed, or all workers of round n have exited with code 0."""

    n: int
    failure: Cause | None = None  # None: all exited with code 0
    fatal: bool = False  # no restart can cure


@dataclass(frozen=True)
class FailureNoticed:
    """A worker of round n has failed and no exit has reported it: it runs and has written an error
    file, or it had failed when the stop of the workers began. None: it has exited with 0 since."""

    n: int
    failure: Cause | None


@dataclass(frozen=True)
class WorkersReaped:
    """No process of round n or an older round is alive."""

    n: int


@dataclass(frozen=True)
class LeaveRequested:
    """The agent received a termination signal."""


@dataclass(frozen=True)
class Progressed:
    """A worker reported its progress."""

    progress: Progress


@dataclass(frozen=True)
class Tick:
    """The instant that Step.again_at named has come."""


Event = Union[
    RoundSeen, RoundGone, LeaseSeen, LeaseGone, GetFailed, ViewComplete, RenewalReturned, CasFailed,
    PulseFailed, WorkersStarted, WorkerExited, FailureNoticed, WorkersReaped, LeaveRequested,
    Progressed, Tick,
]  # fmt: skip
