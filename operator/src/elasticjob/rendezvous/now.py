"""The time of one step or plan, and the instant at which the next one is due."""

from __future__ import annotations

import math


class Now:
    """The time of one pass of the rules or policies, which records what they wait for.

    A rule compares a time with the current one by has_come alone. So what a rule returns cannot
    change before again_at, unless the facts change: no rule can forget its timer. The same holds
    for the operator's policies.
    """

    __slots__ = ("again_at", "at")

    def __init__(self, at: float) -> None:
        self.at = at
        self.again_at = math.inf  # the earliest instant for which has_come was false

    def has_come(self, instant: float) -> bool:
        """Whether this instant has come. If not, the next step or plan is due when it comes."""
        if instant <= self.at:
            return True
        self.again_at = min(self.again_at, instant)
        return False
