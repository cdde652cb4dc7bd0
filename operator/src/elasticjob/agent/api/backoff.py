"""The delay before a failed request is sent again."""

from __future__ import annotations

FIRST_S = 0.1
LONGEST_S = 5.0


def delay_s(failures: int, jitter: float) -> float:
    """Return the delay after this many failures in a row: 0.1, 0.2, 0.4 ... 5 s, less jitter.

    jitter: a new random number in [0, 1), which shortens the delay by up to a half, so that many
    agents do not return at the same instant.
    """
    longest_s = min(LONGEST_S, FIRST_S * 2.0 ** min(max(failures, 1) - 1, 16))
    return longest_s * (1.0 - 0.5 * jitter)
