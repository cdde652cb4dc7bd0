"""One profile for all properties: a busy machine is no reason to fail.

The same examples in every run, few in `make check` and EXAMPLES=100 in `make test`;
PROPERTY_EXAMPLES=10000 draws that many new ones.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

MORE = os.environ.get("PROPERTY_EXAMPLES")

HOUSE = "house"

settings.register_profile(
    HOUSE,
    max_examples=int(MORE or os.environ.get("EXAMPLES") or 10),
    derandomize=MORE is None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile(HOUSE)
