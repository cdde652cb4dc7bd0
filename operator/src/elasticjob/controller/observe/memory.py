"""What the operator remembers of a job from pass to pass, as one frozen record.

A restart of the operator loses it without harm. `plan/memory.py` has the functions that make the
next record. Each float in a field or in the value of a mapping is an instant of the monotonic
clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import NamedTuple

from elasticjob.wire.cause import CauseKind
from elasticjob.wire.lease import AgentLease
from elasticjob.wire.member import Pod


@dataclass(frozen=True)
class Replacement:
    """The unplanned replacements of an index."""

    count: int  # in a row
    at: float  # of the last one


@dataclass(frozen=True)
class Renewal:
    """The last renewal of an agent Lease that the operator has seen.

    Reads are counted because every Lease gets old, but is not read, while the API server is away.
    """

    renew_time: str  # empty: the agent has no Lease
    at: float  # when the operator saw it first
    reads: int = 1  # since then, the first included


@dataclass(frozen=True)
class Restart:
    """A round that started the workers again."""

    number: int  # the number of the charge, if the operator decides to count it
    kind: CauseKind
    at: float  # when the operator saw it


@dataclass(frozen=True)
class Refusal:
    """The refusals of one action in a row by the API server."""

    why: str
    count: int
    at: float  # of the last one
    # Of the last request; None: never requested, as a pod shares the refusals of others.
    requested_at: float | None = None


@dataclass(frozen=True)
class Refusals:
    """The refusals of all actions, and the state in which they were refused."""

    by_action: Mapping[str, Refusal] = field(default_factory=dict)  # by actions.describe
    generation: int = 0  # of the spec
    pods: frozenset[Pod] = frozenset()  # that a quota counted


@dataclass(frozen=True)
class Performed:
    """The last times that an action was performed."""

    count: int  # in a row
    at: float  # of the last one


@dataclass(frozen=True)
class ReplacedRound:
    """A round that the operator replaced."""

    fault: str  # why
    n: int  # the number of the round in its place


class Lasting(Enum):
    """A condition whose duration a policy needs; observe/lasting.py has the objects of each."""

    SAME_PULSE = "same pulse"  # of the Round Lease, by the time of the pulse
    DELETING = "deleting"  # a pod is being deleted
    UNACCEPTED = "unaccepted"  # no kubelet has accepted a pod that is bound to a node
    NOT_STARTING = "not starting"  # the node of a pod has not created its container
    UNLISTED = "unlisted"  # `desired` in the Round Lease does not list a living pod
    JUDGED = "judged"  # only the operator can judge the agent of a pod
    ORPHANED = "orphaned"  # an agent Lease has no living pod


class Since(NamedTuple):
    """A condition of one object."""

    condition: Lasting
    uid: str  # of the pod or Lease


class TimeOf(NamedTuple):
    """What a time in the status is about."""

    reason: str  # the reason of a condition
    subject: str  # a round, an index or a pulse: another one has another time


@dataclass(frozen=True)
class StatusTime:
    """A time in the status."""

    at: datetime
    left_ms: int | None = None  # in the report that it was computed from
    holder: str = ""  # that wrote this report


@dataclass(frozen=True)
class Memory:
    """What the operator remembers of one job."""

    job_uid: str
    marked: frozenset[Pod] = frozenset()  # pods whose Lease has the mark `ended`
    never_created: frozenset[Pod] = frozenset()  # reserved pods that never existed, without a Lease
    created: frozenset[Pod] = frozenset()  # the newest pods of their indexes that a snapshot had
    orphans: Mapping[Pod, AgentLease] = field(default_factory=dict)  # Leases without a living pod
    renewals: Mapping[Pod, Renewal] = field(default_factory=dict)
    leases_listed_at: float | None = None  # when the renewals were read
    unreadable_leases: Mapping[str, str] = field(default_factory=dict)  # by name: why
    replacements: Mapping[int, Replacement] = field(default_factory=dict)  # by index
    refusals: Refusals = Refusals()
    performed: Mapping[object, Performed] = field(default_factory=dict)  # by action
    replaced: ReplacedRound | None = None  # the last round that the operator replaced
    restarts: tuple[Restart, ...] = ()  # of the last hour, if no agent has charged them
    watched_at: float | None = None  # since when the restarts are known
    seen_n: int = 0  # the newest round in `restarts`
    prerequisites_at: float | None = None  # when all that pods need existed last
    since: Mapping[Since, float] = field(default_factory=dict)  # when each condition began
    status_times: Mapping[TimeOf, StatusTime] = field(default_factory=dict)  # for people only
