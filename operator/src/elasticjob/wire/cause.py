"""The cause of a round: why the round before ended; the first cause if that was a failure."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Any, Literal, get_args

from elasticjob.wire.codec import WireError, fields_of, name, number, text
from elasticjob.wire.dataclasses import dataclass
from elasticjob.wire.untrusted import plain

LONGEST_MESSAGE = 1024  # bytes; of an agent's last failure, in its termination message
MESSAGE_BYTES = 512  # on the wire; each agent receives the cause of a round with each pulse
_GAP = "..."
_END = "the end of "  # begins the heading of lines in their order
Excerpt = Literal["the traceback", "stderr", "the log"]
_HEADINGS = tuple(f"{_END}{what}:" for what in get_args(Excerpt))
_LONGEST_REPETITION = 80  # bytes of the first line where it stands among them
LARGEST_CODE = 255  # of an exit
LARGEST_SIGNAL = 64


class CauseKind(Enum):
    """The kinds of causes."""

    WORKER_FAILED = "WorkerFailed"  # a worker exited with a code other than 0
    WORKER_SIGNALED = "WorkerSignaled"  # a signal ended a worker
    WORKER_HUNG = "WorkerHung"  # a worker made no progress in time
    START_FAILED = "StartFailed"  # the agent could not exec the user's command: code 126 or 127
    API_DARK = "ApiDark"  # an agent stopped its workers because it could not reach the API server
    POD_ENDED = "PodEnded"  # a member's pod ended; the operator marked its Lease
    POD_DELETED = "PodDeleted"  # a member's pod was deleted, evicted or preempted; not counted
    POD_SILENT = "PodSilent"  # a member's agent did not renew its Lease
    POD_LATE = "PodLate"  # a member did not start its workers by the start deadline
    LEAVING = "Leaving"  # members left after SIGTERM
    SCALED = "Scaled"  # members joined, or are no longer wanted
    SUSPENDED = "Suspended"  # no pod is wanted
    OTHER = "Other"  # a kind of a later release


@dataclass(frozen=True)
class Cause:
    """The cause that ended a round, most often one failure."""

    kind: CauseKind
    pod: str = ""
    node: str = ""
    rank: int = -1  # -1: no single worker
    code: int | None = None
    signal: int | None = None
    message: str = ""
    n: int | None = None  # the round that failed
    after_ms: int | None = None  # since that round began in this pod

    def to_fields(self) -> dict[str, Any]:
        """Encode the cause as the value of a field in a record."""
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
        """Decode the value of the field; None if the record lacks it. Raises WireError.

        Each number is one that a status may contain. The message is clipped, as its writer need
        not have done so.
        """
        if fields is None:
            return None
        what = f"{what}.cause"
        fields = fields_of(fields, what)
        return cls(
            kind=_kind(text(fields, "kind", what), what),
            pod=name(fields, "pod", what),
            node=name(fields, "node", what),
            rank=number(fields, "rank", what) if "rank" in fields else -1,
            code=number(fields, "code", what, None, LARGEST_CODE) if "code" in fields else None,
            signal=_signal(fields, what) if "signal" in fields else None,
            message=clip(text(fields, "message", what)),
            n=number(fields, "n", what) if "n" in fields else None,
            after_ms=number(fields, "afterMs", what) if "afterMs" in fields else None,
        )


def clip(message: str, most: int = MESSAGE_BYTES) -> str:
    """Return plain text with at most this many bytes of UTF-8: the first line, which names the
    error, the heading after it, and the last lines that fit; of a line that is too long its two
    ends.
    """
    text_ = plain(message)
    if _size(text_) <= most:
        return text_
    first, *lines = text_.lstrip("\n").split("\n")
    first = _without_middle(first, most)
    gap = lines.pop(0) if lines and lines[0] in _HEADINGS else _GAP
    room = most - _size(first) - _size("\n" + gap)
    kept: list[str] = []
    for line in reversed(lines):
        room -= _size("\n" + line)
        if room < 0:
            break
        kept.append(line)
    return "\n".join([first, gap, *reversed(kept)]) if kept else first


def with_end(first: str, lines: Sequence[str], what: Excerpt) -> str:
    """Return the line that names an error, and under a heading the lines that it stands in, in
    their order: those of stderr or of a traceback, as `what` names it."""
    if not first or list(lines) in ([], [first]):
        return first or "\n".join(lines)
    short = _without_middle(first, _LONGEST_REPETITION)
    return "\n".join([first, f"{_END}{what}:", *(short if x == first else x for x in lines)])


def _without_middle(line: str, most: int) -> str:
    raw = line.encode()
    if len(raw) <= most:
        return line
    end = (most - len(_GAP)) // 3
    begin = most - len(_GAP) - end
    return raw[:begin].decode("utf-8", "ignore") + _GAP + raw[-end:].decode("utf-8", "ignore")


def _size(text_: str) -> int:
    return len(text_.encode())


def _signal(fields: dict[str, Any], what: str) -> int:
    found = number(fields, "signal", what, None, LARGEST_SIGNAL)
    if found == 0:
        raise WireError(f"{what}.signal is 0, not the number of a signal")
    return found


def _kind(value: str, what: str) -> CauseKind:
    if not value:
        raise WireError(f"{what} has no kind")
    kinds = {kind.value: kind for kind in CauseKind}
    return kinds.get(value, CauseKind.OTHER)
