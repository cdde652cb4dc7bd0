"""One profile for all properties: a busy machine is no reason to fail.

The same examples in every run; PROPERTY_EXAMPLES=10000 draws that many new ones.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

MORE = os.environ.get("PROPERTY_EXAMPLES")

settings.register_profile(
    "house",
    max_examples=int(MORE or 100),
    derandomize=MORE is None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("house")
