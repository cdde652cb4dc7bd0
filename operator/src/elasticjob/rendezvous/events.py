"""What happens to an agent: the input of agent_step. Each record is one event."""

from __future__ import annotations

from enum import Enum
from typing import Union

from elasticjob.wire.cause import Cause
from elasticjob.wire.dataclasses import dataclass
from elasticjob.wire.lease import AgentLease, RoundLease
from elasticjob.wire.report import Progress


class Source(Enum):
    """How a version of the Round came."""

    READ = "read"  # a consistent read, or the initial set of a new watch
    WATCH = "watch"
    ANSWER = "answer"  # to my CasRound
    PULSE = "pulse"  # to my Pulse


@dataclass(frozen=True)
class RoundSeen:
    """A version of the Round."""

    lease: RoundLease
    source: Source


@dataclass(frozen=True)
class RoundGone:
    """The Round Lease was deleted, or every right is."""


@dataclass(frozen=True)
class LeaseSeen:
    """A version of an agent's Lease: in the holder's stream, by a GET, or created."""

    lease: AgentLease
    by_get: bool = False


@dataclass(frozen=True)
class LeaseGone:
    """An agent's Lease was deleted, or a GET did not find it."""

    name: str
    by_get: bool = False


@dataclass(frozen=True)
class GetFailed:
    """A GET got no answer."""

    name: str


@dataclass(frozen=True)
class ViewComplete:
    """The initial set of the holder's stream is there: it replaces the view."""

    leases: tuple[AgentLease, ...]


@dataclass(frozen=True)
class RenewalReturned:
    """The answer to WriteState; lease None: it failed (a conflict is followed by LeaseSeen)."""

    lease: AgentLease | None


@dataclass(frozen=True)
class CasFailed:
    """CasRound did not land. conflict: another version was there."""

    conflict: bool


@dataclass(frozen=True)
class PulseFailed:
    """Pulse did not land. conflict: another version was there."""

    conflict: bool


@dataclass(frozen=True)
class WorkersStarted:
    """All workers of round n were exec'd; durations in ms since the round was delivered."""

    n: int
    start_ms: int
    stop_ms: int = 0


@dataclass(frozen=True)
class WorkerExited:
    """failure None: the last worker of n ended, all with 0. fatal: no restart can help."""

    n: int
    failure: Cause | None = None
    fatal: bool = False


@dataclass(frozen=True)
class WorkersReaped:
    """Nothing of round n or an older one is alive."""

    n: int


@dataclass(frozen=True)
class LeaveRequested:
    """SIGTERM."""


@dataclass(frozen=True)
class Progressed:
    """A worker says how far it is."""

    progress: Progress


@dataclass(frozen=True)
class Tick:
    """Time has passed."""


Event = Union[
    RoundSeen, RoundGone, LeaseSeen, LeaseGone, GetFailed, ViewComplete, RenewalReturned, CasFailed,
    PulseFailed, WorkersStarted, WorkerExited, WorkersReaped, LeaveRequested, Progressed, Tick,
]  # fmt: skip
