"""A filter for pulses of Round Leases, which are most deliveries and change no plan.

1,000 jobs of one pod have 100 pulses a second, and parsing one costs as much as kopf's delivery.
Only deliveries of one stream are compared, as they come in order. Objects of a new list always
pass, so that they correct the cache.
"""

from __future__ import annotations

from elasticjob.wire.codec import Json

Fields = tuple[Json, Json]  # of metadata and spec

NEXT = "MODIFIED"  # in one stream; objects of a list have no type, and ADDED may follow a gap
GONE = "DELETED"
METADATA = frozenset({"resourceVersion", "managedFields"})
SPEC = frozenset({"renewTime"})
"""The fields that each pulse changes. A pulse may change the report, too, and then passes."""


class Pulses:
    """The last version of each Round Lease that has passed, by UID."""

    def __init__(self) -> None:
        self._known: dict[str, Fields] = {}

    def is_only_a_pulse(self, event: Json) -> bool:
        """Whether only the fields that each pulse changes have changed."""
        body = event["object"]
        return event["type"] == NEXT and self._known.get(_uid(body)) == _without_pulse(body)

    def note(self, event: Json) -> None:
        """Note a delivery that passes."""
        body = event["object"]
        if event["type"] == GONE:
            self._known.pop(_uid(body), None)
        else:
            self._known[_uid(body)] = _without_pulse(body)


def _uid(body: Json) -> str:
    return str(body["metadata"]["uid"])


def _without_pulse(body: Json) -> Fields:
    meta, spec = body["metadata"], body.get("spec") or {}
    return (
        {key: value for key, value in meta.items() if key not in METADATA},
        {key: value for key, value in spec.items() if key not in SPEC},
    )
