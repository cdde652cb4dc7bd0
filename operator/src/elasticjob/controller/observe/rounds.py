"""The Round Lease as the operator reads it: bounded by the pods that the operator has reserved.

Agents write the round and the report, and code in a worker can write them, too. So no number in
them bounds the work or the memory that they cost: the operator compares their ranges of pods with
the generations that it has reserved, before it looks at a single pod.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from elasticjob.controller.observe.parse import ObservedPod, finalizers
from elasticjob.wire import lease as leases
from elasticjob.wire.cause import Cause
from elasticjob.wire.charges import NO_CHARGES, Charges
from elasticjob.wire.codec import ExcessError, Json, WireError
from elasticjob.wire.lease import RoundLease
from elasticjob.wire.member import Pod, PodRange, dump_pods, load_pod_ranges
from elasticjob.wire.report import Recovery
from elasticjob.wire.round import Phase, Round

MEMBERS = "round.members"
_CHECKED = 8  # texts of members: neither a pulse nor a crash changes them

Ranges = tuple[PodRange, ...]


@dataclass(frozen=True)
class Reserved:
    """The pods that the operator has created of a job, or may have created."""

    job_uid: str
    generations: str = ""  # status.generations: the next generation of each index
    pods: Callable[[], Collection[Pod]] = tuple  # that exist, in case the status was cleared

    def fault(self, text: str, what: str) -> str:
        """Why these pods are not all among them; empty if they are. Raises WireError."""
        try:
            left = _not_reserved(text, self.generations, what)
        except ExcessError as error:
            return str(error)
        if not left:
            return ""
        found = _first_without(left, self.pods())
        return f"{what} names {found}, and the operator has created no such pods" if found else ""


def reserved(job_uid: str, status: Json | None, pods: Collection[ObservedPod]) -> Reserved:
    """What the operator has reserved of this job, by its status and its pods."""
    generations = (status or {}).get("generations")
    return Reserved(
        job_uid,
        generations if isinstance(generations, str) else "",
        lambda: {p.pod for p in pods if p.job_uid == job_uid},
    )


@dataclass(frozen=True)
class PastRound:
    """The fields of an earlier round that a plan depends on. Its members stay ranges."""

    n: int
    phase: Phase
    members: str = ""
    cause: Cause | None = None  # only its kind, pod and round
    charged: Charges = NO_CHARGES
    starts: int = 0
    resets: int = 0
    trained: bool = False
    # For reports only, as no plan reads it: the whole cause, the start delay and the recovery.
    details: Cause | None = None
    delay_ms: int = 0
    recovery: Recovery | None = None

    @property
    def ended_n(self) -> int:
        """The number of the round that the cause ended. All rounds with one cause share it: a round
        takes over the cause of a Forming round before it."""
        failed_n = self.cause.n if self.cause else None
        is_earlier = failed_n is not None and failed_n < self.n
        return failed_n if failed_n is not None and is_earlier else max(0, self.n - 1)

    def has(self, pod: Pod) -> bool:
        """Whether this pod is a member."""
        index, generation = pod.index, pod.generation
        return any(low <= index <= high and g == generation for low, high, g in self._ranges())

    @property
    def size(self) -> int:
        """The number of members."""
        return sum(high - low + 1 for low, high, _ in self._ranges())

    def members_without(self, other: PastRound) -> Iterator[Pod]:
        """The members that are no members of the other round."""
        return _each(_minus(self._ranges(), other._ranges(), operator.eq))

    def _ranges(self) -> Ranges:
        return load_pod_ranges(self.members, MEMBERS)


def past(round_: Round, members: str | None = None) -> PastRound:
    """The record of a round. members: their text, if it is known."""
    text = dump_pods(m.pod for m in round_.members) if members is None else members
    cause = round_.cause and Cause(round_.cause.kind, round_.cause.pod, n=round_.cause.n)
    return PastRound(
        round_.n,
        round_.phase,
        text,
        cause,
        round_.charged,
        round_.starts,
        round_.resets,
        round_.trained,
        round_.cause,
        round_.delay_ms,
    )


@dataclass(frozen=True)
class ObservedRound:
    """The Round Lease of a job name."""

    uid: str
    version: int
    job_uid: str
    lease: RoundLease | None = None  # None: an older job's, which is not read, or unreadable
    members: str = ""  # of the round, as it names them
    why: str = ""  # why it cannot be read
    excess: str = ""  # why its members are ignored: the operator has not created them
    ignored: str = ""  # why pods in its report are ignored
    deleting: bool = False
    finalizers: tuple[str, ...] = ()  # what keeps it, if it is being deleted

    @property
    def fields_without_lease(self) -> tuple[object, ...]:
        """All but the version and the records."""
        faults = (self.why, self.excess, self.ignored)
        return (self.uid, self.job_uid, *faults, self.deleting, self.finalizers)


def observed_round(body: Json, reserved: Reserved) -> ObservedRound:
    """Read the Round Lease of a job name. Raises ValueError for an object that is no Lease."""
    meta = body["metadata"]
    job_uid = leases.job_uid_of(body)
    read = _read(body, reserved) if job_uid == reserved.job_uid else {}
    return ObservedRound(
        meta["uid"],
        int(meta["resourceVersion"]),
        job_uid,
        deleting="deletionTimestamp" in meta,
        finalizers=finalizers(meta),
        **read,
    )


def _read(body: Json, reserved: Reserved) -> dict[str, Any]:
    """The fields that depend on the records in the Lease."""
    members, faults = "", dict[str, str]()

    def admit(text: str, what: str) -> str:
        nonlocal members
        if fault := reserved.fault(text, what):
            faults[what] = fault
            return ""
        members = text if what == MEMBERS else members
        return text

    try:
        lease = leases.parse_round(body, admit)
    except Exception as error:
        return {"why": why(error)}
    excess = faults.pop(MEMBERS, "")
    if lease.round.phase.is_terminal:
        excess = ""  # a final phase stays, and its members do not matter
    ignored = "; ".join(faults.values())
    return {"lease": lease, "members": members, "excess": excess, "ignored": ignored}


def why(error: Exception) -> str:
    """The text of an error for people."""
    return str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"


@lru_cache(_CHECKED)
def _not_reserved(text: str, generations: str, what: str) -> Ranges:
    """The pods of the text whose generations are not reserved. Raises WireError."""
    try:
        following = load_pod_ranges(generations, "status.generations")
    except WireError:
        following = ()  # another client has written it
    return _minus(load_pod_ranges(text, what), following, operator.lt)


def _first_without(ranges: Ranges, pods: Collection[Pod]) -> str:
    """The first of these ranges without the pods before the first one that does not exist; empty if
    all exist. So the cost is that of the pods that exist."""
    for low, high, generation in ranges:
        for index in range(low, high + 1):
            if Pod(index, generation) not in pods:
                return f"{index}-{high}@{generation}" if index < high else f"{high}@{generation}"
    return ""


def _minus(ranges: Ranges, other: Ranges, covers: Callable[[int, int], bool]) -> Ranges:
    """The parts of ranges that no other range covers, by index and generation. Both are in order,
    so the cost is that of their lengths, and not of the number of pods."""
    left: list[PodRange] = []
    begin = 0
    for first, last, generation in ranges:
        while begin < len(other) and other[begin][1] < first:
            begin += 1
        at = first
        for k in range(begin, len(other)):
            low, high, others = other[k]
            if low > last:
                break
            if covers(generation, others):
                left += [(at, low - 1, generation)] if at < low else []
                at = high + 1
        left += [(at, last, generation)] if at <= last else []
    return tuple(left)


def _each(ranges: Ranges) -> Iterator[Pod]:
    return (Pod(index, g) for low, high, g in ranges for index in range(low, high + 1))
