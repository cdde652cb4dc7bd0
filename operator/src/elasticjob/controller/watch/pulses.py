"""A filter for pulses of Round Leases, which are most deliveries and change no plan.

1,000 jobs of one pod have 100 pulses a second, and parsing one costs as much as kopf's delivery.
Only deliveries of one stream are compared, as they come in order. Objects of a new list always
pass, so that they correct the cache.

A Lease may be large, and any client that may create Leases can label them. So the memory of the
filter is bounded: what it does not keep passes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from elasticjob.wire.codec import Json, whole_number

Fields = tuple[Json, Json]  # of metadata and spec

NEXT = "MODIFIED"  # in one stream; objects of a list have no type, and ADDED may follow a gap
GONE = "DELETED"
LARGEST = 65_536  # characters of a Round Lease of a job with 1,000 pods: a tenth of this
KEPT = 32_000_000  # characters of all; 10,000 jobs of four pods have as many
METADATA = frozenset({"resourceVersion", "managedFields"})
SPEC = frozenset({"renewTime"})
"""The fields that each pulse changes. A pulse may change the report, too, and then passes."""


@dataclass(frozen=True)
class Pulse:
    """The last pulse of a Round Lease."""

    renew_time: str
    version: int  # resourceVersion of the last delivery with this renewTime
    at: float  # when the first one arrived, in seconds of the monotonic clock


class Pulses:
    """The last version of each Round Lease that has passed, by UID.

    last: the last pulse of each, by UID, which other threads may read.
    """

    def __init__(
        self, last: dict[str, Pulse] | None = None, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._known: dict[str, Fields] = {}  # oldest first
        self._kept = 0  # characters
        self._last = {} if last is None else last
        self._now = now
        self._last.clear()  # how old the pulses of an earlier stream are now is not known

    def is_only_a_pulse(self, event: Json) -> bool:
        """Whether only the fields that each pulse changes have changed."""
        body = event["object"]
        return event["type"] == NEXT and self._known.get(_uid(body)) == _without_pulse(body)

    def note_pulse(self, event: Json) -> None:
        """Note a delivery that does not pass: when the pulse arrived."""
        body = event["object"]
        renew_time, version = _renew_time(body), _version(body)
        before = self._last.get(_uid(body))
        if before is not None and before.renew_time == renew_time:
            self._last[_uid(body)] = replace(before, version=version)
        else:
            self._last[_uid(body)] = Pulse(renew_time, version, self._now())

    def note(self, event: Json) -> None:
        """Note a delivery that passes."""
        body = event["object"]
        uid = _uid(body)
        if (before := self._known.pop(uid, None)) is not None:
            self._kept -= _size(before)
        fields = _without_pulse(body)
        if event["type"] == GONE or _size(fields) > LARGEST:
            self._last.pop(uid, None)
            return
        self.note_pulse(event)
        self._known[uid] = fields
        self._kept += _size(fields)
        while self._kept > KEPT:
            oldest = next(iter(self._known))
            self._kept -= _size(self._known.pop(oldest))
            self._last.pop(oldest, None)


def _size(fields: Fields) -> int:
    """The size in characters: of the annotations, and 1,000 for the rest, which the API server
    limits."""
    annotations = fields[0].get("annotations") or {}
    return 1000 + sum(map(len, annotations.values()))


def _renew_time(body: Json) -> str:
    return str((body.get("spec") or {}).get("renewTime") or "")


def _version(body: Json) -> int:
    return whole_number(str(body["metadata"]["resourceVersion"])) or 0


def _uid(body: Json) -> str:
    return str(body["metadata"]["uid"])


def _without_pulse(body: Json) -> Fields:
    meta, spec = body["metadata"], body.get("spec") or {}
    return (
        {key: value for key, value in meta.items() if key not in METADATA},
        {key: value for key, value in spec.items() if key not in SPEC},
    )
