"""The pause before a failed request is sent again."""

from __future__ import annotations

import math

from elasticjob.agent.api.conversation import Pause

FIRST_S = 0.1
LONGEST_S = 5.0


def pause(failures: int, at_least_s: float = 0.0, at_most_s: float = math.inf) -> Pause:
    """Return the pause after this many failures in a row: 0.1, 0.2, 0.4 ... 5 s, or up to half of
    it less."""
    longest_s = min(LONGEST_S, FIRST_S * 2.0 ** min(max(failures, 1) - 1, 16))
    shortest_s = min(max(longest_s / 2, at_least_s), at_most_s)
    return Pause(shortest_s, min(max(longest_s, at_least_s), at_most_s))
