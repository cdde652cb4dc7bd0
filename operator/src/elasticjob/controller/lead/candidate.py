"""Which of several operators leads: the one that holds a Lease, as in the control plane itself.

A leader that hangs, is frozen or is cut off must be at its end before another begins, and clocks of
two machines are never compared. So each side counts on its own clock, and in the safe direction:

* the leader from before it sent its last successful renewal: after two thirds of the term without
  another one its process ends, whatever it was doing, and it asks before each write;
* a candidate from after it saw the record change last: unchanged for a term, it takes it.

    candidate --TAKE, CREATE--> leader --RENEW--> leader --LOST--> the process ends
        '--WAIT--> candidate               '--stopped--> released, and free for the next at once

Whoever deletes or empties the Lease while it is held may have two leaders until the next renewal.
That and what a frozen leader had already sent do no harm: every write of the operator is guarded by
a version, a UID or a name that is used once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from elasticjob.wire.lease import LEASE_API

Json = dict[str, Any]


@dataclass(frozen=True)
class Place:
    """Where the Lease is."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True)
class Terms:
    """lease_s: how long a leader that is not heard of is waited for.

    The rest are Kubernetes' own proportions, 15 : 10 : 2.
    """

    lease_s: float = 15.0

    @property
    def renew_deadline_s(self) -> float:
        """How long a leader goes on without a renewal; what is left of the term is for latecomers:
        a request on its way, a thread that is not scheduled."""
        return self.lease_s * 2 / 3

    @property
    def retry_period_s(self) -> float:
        """Between two tries or renewals."""
        return self.lease_s * 2 / 15


@dataclass(frozen=True)
class Record:
    """What the Lease says. renew_time is text, for comparing: it is another machine's time."""

    holder: str
    renew_time: str
    term_s: float
    transitions: int
    version: str

    def is_renewed_since(self, before: Record | None) -> bool:
        """Whether the holder has written in between. A stranger's label is no sign of life."""
        return before is None or replace(before, version=self.version) != self


@dataclass(frozen=True)
class Candidate:
    """One of those who want to lead, and what it knows. Times are of its own clock.

    record: as it was read last; None: there is no Lease. changed_at: when it was seen to change
    last. renewed_at: when the last write that made it the holder was sent; None: it does not lead.
    """

    identity: str
    terms: Terms
    record: Record | None = None
    changed_at: float = 0.0
    renewed_at: float | None = None

    @property
    def deadline(self) -> float | None:
        """Until when it leads; None if it does not."""
        return None if self.renewed_at is None else self.renewed_at + self.terms.renew_deadline_s

    def leads(self, now: float) -> bool:
        """Whether nobody else can be the leader now."""
        return self.deadline is not None and now < self.deadline

    def seen(self, record: Record | None, now: float) -> Candidate:
        """After a read."""
        is_news = record is not None and record.is_renewed_since(self.record)
        return replace(self, record=record, changed_at=now if is_news else self.changed_at)

    def wrote(self, record: Record, sent_at: float, now: float) -> Candidate:
        """After a write that made it the holder, or kept it so."""
        return replace(self, record=record, changed_at=now, renewed_at=sent_at)


class Move(Enum):
    """What a candidate is to do next."""

    CREATE = "there is no Lease: make it, held by me"
    TAKE = "nobody holds it, or a holder who was not heard of for a term: write me into it"
    RENEW = "I hold it, maybe by a write whose answer was lost: write the time"
    WAIT = "another holds it"
    LOST = "my time is over, or another holds what I held: end"


def next_move(me: Candidate, now: float) -> Move:
    """The next move, with `record` as fresh as can be; every write is a compare-and-swap."""
    led, record = me.renewed_at is not None, me.record
    if led and not me.leads(now):
        return Move.LOST
    if record is None:
        return Move.CREATE
    if record.holder == me.identity:
        return Move.RENEW
    if led:
        return Move.LOST
    if not record.holder or now - me.changed_at >= record.term_s:
        return Move.TAKE
    return Move.WAIT


# ---- the Lease -----------------------------------------------------------------------------------


def manifest(name: str, me: Candidate, at: str) -> Json:
    """The Lease as the first leader makes it."""
    return {
        "apiVersion": LEASE_API,
        "kind": "Lease",
        "metadata": {"name": name},
        "spec": {**_held(me, at), "leaseTransitions": 0},
    }


def patch(me: Candidate, move: Move, at: str) -> Json:
    """What makes or keeps me the holder."""
    assert me.record is not None
    spec: Json = {"renewTime": at}
    if move is Move.TAKE:
        spec = {**_held(me, at), "leaseTransitions": me.record.transitions + 1}
    return {"metadata": {"resourceVersion": me.record.version}, "spec": spec}


def release(version: str) -> Json:
    """What lets the next one begin at once."""
    spec = {"holderIdentity": None, "renewTime": None}
    return {"metadata": {"resourceVersion": version}, "spec": spec}


def parse(lease: Json) -> Record:
    """The record in a Lease; what is not there is empty, and a term of 0 is over."""
    spec: Json = lease.get("spec") or {}
    return Record(
        holder=str(spec.get("holderIdentity") or ""),
        renew_time=str(spec.get("renewTime") or ""),
        term_s=float(spec.get("leaseDurationSeconds") or 0),
        transitions=int(spec.get("leaseTransitions") or 0),
        version=str(lease["metadata"]["resourceVersion"]),
    )


def _held(me: Candidate, at: str) -> Json:
    return {
        "holderIdentity": me.identity,
        "leaseDurationSeconds": math.ceil(me.terms.lease_s),
        "acquireTime": at,
        "renewTime": at,
    }
