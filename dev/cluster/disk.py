"""A check of free disk space before a large operation."""

from __future__ import annotations

import shutil
from pathlib import Path

from dev.cluster.errors import ClusterError


def need_disk(path: Path, gigabytes: float, what: str) -> None:
    """Raise ClusterError if an operation would fill the disk."""
    there = next(p for p in (path, *path.parents) if p.exists())
    free = shutil.disk_usage(there).free / 1e9
    if free < gigabytes:
        raise ClusterError(
            f"{what} needs {gigabytes:.1f} GB in {path}, and {free:.1f} GB are free."
            " Cure: make room, or XDG_CACHE_HOME=/a/larger/disk"
        )
