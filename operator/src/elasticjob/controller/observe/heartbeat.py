"""T, the time between an agent's renewals, by the number of agents in the cluster."""

from __future__ import annotations

import math
from collections.abc import Iterable

from elasticjob.wire.codec import Json

SHORTEST_S = 5
LONGEST_S = 60
STEP_S = 5


def needed_s(agents: int, writes_per_s: float) -> float:
    """The T with which all agents together write about this many Leases a second: 5 s, 10 s ..."""
    steps = math.ceil(agents / writes_per_s / STEP_S)
    return float(min(max(steps * STEP_S, SHORTEST_S), LONGEST_S))


def kept_s(held_s: float, needed_s_: float) -> float:
    """The held T while it is at most twice the needed one, as a change costs a write per job."""
    return held_s if needed_s_ <= held_s <= 2 * needed_s_ else needed_s_


def agents(jobs: Iterable[Json]) -> int:
    """The number of agents that these jobs want, running or not."""
    return sum(_replicas(job) for job in jobs)


def _replicas(job: Json) -> int:
    spec, status = job.get("spec") or {}, job.get("status") or {}
    replicas = spec.get("replicas", 1)
    if spec.get("suspend") or status.get("completionTime") or not isinstance(replicas, int):
        return 0
    return replicas
