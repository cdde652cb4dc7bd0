"""The round: who runs together, written by agents under compare-and-swap."""

from __future__ import annotations

from enum import Enum
from functools import cached_property
from typing import Any

from elasticjob.wire.address import address
from elasticjob.wire.cause import Cause
from elasticjob.wire.charges import NO_CHARGES, Charges
from elasticjob.wire.codec import WireError, dump, fields_of, load, number, short_repr, text
from elasticjob.wire.dataclasses import dataclass
from elasticjob.wire.member import Member, Pod, dump_pods, dump_shares, load_members

PORTS_PER_JOB = 16
DEFAULT_PORT_BASE = 29500


class Phase(Enum):
    """Where a round stands. The diagram is in docs/protocol.md."""

    FORMING = "Forming"  # no members, nobody runs: waiting for enough newcomers
    ACTIVE = "Active"  # the members run, or are on their way to
    SUCCEEDED = "Succeeded"  # every member finished; for ever
    FAILED = "Failed"  # a fatal code, or more incidents than the budget; for ever

    @property
    def is_terminal(self) -> bool:
        """Succeeded and Failed never change."""
        return self in (Phase.SUCCEEDED, Phase.FAILED)


@dataclass(frozen=True)
class Endpoint:
    """Where the workers' store is: the address of the lowest member, and its lowest port."""

    address: str
    port_base: int = DEFAULT_PORT_BASE

    def port(self, n: int) -> int:
        """The port of round n: another one each round, so that no late socket is met again."""
        return self.port_base + n % PORTS_PER_JOB


@dataclass(frozen=True)
class Round:
    """One version of the round. Another phase or other members always get a higher n.

    starts: Active rounds of this job up to this one. cause: why the round before ended.
    delay_ms: how long members wait before they start. resets: how often charges were forgotten
    after a healthy time.
    """

    n: int = 0
    phase: Phase = Phase.FORMING
    members: tuple[Member, ...] = ()
    master: Endpoint | None = None
    cause: Cause | None = None
    charged: Charges = NO_CHARGES
    delay_ms: int = 0
    starts: int = 0
    resets: int = 0

    def member(self, pod: Pod) -> Member | None:
        """The member of this pod, or None."""
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
        """The annotation's text."""
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
        return dump(fields)

    @classmethod
    def from_json(cls, annotation: str) -> Round:
        """The inverse; raises WireError."""
        what = "round"
        record = load(annotation, what)
        return cls(
            n=number(record, "n", what),
            phase=_phase(text(record, "phase", what)),
            members=load_members(
                text(record, "members", what), text(record, "workers", what), f"{what}.members"
            ),
            master=_master(record.get("master"), what),
            cause=Cause.from_fields(record.get("cause"), what),
            charged=Charges.from_record(record, what),
            delay_ms=number(record, "delayMs", what, 0),
            starts=number(record, "starts", what, 0),
            resets=number(record, "resets", what, 0),
        )


def _phase(value: str) -> Phase:
    try:
        return Phase(value)
    except ValueError:
        raise WireError(
            f"round.phase is {short_repr(value)}, which this release does not know"
        ) from None


def _master(fields: Any, what: str) -> Endpoint | None:
    if fields is None:
        return None
    what = f"{what}.master"
    fields = fields_of(fields, what)
    return Endpoint(
        address(fields, "address", what), number(fields, "portBase", what, DEFAULT_PORT_BASE)
    )
