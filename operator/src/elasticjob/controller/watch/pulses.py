"""Mere pulses of Round Leases, which are most of what is delivered, and of which nothing follows.

1,000 jobs of one pod have 100 of them a second, and to look into one costs as much as kopf spends
on its delivery. Only deliveries of one stream are compared, which come in order: what a new list
says is always handed on, so that a cache that heard something else meanwhile is put right.
"""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]
Essence = tuple[Json, Json]

NEXT = "MODIFIED"  # in one stream; what a list says has no type, and ADDED may follow upon a gap
GONE = "DELETED"
METADATA = frozenset({"resourceVersion", "managedFields"})
SPEC = frozenset({"renewTime"})
"""What each pulse changes. The report may change with it, and progress has to be told."""


class Pulses:
    """What was last handed on of each Round Lease, by UID."""

    def __init__(self) -> None:
        self._known: dict[str, Essence] = {}

    def is_mere(self, event: Json) -> bool:
        """Whether this delivery says nothing but that the holder lives."""
        body = event["object"]
        return event["type"] == NEXT and self._known.get(_uid(body)) == _essence(body)

    def note(self, event: Json) -> None:
        """This delivery is handed on."""
        body = event["object"]
        if event["type"] == GONE:
            self._known.pop(_uid(body), None)
        else:
            self._known[_uid(body)] = _essence(body)


def _uid(body: Json) -> str:
    return str(body["metadata"]["uid"])


def _essence(body: Json) -> Essence:
    meta, spec = body["metadata"], body.get("spec") or {}
    return (
        {key: value for key, value in meta.items() if key not in METADATA},
        {key: value for key, value in spec.items() if key not in SPEC},
    )
