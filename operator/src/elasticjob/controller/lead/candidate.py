"""Which of several operators leads: the holder of a Lease, as in the control plane of Kubernetes.

A leader that hangs, is frozen or is cut off must have ended before another one begins, and clocks
of two machines are never compared. So each side uses its own clock, in the safe direction:

* the leader counts from before it sent its last successful renewal. After two thirds of the lease
  duration without another one its process ends at once, and it checks this before each write;
* a candidate counts from after it saw the Lease change, and takes it when the duration has passed.

    candidate --TAKE, CREATE--> leader --RENEW--> leader --LOST--> the process ends
        '--WAIT--> candidate               '--stopped--> released, and free for the next at once

A user who deletes or empties the Lease while it is held may cause two leaders until the next
renewal. That, and requests that a frozen leader had already sent, do no harm: every write of the
operator is guarded by a version, a UID, or a name that is used once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import Enum

from elasticjob.wire.codec import Json
from elasticjob.wire.lease import LEASE_API


@dataclass(frozen=True)
class LeaseName:
    """The namespace and name of the Lease."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True)
class LeaseTimes:
    """The times of the election, in Kubernetes' proportions of 15 : 10 : 2."""

    lease_duration_s: float = 15.0  # a candidate waits this long for a leader that does not renew

    @property
    def renew_deadline_s(self) -> float:
        """How long a leader continues without a renewal; the rest is for delayed requests and for
        threads that the machine does not schedule."""
        return self.lease_duration_s * 2 / 3

    @property
    def retry_period_s(self) -> float:
        """The time between two tries or renewals."""
        return self.lease_duration_s * 2 / 15


@dataclass(frozen=True)
class Record:
    """The content of the Lease."""

    holder: str
    renew_time: str  # another machine's time: only compared for equality
    lease_duration_s: float
    transitions: int
    version: str

    def is_renewed_since(self, before: Record | None) -> bool:
        """Whether the holder has written since; other changes, such as labels, do not count."""
        return before is None or replace(before, version=self.version) != self


@dataclass(frozen=True)
class Candidate:
    """An operator that takes part, with what it knows. Times are those of its clock."""

    identity: str
    times: LeaseTimes
    record: Record | None = None  # as it was read last; None: the Lease does not exist
    changed_at: float = 0.0  # when this candidate saw the last change of the record
    renewed_at: float | None = None  # when its last successful write was sent; None: not leading

    @property
    def deadline(self) -> float | None:
        """The end of its leadership without another renewal; None if it does not lead."""
        return None if self.renewed_at is None else self.renewed_at + self.times.renew_deadline_s

    def leads(self, now: float) -> bool:
        """Whether no other operator can be the leader now."""
        return self.deadline is not None and now < self.deadline

    def seen(self, record: Record | None, now: float) -> Candidate:
        """This candidate after it has read the Lease."""
        is_renewed = record is not None and record.is_renewed_since(self.record)
        return replace(self, record=record, changed_at=now if is_renewed else self.changed_at)

    def wrote(self, record: Record, sent_at: float, now: float) -> Candidate:
        """This candidate after a write by which it became or stayed the holder."""
        return replace(self, record=record, changed_at=now, renewed_at=sent_at)


class Move(Enum):
    """The next action of a candidate."""

    CREATE = "the Lease does not exist: create it as its holder"
    TAKE = "the Lease has no holder, or one that has not renewed it in time: become the holder"
    RENEW = "this candidate holds the Lease, maybe by a write without answer: write the time"
    WAIT = "another operator holds the Lease"
    LOST = "this leader's time is over, or another operator holds its Lease: end"


def next_move(me: Candidate, now: float) -> Move:
    """The next move for a record that was just read; every write is a compare-and-swap."""
    led, record = me.renewed_at is not None, me.record
    if led and not me.leads(now):
        return Move.LOST
    if record is None:
        return Move.CREATE
    if record.holder == me.identity:
        return Move.RENEW
    if led:
        return Move.LOST
    if not record.holder or now - me.changed_at >= record.lease_duration_s:
        return Move.TAKE
    return Move.WAIT


# ---- the Lease -----------------------------------------------------------------------------------


def manifest(name: str, me: Candidate, at: str) -> Json:
    """The Lease as the first leader creates it."""
    return {
        "apiVersion": LEASE_API,
        "kind": "Lease",
        "metadata": {"name": name},
        "spec": {**_held(me, at), "leaseTransitions": 0},
    }


def patch(me: Candidate, move: Move, at: str) -> Json:
    """The patch by which a candidate becomes or stays the holder."""
    assert me.record is not None
    spec: Json = {"renewTime": at}
    if move is Move.TAKE:
        spec = {**_held(me, at), "leaseTransitions": me.record.transitions + 1}
    return {"metadata": {"resourceVersion": me.record.version}, "spec": spec}


def release(version: str) -> Json:
    """The patch by which a leader frees the Lease, so that the next one begins at once."""
    spec = {"holderIdentity": None, "renewTime": None}
    return {"metadata": {"resourceVersion": version}, "spec": spec}


def parse(lease: Json) -> Record:
    """The record in a Lease. Missing fields are empty, and a missing duration is over."""
    spec: Json = lease.get("spec") or {}
    return Record(
        holder=str(spec.get("holderIdentity") or ""),
        renew_time=str(spec.get("renewTime") or ""),
        lease_duration_s=float(spec.get("leaseDurationSeconds") or 0),
        transitions=int(spec.get("leaseTransitions") or 0),
        version=str(lease["metadata"]["resourceVersion"]),
    )


def _held(me: Candidate, at: str) -> Json:
    return {
        "holderIdentity": me.identity,
        "leaseDurationSeconds": math.ceil(me.times.lease_duration_s),
        "acquireTime": at,
        "renewTime": at,
    }
