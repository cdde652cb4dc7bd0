"""T, the time between an agent's renewals, by the number of agents that run in each namespace.

All agents together write about `writes_per_s` Leases a second. Namespaces share these writes: a
namespace gets what its agents write at the shortest T, if that is at most an equal share, and the
others divide what is left equally. So a large namespace lengthens its own T first, and no
number of agents elsewhere takes a namespace below an equal share (ADR 21).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

SHORTEST_S = 5
LONGEST_S = 60
STEP_S = 5


def needed_s(namespace: str, agents: Mapping[str, int], writes_per_s: float) -> float:
    """The T of a namespace: 5 s, 10 s ... agents: the agents that run, by namespace."""
    own = agents.get(namespace, 0)
    capacity = writes_per_s * SHORTEST_S  # agents that can write at the shortest T
    if sum(agents.values()) <= capacity:
        return float(SHORTEST_S)
    left, sharers = _largest_share(agents.values(), capacity)
    steps = math.ceil(own * sharers * SHORTEST_S / (left * STEP_S))
    return float(min(max(steps * STEP_S, SHORTEST_S), LONGEST_S))


def kept_s(held_s: float, needed_s_: float) -> float:
    """The held T while it is at most twice the needed one, as a change costs a write per job."""
    return held_s if needed_s_ <= held_s <= 2 * needed_s_ else needed_s_


def _largest_share(agents: Iterable[int], capacity: float) -> tuple[float, int]:
    """What is left of the capacity for the namespaces that need more than an equal share, and their
    number. Together the namespaces need more than the capacity."""
    counts = sorted(agents)
    for served, count in enumerate(counts):
        sharers = len(counts) - served
        if count * sharers > capacity:
            return capacity, sharers
        capacity -= count
    raise AssertionError("the namespaces need no more than the capacity")
