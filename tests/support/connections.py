"""Connections that kopf leaves behind."""

from __future__ import annotations

import gc
import warnings


def forget_connections() -> None:
    """kopf leaves those of its watches open when it ends; else a later test would be blamed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
