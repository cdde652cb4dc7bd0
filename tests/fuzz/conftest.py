"""The same examples in every run, few in `make check` and EXAMPLES=100 in `make test`;
FUZZ_EXAMPLES=10000 draws that many new ones.

Python 3.9, as `make fuzz` runs the tests of wire and agent on it.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

MORE = os.environ.get("FUZZ_EXAMPLES")

settings.register_profile(
    "fuzz",
    max_examples=int(MORE or os.environ.get("EXAMPLES") or 10),
    derandomize=MORE is None,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
settings.load_profile("fuzz")
