"""The faults of the proxy, chosen at random from a seed: by connection and by request.

The proxy asks for the mood of each connection, and the mood for the fault of each request and the
fate of each watch. The same seed gives the n-th connection the same choices; which agent opens the
n-th connection differs from run to run.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TypeVar

Kind = TypeVar("Kind")


class Fault(Enum):
    """What happens to a request."""

    NONE = "none"
    DELAY = "delay"
    CUT_BEFORE = "cut before the API server received the request"
    CUT_AFTER = "answer lost: cut after the API server answered"
    HALF_OPEN = "half-open: nothing arrives any more, and no FIN"
    HALF_OPEN_AFTER = "half-open after the API server answered"
    CONFLICT = "409"
    EXPIRED = "410"
    THROTTLED = "429 with Retry-After"
    SERVER_ERROR = "500, 502, 503 or 504"
    ERROR_AFTER = "504 after the API server applied the request"
    TOO_LARGE = "504 too large resource version"


class Fate(Enum):
    """What happens to an open watch after a number of pieces."""

    NONE = "watch: none"
    CUT = "watch: cut, also within an event"
    HALF_OPEN = "watch: half-open"
    SLOW = "watch: each piece is delayed"
    EXPIRED = "watch: ERROR event 410"
    TOO_LARGE = "watch: ERROR event 504 too large resource version"


WRITES: Mapping[Fault, int] = {
    Fault.DELAY: 30, Fault.CUT_BEFORE: 8, Fault.CUT_AFTER: 12, Fault.HALF_OPEN: 3,
    Fault.HALF_OPEN_AFTER: 3, Fault.CONFLICT: 8, Fault.THROTTLED: 4, Fault.SERVER_ERROR: 8,
    Fault.ERROR_AFTER: 8,
}  # fmt: skip
READS: Mapping[Fault, int] = {
    Fault.DELAY: 30, Fault.CUT_BEFORE: 8, Fault.CUT_AFTER: 4, Fault.HALF_OPEN: 3,
    Fault.EXPIRED: 8, Fault.THROTTLED: 4, Fault.SERVER_ERROR: 8, Fault.TOO_LARGE: 8,
}  # fmt: skip
FATES: Mapping[Fate, int] = {
    Fate.CUT: 8, Fate.HALF_OPEN: 3, Fate.SLOW: 5, Fate.EXPIRED: 4, Fate.TOO_LARGE: 2,
}  # fmt: skip
BAD_CONNECTIONS = 0.7
BAD_WRITES = 0.25  # of a bad connection
BAD_READS = 0.5  # most are watches, each on a new connection
BAD_WATCHES = 0.7
LAGGING = 0.35  # of the connections reach the API server that lags
DELAY_S = 0.15  # on average
LONGEST_DELAY_S = 1.5
PIECES = 12  # of a watch before its fate, on average


@dataclass
class Mood:
    """What one connection does to its requests."""

    rng: random.Random
    is_bad: bool
    lags: bool
    """Whether it reaches the API server that lags, if there is one."""

    def fault(self, method: str) -> Fault:
        """The fault of the next request."""
        share, weights = (BAD_READS, READS) if method == "GET" else (BAD_WRITES, WRITES)
        is_hit = self.is_bad and self.rng.random() < share
        return _pick(self.rng, weights) if is_hit else Fault.NONE

    def fate(self) -> tuple[Fate, int]:
        """The fate of a watch, and the number of pieces before it."""
        if not self.is_bad or self.rng.random() >= BAD_WATCHES:
            return Fate.NONE, 0
        return _pick(self.rng, FATES), int(self.rng.expovariate(1 / PIECES))

    def delay_s(self) -> float:
        """A delay: most are short, and a few are longer than the time of a request."""
        return min(self.rng.expovariate(1 / DELAY_S), LONGEST_DELAY_S)

    def error(self) -> int:
        """The code of an error of the server."""
        return self.rng.choice([500, 502, 503, 504])


def mood(seed: int, connection: int) -> Mood:
    """The mood of a connection by its number."""
    rng = random.Random(f"{seed}/{connection}")
    is_bad, lags = rng.random() < BAD_CONNECTIONS, rng.random() < LAGGING
    return Mood(rng, is_bad, lags)


def _pick(rng: random.Random, weights: Mapping[Kind, int]) -> Kind:
    return rng.choices(list(weights), list(weights.values()))[0]
