"""The actions of an agent: agent_step returns them, and the agent's loop performs them.

Each request ends with the event that its docstring names; other events may come before it.
"""

from __future__ import annotations

from typing import Union

from elasticjob.wire.dataclasses import dataclass
from elasticjob.wire.report import Report
from elasticjob.wire.round import Round


@dataclass(frozen=True)
class ReadRound:
    """Read the Round Lease consistently. The result is RoundSeen(READ)."""


@dataclass(frozen=True)
class CreateLease:
    """Create this agent's Lease. The result is LeaseSeen of the Lease, created or found."""

    state: str  # annotation `agent`


@dataclass(frozen=True)
class WriteState:
    """Renew this agent's Lease by compare-and-swap. The result is RenewalReturned."""

    state: str  # annotation `agent`
    version: str  # resourceVersion that the write expects


@dataclass(frozen=True)
class CasRound:
    """Write the next round or the holder by compare-and-swap: RoundSeen(ANSWER) or CasFailed."""

    version: str  # resourceVersion that the write expects
    round: Round | None = None  # None: unchanged
    holder: str | None = None  # None: unchanged; empty: the role becomes vacant
    report: Report | None = None  # the last report, with the end of the job; None: unchanged


@dataclass(frozen=True)
class Pulse:
    """Write the holder's pulse by compare-and-swap: RoundSeen(PULSE) or PulseFailed."""

    version: str  # resourceVersion that the write expects
    report: Report


@dataclass(frozen=True)
class GetLease:
    """Read one agent Lease: LeaseSeen or LeaseGone (both with by_get), or GetFailed."""

    name: str


@dataclass(frozen=True)
class ReopenStream:
    """Open a new watch, then close the old one: RoundSeen(READ), then ViewComplete if wide."""

    wide: bool  # True: all Leases of the job; False: the Round Lease alone


@dataclass(frozen=True)
class Start:
    """Start the workers of this round. The result is WorkersStarted or WorkerExited."""

    round: Round


@dataclass(frozen=True)
class Stop:
    """Stop all workers. The result is WorkersReaped."""

    n: int  # round of the workers
    grace_s: float  # from SIGTERM to SIGKILL


JOB_FAILED = "the job failed: "  # begins the reason of an agent whose worker is the cause


@dataclass(frozen=True)
class Exit:
    """End the agent, and with it the worker container."""

    code: int
    reason: str  # for the log and the termination message
    cause: str = ""  # for the termination message: a kind of cause, or SetupFailed
    rank: int = -1  # with which that cause began; -1: no single worker


Action = Union[
    ReadRound, CreateLease, WriteState, CasRound, Pulse, GetLease, ReopenStream, Start, Stop, Exit
]
