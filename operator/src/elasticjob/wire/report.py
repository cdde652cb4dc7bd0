"""The report that the holder writes with its pulse: annotation `report` of the Round Lease."""

from __future__ import annotations

from enum import Enum
from typing import Any

from elasticjob.wire.codec import LARGEST, Admit, as_is, dump, fields_of, flag, load, number, text
from elasticjob.wire.dataclasses import dataclass
from elasticjob.wire.member import Pod, dump_pods, load_pods


@dataclass(frozen=True)
class Progress:
    """The progress of the training, as the worker of rank 0 reports it."""

    step: int
    total: int = 0  # 0: unknown

    def to_fields(self) -> dict[str, int]:
        """Encode the progress as the value of a field in a record."""
        return {"step": self.step, "total": self.total} if self.total else {"step": self.step}

    @classmethod
    def from_fields(cls, fields: Any, what: str) -> Progress | None:
        """Decode the value of the field; None if the record lacks it. Raises WireError."""
        if fields is None:
            return None
        what = f"{what}.progress"
        fields = fields_of(fields, what)
        return cls(number(fields, "step", what), number(fields, "total", what, 0))


@dataclass(frozen=True)
class Recovery:
    """The time from the last sign of life of what failed until all members of round n run.

    Its four parts follow one another, so their sum is what a stopwatch shows. Each is measured by
    one machine, so no clocks are compared. docs/protocol.md defines them, with their errors.
    """

    n: int
    detect_ms: int = 0  # from the last sign of life until a round that answers the failure
    stop_ms: int = 0  # until the slowest agent had stopped its workers
    rendezvous_ms: int = 0  # in rounds without members, and in rounds that never ran completely
    start_ms: int = 0  # until all members run, the start delay included

    @property
    def total_ms(self) -> int:
        """The sum of the parts."""
        return self.detect_ms + self.stop_ms + self.rendezvous_ms + self.start_ms

    def to_fields(self) -> dict[str, int]:
        """Encode the recovery as the value of a field. On the wire, startMs contains stopMs."""
        return {
            "n": self.n,
            "detectMs": self.detect_ms,
            "stopMs": self.stop_ms,
            "rendezvousMs": self.rendezvous_ms,
            "startMs": min(self.stop_ms + self.start_ms, LARGEST),
        }

    @classmethod
    def from_fields(cls, fields: Any, what: str) -> Recovery | None:
        """Decode the value of the field; None if the record lacks it. Raises WireError."""
        if fields is None:
            return None
        what = f"{what}.recovery"
        fields = fields_of(fields, what)
        stop_ms = number(fields, "stopMs", what, 0)
        return cls(
            n=number(fields, "n", what),
            detect_ms=number(fields, "detectMs", what, 0),
            stop_ms=stop_ms,
            rendezvous_ms=number(fields, "rendezvousMs", what, 0),
            start_ms=max(0, number(fields, "startMs", what, 0) - stop_ms),
        )


class JoinWaitKind(Enum):
    """What newcomers wait for."""

    COOLDOWN = "Cooldown"  # the round must be `cooldownSeconds` old
    LAST_CALL = "LastCall"  # other wanted pods may still come


@dataclass(frozen=True)
class JoinWait:
    """The wait of newcomers for the next round. Users read it; no decision depends on it."""

    kind: JoinWaitKind
    left_ms: int  # when the holder wrote the report

    def to_fields(self) -> dict[str, Any]:
        """Encode the wait as the value of a field in a record."""
        return {"for": self.kind.value, "leftMs": self.left_ms}

    @classmethod
    def from_fields(cls, fields: Any, what: str) -> JoinWait | None:
        """Decode the value of the field; None if the record lacks it, or if it is a kind of a later
        release. Raises WireError."""
        if fields is None:
            return None
        what = f"{what}.joinWait"
        fields = fields_of(fields, what)
        left_ms = number(fields, "leftMs", what)
        kind = {kind.value: kind for kind in JoinWaitKind}.get(text(fields, "for", what))
        return None if kind is None else cls(kind, left_ms)


@dataclass(frozen=True)
class Report:
    """The holder's report on round n."""

    n: int
    running: tuple[Pod, ...] = ()  # members whose workers have started, and none has failed
    recovery: Recovery | None = None  # of this round, once all members run
    progress: Progress | None = None
    outside: bool = False  # the holder judges the agents outside; an older release's does not
    failed: tuple[Pod, ...] = ()  # members of which a worker has failed over the budget
    silent: tuple[Pod, ...] = ()  # silent pods outside, which the operator replaces
    delay_ms: int | None = None  # the rest of the start delay, for an agent that starts within it
    age_ms: int | None = None  # of a round without members, for an agent that starts within it
    join_wait: JoinWait | None = None  # of the newcomers, if some wait
    trained: bool = False  # the job has made progress, or has run for a minute; stays true

    def to_json(self) -> str:
        """Encode the annotation."""
        fields: dict[str, Any] = {"n": self.n, "running": dump_pods(self.running)}
        fields["outside"] = self.outside
        fields["silent"] = dump_pods(self.silent)
        fields["failed"] = dump_pods(self.failed)
        fields["delayMs"] = self.delay_ms
        fields["ageMs"] = self.age_ms
        fields["trained"] = self.trained
        fields["joinWait"] = self.join_wait.to_fields() if self.join_wait else None
        fields["recovery"] = self.recovery.to_fields() if self.recovery else None
        fields["progress"] = self.progress.to_fields() if self.progress else None
        return dump(fields)

    @classmethod
    def from_json(cls, annotation: str, admit: Admit = as_is) -> Report:
        """Decode the annotation. Raises WireError."""
        what = "report"
        record = load(annotation, what)
        return cls(
            n=number(record, "n", what),
            running=_pods(record, "running", what, admit),
            failed=_pods(record, "failed", what, admit),
            delay_ms=number(record, "delayMs", what) if "delayMs" in record else None,
            age_ms=number(record, "ageMs", what) if "ageMs" in record else None,
            join_wait=JoinWait.from_fields(record.get("joinWait"), what),
            outside=flag(record, "outside", what),
            trained=flag(record, "trained", what),
            silent=_pods(record, "silent", what, admit),
            recovery=Recovery.from_fields(record.get("recovery"), what),
            progress=Progress.from_fields(record.get("progress"), what),
        )


def _pods(record: dict[str, Any], key: str, what: str, admit: Admit) -> tuple[Pod, ...]:
    what_pods = f"{what}.{key}"
    return load_pods(admit(text(record, key, what), what_pods), what_pods)
