"""Why a round was ended: the first real failure, not its first victim."""

from __future__ import annotations

from enum import Enum
from typing import Any

from elasticjob.wire.codec import WireError, fields_of, number, text
from elasticjob.wire.dataclasses import dataclass

MESSAGE_BYTES = 256


class CauseKind(Enum):
    """What ended a round."""

    WORKER_FAILED = "WorkerFailed"  # a worker exited with a code that is not 0
    WORKER_SIGNALED = "WorkerSignaled"  # a worker was ended by a signal
    WORKER_HUNG = "WorkerHung"  # a worker made no progress in time
    START_FAILED = "StartFailed"  # our own exec of the user's command failed: 126 or 127
    API_DARK = "ApiDark"  # an agent stopped its workers because it could not reach the API
    POD_ENDED = "PodEnded"  # a member's pod ended, as the operator saw
    POD_DELETED = "PodDeleted"  # a member's pod was deleted or taken away; this is not counted
    POD_SILENT = "PodSilent"  # a member's agent was not heard for too long
    POD_LATE = "PodLate"  # a member did not start its workers by the start deadline
    LEAVING = "Leaving"  # members left: told to end
    SCALED = "Scaled"  # members came or are no longer wanted
    SUSPENDED = "Suspended"  # nobody is wanted
    OTHER = "Other"  # a kind that a later release knows


@dataclass(frozen=True)
class Cause:
    """Pod, node, rank, code or signal and message of one failure. Rank -1: no single rank."""

    kind: CauseKind
    pod: str = ""
    node: str = ""
    rank: int = -1
    code: int | None = None
    signal: int | None = None
    message: str = ""
    n: int | None = None  # the round that failed
    after_ms: int | None = None  # since that round began, on the failing pod

    def to_fields(self) -> dict[str, Any]:
        """As the value of a field in a record."""
        fields: dict[str, Any] = {"kind": self.kind.value}
        if self.pod:
            fields["pod"] = self.pod
        if self.node:
            fields["node"] = self.node
        if self.rank >= 0:
            fields["rank"] = self.rank
        if self.code is not None:
            fields["code"] = self.code
        if self.signal is not None:
            fields["signal"] = self.signal
        if self.message:
            fields["message"] = clip(self.message)
        if self.n is not None:
            fields["n"] = self.n
        if self.after_ms is not None:
            fields["afterMs"] = self.after_ms
        return fields

    @classmethod
    def from_fields(cls, fields: Any, what: str) -> Cause | None:
        """The inverse; None where the record has none. Raises WireError."""
        if fields is None:
            return None
        what = f"{what}.cause"
        fields = fields_of(fields, what)
        return cls(
            kind=_kind(text(fields, "kind", what), what),
            pod=text(fields, "pod", what),
            node=text(fields, "node", what),
            rank=number(fields, "rank", what) if "rank" in fields else -1,
            code=number(fields, "code", what) if "code" in fields else None,
            signal=number(fields, "signal", what) if "signal" in fields else None,
            message=text(fields, "message", what),
            n=number(fields, "n", what) if "n" in fields else None,
            after_ms=number(fields, "afterMs", what) if "afterMs" in fields else None,
        )


def clip(message: str) -> str:
    """At most MESSAGE_BYTES of UTF-8; the end is kept, where a traceback has its error.

    A lone surrogate, as JSON can have it, is no character that UTF-8 can write: it becomes `?`.
    """
    raw = message.encode("utf-8", "replace")
    if len(raw) <= MESSAGE_BYTES:
        return raw.decode("utf-8")
    return "..." + raw[-(MESSAGE_BYTES - 3) :].decode("utf-8", "ignore")


def _kind(value: str, what: str) -> CauseKind:
    if not value:
        raise WireError(f"{what} has no kind")
    known = {kind.value: kind for kind in CauseKind}
    return known.get(value, CauseKind.OTHER)
