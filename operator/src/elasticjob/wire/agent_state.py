"""The state that an agent reports: the annotation `agent` of its Lease."""

from __future__ import annotations

from enum import Enum
from typing import Any

from elasticjob.wire.address import address
from elasticjob.wire.cause import Cause
from elasticjob.wire.codec import WireError, dump, flag, load, name, number, short_repr, text
from elasticjob.wire.dataclasses import dataclass
from elasticjob.wire.member import DEFAULT_ROLE, is_role
from elasticjob.wire.report import Progress
from elasticjob.wire.round import DEFAULT_PORT_BASE


class AgentPhase(Enum):
    """The phase of an agent in round n, the last round that it ran or stood outside of."""

    READY = "ready"  # no worker runs: the pod is outside of round n
    RUNNING = "running"  # the workers of round n have started
    FAILED = "failed"  # a worker of round n failed, and the budget is spent
    DONE = "done"  # all workers of round n exited with code 0


@dataclass(frozen=True)
class AgentState:
    """The phase of an agent, and what other agents and the operator need to know of its pod."""

    phase: AgentPhase
    n: int
    leaving: bool = False  # the agent received a termination signal
    pod_uid: str = ""
    node: str = ""
    address: str = ""
    port_base: int = DEFAULT_PORT_BASE
    workers: int = 1
    role: str = DEFAULT_ROLE
    cause: Cause | None = None  # the last failure in this pod
    start_ms: int | None = None  # from the delivery of round n to the exec of the last worker
    stop_ms: int | None = None  # from the delivery of round n until the older workers had ended
    progress: Progress | None = None
    trained: bool = False  # a worker of this agent has reported progress, in any round

    def to_json(self) -> str:
        """Encode the annotation."""
        return dump(
            {
                "state": self.phase.value,
                "n": self.n,
                "leaving": self.leaving,
                "podUid": self.pod_uid,
                "node": self.node,
                "address": self.address,
                "portBase": self.port_base,
                "workers": self.workers,
                "role": "" if self.role == DEFAULT_ROLE else self.role,
                "cause": self.cause.to_fields() if self.cause else None,
                "startMs": self.start_ms,
                "stopMs": self.stop_ms,
                "progress": self.progress.to_fields() if self.progress else None,
                "trained": self.trained,
            }
        )

    @classmethod
    def from_json(cls, annotation: str) -> AgentState:
        """Decode the annotation. Raises WireError."""
        what = "agent"
        record = load(annotation, what)
        return cls(
            phase=_phase(text(record, "state", what)),
            n=number(record, "n", what),
            leaving=flag(record, "leaving", what),
            pod_uid=text(record, "podUid", what),
            node=name(record, "node", what),
            address=address(record, "address", what, default=""),
            port_base=number(record, "portBase", what, DEFAULT_PORT_BASE),
            workers=number(record, "workers", what, 1),
            role=_role(text(record, "role", what) or DEFAULT_ROLE),
            cause=Cause.from_fields(record.get("cause"), what),
            start_ms=_optional(record, "startMs", what),
            stop_ms=_optional(record, "stopMs", what),
            progress=Progress.from_fields(record.get("progress"), what),
            trained=flag(record, "trained", what),
        )


def _phase(value: str) -> AgentPhase:
    try:
        return AgentPhase(value)
    except ValueError:
        raise WireError(
            f"agent.state is {short_repr(value)}, which this release does not support"
        ) from None


def _role(value: str) -> str:
    if not is_role(value):
        raise WireError(f"agent.role is {short_repr(value)}, not a plain word")
    return value


def _optional(record: dict[str, Any], key: str, what: str) -> int | None:
    return number(record, key, what) if key in record else None
