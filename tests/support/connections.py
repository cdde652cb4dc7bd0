"""Close the connections that kopf leaves open, so that no later test reports them."""

from __future__ import annotations

import gc
import warnings


def forget_connections() -> None:
    """Collect the garbage of kopf's watches now, without their ResourceWarnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
