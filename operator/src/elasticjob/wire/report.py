"""The report that the holder writes with its pulse: annotation `report` of the Round Lease."""

from __future__ import annotations

from typing import Any

from elasticjob.wire.codec import Admit, as_is, dump, fields_of, flag, load, number, text
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
    """The durations of the way into round n. Each is measured on one machine."""

    n: int
    detect_ms: int = 0  # from the failure to the write of the next round
    stop_ms: int = 0  # the part of start_ms in which the old workers were stopped
    rendezvous_ms: int = 0  # in Forming, until enough members were there
    start_ms: int = 0  # from the delivery of the round to the exec of the last worker

    @property
    def total_ms(self) -> int:
        """The time from the failure to the exec of the last worker."""
        return self.detect_ms + self.rendezvous_ms + self.start_ms


@dataclass(frozen=True)
class Report:
    """The holder's report on round n."""

    n: int
    running: tuple[Pod, ...] = ()  # members whose workers have started
    recovery: Recovery | None = None  # of this round, once all members run
    progress: Progress | None = None
    outside: bool = False  # the holder judges the agents outside; an older release's does not
    silent: tuple[Pod, ...] = ()  # silent pods outside, which the operator replaces
    delay_ms: int | None = None  # the rest of the start delay, for an agent that starts within it

    def to_json(self) -> str:
        """Encode the annotation."""
        fields: dict[str, Any] = {"n": self.n, "running": dump_pods(self.running)}
        fields["outside"] = self.outside
        fields["silent"] = dump_pods(self.silent)
        fields["delayMs"] = self.delay_ms
        if self.recovery:
            fields["recovery"] = {
                "n": self.recovery.n,
                "detectMs": self.recovery.detect_ms,
                "stopMs": self.recovery.stop_ms,
                "rendezvousMs": self.recovery.rendezvous_ms,
                "startMs": self.recovery.start_ms,
            }
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
            delay_ms=number(record, "delayMs", what) if "delayMs" in record else None,
            outside=flag(record, "outside", what),
            silent=_pods(record, "silent", what, admit),
            recovery=_recovery(record.get("recovery"), what),
            progress=Progress.from_fields(record.get("progress"), what),
        )


def _pods(record: dict[str, Any], key: str, what: str, admit: Admit) -> tuple[Pod, ...]:
    what_pods = f"{what}.{key}"
    return load_pods(admit(text(record, key, what), what_pods), what_pods)


def _recovery(fields: Any, what: str) -> Recovery | None:
    if fields is None:
        return None
    what = f"{what}.recovery"
    fields = fields_of(fields, what)
    return Recovery(
        n=number(fields, "n", what),
        detect_ms=number(fields, "detectMs", what, 0),
        stop_ms=number(fields, "stopMs", what, 0),
        rendezvous_ms=number(fields, "rendezvousMs", what, 0),
        start_ms=number(fields, "startMs", what, 0),
    )
