"""How long to wait before a failed request is tried again."""

from __future__ import annotations

FIRST_S = 0.1
LONGEST_S = 5.0


def delay_s(failures: int, jitter: float) -> float:
    """After so many failures in a row: 0.1, 0.2, 0.4 ... 5 s, each shortened by up to a half.

    jitter: a random number in [0, 1), a new one for each call; it keeps many agents from coming
    back at one instant.
    """
    longest_s = min(LONGEST_S, FIRST_S * 2.0 ** min(max(failures, 1) - 1, 16))
    return longest_s * (1.0 - 0.5 * jitter)
