"""The state that the operator wants of a job: the annotation `desired` of the Round Lease."""

from __future__ import annotations

from typing import Any

from elasticjob.wire import codec
from elasticjob.wire.dataclasses import dataclass
from elasticjob.wire.member import Pod, dump_pods, load_pods

_DURATIONS = {
    "heartbeat_s": "heartbeatSeconds",
    "stop_grace_s": "stopGraceSeconds",
    "crash_grace_s": "crashGraceSeconds",
    "last_call_s": "lastCallSeconds",
    "startup_last_call_s": "startupLastCallSeconds",
    "cooldown_s": "cooldownSeconds",
    "reset_after_s": "resetAfterSeconds",
    "api_grace_s": "apiGraceSeconds",
}


@dataclass(frozen=True)
class Desired:
    """The desired state, which the operator writes and every agent reads."""

    # Each wanted index with its lowest wanted generation. A member of a lower generation is
    # superfluous: so the operator replaces a pod without a charge.
    wanted: tuple[Pod, ...]
    min_members: int = 1  # workers run while the round has this many members
    max_restarts: int = 10  # the charges that the job survives
    max_start_restarts: int | None = None  # the crashes before it has trained; None: no limit
    heartbeat_s: float = 5.0
    stop_grace_s: float = 25.0
    crash_grace_s: float = 3.0
    last_call_s: float = 30.0
    startup_last_call_s: float = 300.0
    cooldown_s: float = 60.0
    reset_after_s: float = 3600.0
    api_grace_s: float = 1800.0
    charged: frozenset[int] = frozenset()  # rounds that the operator charges
    pardoned: frozenset[int] = frozenset()  # charged rounds that do not count

    def is_wanted(self, pod: Pod) -> bool:
        """Whether this index is wanted, and its lowest generation is at most the pod's."""
        return any(w.index == pod.index and w.generation <= pod.generation for w in self.wanted)

    def to_json(self) -> str:
        """Encode the annotation."""
        fields: dict[str, Any] = {
            "wanted": dump_pods(self.wanted),
            "min": self.min_members,
            "maxRestarts": self.max_restarts,
            "maxStartRestarts": self.max_start_restarts,
        }
        for name, key in _DURATIONS.items():
            fields[key] = codec.compact(getattr(self, name))
        fields["charged"] = codec.dump_numbers(self.charged)
        fields["pardoned"] = codec.dump_numbers(self.pardoned)
        return codec.dump(fields)

    @classmethod
    def from_json(cls, annotation: str) -> Desired:
        """Decode the annotation. Raises WireError."""
        what = "desired"
        record = codec.load(annotation, what)
        durations = {
            name: codec.seconds(record, key, what, getattr(cls, name))
            for name, key in _DURATIONS.items()
        }
        return cls(
            wanted=load_pods(codec.text(record, "wanted", what), f"{what}.wanted"),
            min_members=codec.number(record, "min", what, cls.min_members),
            max_restarts=codec.number(record, "maxRestarts", what, cls.max_restarts),
            max_start_restarts=_limit(record, what),
            charged=codec.load_numbers(codec.text(record, "charged", what), f"{what}.charged"),
            pardoned=codec.load_numbers(codec.text(record, "pardoned", what), f"{what}.pardoned"),
            **durations,
        )


def _limit(record: dict[str, Any], what: str) -> int | None:
    found = record.get("maxStartRestarts")
    return None if found is None else codec.number(record, "maxStartRestarts", what)
