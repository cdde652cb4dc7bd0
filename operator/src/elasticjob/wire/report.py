"""What the holder tells beside its pulse: facts for people, on which nothing depends."""

from __future__ import annotations

from typing import Any

from elasticjob.wire.codec import dump, fields_of, flag, load, number, text
from elasticjob.wire.dataclasses import dataclass
from elasticjob.wire.member import Pod, dump_pods, load_pods


@dataclass(frozen=True)
class Progress:
    """How far the training is, as rank 0's worker says. total 0: not known."""

    step: int
    total: int = 0

    def to_fields(self) -> dict[str, int]:
        """As the value of a field in a record."""
        return {"step": self.step, "total": self.total} if self.total else {"step": self.step}

    @classmethod
    def from_fields(cls, fields: Any, what: str) -> Progress | None:
        """The inverse; None where the record has none. Raises WireError."""
        if fields is None:
            return None
        what = f"{what}.progress"
        fields = fields_of(fields, what)
        return cls(number(fields, "step", what), number(fields, "total", what, 0))


@dataclass(frozen=True)
class Recovery:
    """How long the way into round n took, in ms; durations only, never clocks of two machines.

    detect: failure -> the next round was written. stop: old workers were gone. rendezvous: time in
    Forming, until enough members were there. start: delivery -> the slowest member's exec.
    """

    n: int
    detect_ms: int = 0
    stop_ms: int = 0
    rendezvous_ms: int = 0
    start_ms: int = 0

    @property
    def total_ms(self) -> int:
        """From the failure to the last worker's exec; stopping is a part of starting."""
        return self.detect_ms + self.rendezvous_ms + self.start_ms


@dataclass(frozen=True)
class Report:
    """Of round n: which members run it, the last recovery, the progress.

    outside: the holder judges the agents outside of the round, too; those of older releases do
    not. silent: those of them that it found silent; the operator replaces them. delay_ms: what was
    left of the round's start delay at this pulse, for an agent that begins within it.
    """

    n: int
    running: tuple[Pod, ...] = ()
    recovery: Recovery | None = None
    progress: Progress | None = None
    outside: bool = False
    silent: tuple[Pod, ...] = ()
    delay_ms: int | None = None

    def to_json(self) -> str:
        """The annotation's text."""
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
    def from_json(cls, annotation: str) -> Report:
        """The inverse; raises WireError."""
        what = "report"
        record = load(annotation, what)
        return cls(
            n=number(record, "n", what),
            running=load_pods(text(record, "running", what), f"{what}.running"),
            delay_ms=number(record, "delayMs", what) if "delayMs" in record else None,
            outside=flag(record, "outside", what),
            silent=load_pods(text(record, "silent", what), f"{what}.silent"),
            recovery=_recovery(record.get("recovery"), what),
            progress=Progress.from_fields(record.get("progress"), what),
        )


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
