"""A filter for pulses of Round Leases, which are most deliveries and change no plan.

1,000 jobs of one pod have 100 pulses a second, and parsing one costs as much as kopf's delivery.
Only deliveries of one stream are compared, as they come in order. Objects of a new list always
pass, so that they correct the cache.

A Lease may be large, and any client that may create Leases can label them. So the memory of the
filter is bounded: what it does not keep passes.
"""

from __future__ import annotations

from elasticjob.wire.codec import Json

Fields = tuple[Json, Json]  # of metadata and spec

NEXT = "MODIFIED"  # in one stream; objects of a list have no type, and ADDED may follow a gap
GONE = "DELETED"
LARGEST = 65_536  # characters of a Round Lease of a job with 1,000 pods: a tenth of this
KEPT = 32_000_000  # characters of all; 10,000 jobs of four pods have as many
METADATA = frozenset({"resourceVersion", "managedFields"})
SPEC = frozenset({"renewTime"})
"""The fields that each pulse changes. A pulse may change the report, too, and then passes."""


class Pulses:
    """The last version of each Round Lease that has passed, by UID."""

    def __init__(self) -> None:
        self._known: dict[str, Fields] = {}  # oldest first
        self._kept = 0  # characters

    def is_only_a_pulse(self, event: Json) -> bool:
        """Whether only the fields that each pulse changes have changed."""
        body = event["object"]
        return event["type"] == NEXT and self._known.get(_uid(body)) == _without_pulse(body)

    def note(self, event: Json) -> None:
        """Note a delivery that passes."""
        body = event["object"]
        uid = _uid(body)
        if (before := self._known.pop(uid, None)) is not None:
            self._kept -= _size(before)
        fields = _without_pulse(body)
        if event["type"] == GONE or _size(fields) > LARGEST:
            return
        self._known[uid] = fields
        self._kept += _size(fields)
        while self._kept > KEPT:
            self._kept -= _size(self._known.pop(next(iter(self._known))))


def _size(fields: Fields) -> int:
    """The size in characters: of the annotations, and 1,000 for the rest, which the API server
    limits."""
    annotations = fields[0].get("annotations") or {}
    return 1000 + sum(map(len, annotations.values()))


def _uid(body: Json) -> str:
    return str(body["metadata"]["uid"])


def _without_pulse(body: Json) -> Fields:
    meta, spec = body["metadata"], body.get("spec") or {}
    return (
        {key: value for key, value in meta.items() if key not in METADATA},
        {key: value for key, value in spec.items() if key not in SPEC},
    )
