"""T, the time between an agent's renewals, by the number of agents in the cluster."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

SHORTEST_S = 5
LONGEST_S = 60
STEP_S = 5

Json = dict[str, Any]


def needed_s(agents: int, writes_per_s: float) -> float:
    """So that all agents together write about so many Leases a second; a multiple of five."""
    steps = math.ceil(agents / writes_per_s / STEP_S)
    return float(min(max(steps * STEP_S, SHORTEST_S), LONGEST_S))


def kept_s(held_s: float, needed_s_: float) -> float:
    """The present T while it is right within a factor of two: a change is a write for each job."""
    return held_s if needed_s_ <= held_s <= 2 * needed_s_ else needed_s_


def agents(jobs: Iterable[Json]) -> int:
    """How many agents these jobs want, whether they run by now or not."""
    return sum(_replicas(job) for job in jobs)


def _replicas(job: Json) -> int:
    spec, status = job.get("spec") or {}, job.get("status") or {}
    replicas = spec.get("replicas", 1)
    if spec.get("suspend") or status.get("completionTime") or not isinstance(replicas, int):
        return 0
    return replicas
