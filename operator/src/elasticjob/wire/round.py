"""The round: one configuration of the group, which agents write by compare-and-swap."""

from __future__ import annotations

from enum import Enum
from functools import cached_property
from typing import Any

from elasticjob.wire.address import address
from elasticjob.wire.cause import Cause
from elasticjob.wire.charges import NO_CHARGES, Charges
from elasticjob.wire.codec import (
    Admit,
    WireError,
    as_is,
    dump,
    fields_of,
    flag,
    load,
    number,
    short_repr,
    text,
)
from elasticjob.wire.dataclasses import dataclass
from elasticjob.wire.member import Member, Pod, dump_pods, dump_shares, load_members
from elasticjob.wire.report import Recovery

PORTS_PER_JOB = 16
DEFAULT_PORT_BASE = 29500


class Phase(Enum):
    """The phases of a round. docs/protocol.md has their diagram."""

    FORMING = "Forming"  # no members and no workers: the job waits for enough newcomers
    ACTIVE = "Active"  # the members run or start
    SUCCEEDED = "Succeeded"  # every member is done; final
    FAILED = "Failed"  # a command that cannot be executed, or more failures than the budget; final

    @property
    def is_terminal(self) -> bool:
        """Whether the phase is final."""
        return self in (Phase.SUCCEEDED, Phase.FAILED)


@dataclass(frozen=True)
class Endpoint:
    """The address of the workers' store: the lowest member's address and its first port."""

    address: str
    port_base: int = DEFAULT_PORT_BASE

    def port(self, n: int) -> int:
        """The port of round n, which differs from the last one: an old socket may still be open."""
        return self.port_base + n % PORTS_PER_JOB


@dataclass(frozen=True)
class Round:
    """One round. Another phase or other members make a round with a higher n."""

    n: int = 0
    phase: Phase = Phase.FORMING
    members: tuple[Member, ...] = ()
    master: Endpoint | None = None
    cause: Cause | None = None  # why the round before ended
    charged: Charges = NO_CHARGES
    delay_ms: int = 0  # start delay of the members
    starts: int = 0  # Active rounds that a member has run, and this one if it is Active
    resets: int = 0  # how often a healthy time has forgiven the charges
    trained: bool = False  # the job has made progress, or workers that failed ran for a minute
    recovery: Recovery | None = None  # of the job, up to the write of this round; None: none

    def member(self, pod: Pod) -> Member | None:
        """The member with this pod, or None."""
        found = self._by_index.get(pod.index)
        return found if found is not None and found.pod == pod else None

    @cached_property
    def _by_index(self) -> dict[int, Member]:
        return {m.pod.index: m for m in self.members}

    @cached_property
    def pods(self) -> frozenset[Pod]:
        """The members' pods."""
        return frozenset(m.pod for m in self.members)

    def to_json(self) -> str:
        """Encode the annotation."""
        fields: dict[str, Any] = {"n": self.n, "phase": self.phase.value}
        fields["members"] = dump_pods(m.pod for m in self.members)
        fields["workers"] = dump_shares(self.members)
        if self.master:
            fields["master"] = {"address": self.master.address, "portBase": self.master.port_base}
        fields["cause"] = self.cause.to_fields() if self.cause else None
        fields.update(self.charged.to_fields())
        fields["delayMs"] = self.delay_ms or None
        fields["starts"] = self.starts
        fields["resets"] = self.resets or None
        fields["trained"] = self.trained
        fields["recovery"] = self.recovery.to_fields() if self.recovery else None
        return dump(fields)

    @classmethod
    def from_json(cls, annotation: str, admit: Admit = as_is) -> Round:
        """Decode the annotation. Raises WireError."""
        what = "round"
        record = load(annotation, what)
        members = admit(text(record, "members", what), f"{what}.members")
        return cls(
            n=number(record, "n", what),
            phase=_phase(text(record, "phase", what)),
            members=load_members(
                members, text(record, "workers", what) if members else "", f"{what}.members"
            ),
            master=_master(record.get("master"), what),
            cause=Cause.from_fields(record.get("cause"), what),
            charged=Charges.from_record(record, what),
            delay_ms=number(record, "delayMs", what, 0),
            starts=number(record, "starts", what, 0),
            resets=number(record, "resets", what, 0),
            trained=flag(record, "trained", what),
            recovery=Recovery.from_fields(record.get("recovery"), what),
        )


def _phase(value: str) -> Phase:
    try:
        return Phase(value)
    except ValueError:
        raise WireError(
            f"round.phase is {short_repr(value)}, which this release does not support"
        ) from None


def _master(fields: Any, what: str) -> Endpoint | None:
    if fields is None:
        return None
    what = f"{what}.master"
    fields = fields_of(fields, what)
    return Endpoint(
        address(fields, "address", what), number(fields, "portBase", what, DEFAULT_PORT_BASE)
    )
