"""What an agent does: the output of agent_step, which the agent's loop performs.

Every action that is a request ends in exactly one event, its result.
"""

from __future__ import annotations

from typing import Union

from elasticjob.wire.dataclasses import dataclass
from elasticjob.wire.report import Report
from elasticjob.wire.round import Round


@dataclass(frozen=True)
class ReadRound:
    """Read the Round consistently: ends in RoundSeen(READ)."""


@dataclass(frozen=True)
class CreateLease:
    """Create my Lease: ends in LeaseSeen of it, created or found."""

    state: str


@dataclass(frozen=True)
class WriteState:
    """Renew my Lease with this state, against this version: ends in RenewalReturned."""

    state: str
    version: str


@dataclass(frozen=True)
class CasRound:
    """Write the next round, or the holder, against this version: RoundSeen(ANSWER) or CasFailed.

    round None: unchanged. holder None: unchanged; empty: cleared. report: the last one, with the
    job's end; None: unchanged.
    """

    version: str
    round: Round | None = None
    holder: str | None = None
    report: Report | None = None


@dataclass(frozen=True)
class Pulse:
    """Write my pulse with the report against this version: RoundSeen(PULSE) or PulseFailed."""

    version: str
    report: Report


@dataclass(frozen=True)
class GetLease:
    """Read one agent's Lease: ends in LeaseSeen, LeaseGone (both by_get) or GetFailed."""

    name: str


@dataclass(frozen=True)
class ReopenStream:
    """Open a new watch, then close the old one: ends in RoundSeen(READ), and ViewComplete if wide.

    wide: all Leases of the job, the Round included; else the Round alone.
    """

    wide: bool


@dataclass(frozen=True)
class Start:
    """Start the workers of this round: ends in WorkersStarted or WorkerExited."""

    round: Round


@dataclass(frozen=True)
class Stop:
    """End all workers: SIGTERM, SIGKILL after grace_s; ends in WorkersReaped."""

    n: int
    grace_s: float


@dataclass(frozen=True)
class Exit:
    """End the agent, which ends the pod."""

    code: int
    reason: str


Action = Union[
    ReadRound, CreateLease, WriteState, CasRound, Pulse, GetLease, ReopenStream, Start, Stop, Exit
]
