"""The progress of the training, which local rank 0 writes to ELASTICJOB_PROGRESS_FILE.

{"step": 120, "total": 400}
"""

from __future__ import annotations

import json
import os

from elasticjob.wire.codec import WireError
from elasticjob.wire.report import Progress

_LONGEST = 4096


class ProgressFile:
    """The progress file of one worker."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._last_stamp: tuple[int, int, int] | None = None

    def read_if_changed(self) -> Progress | None:
        """Read the file. None: it has not changed, or it is absent or incomplete."""
        try:
            found = os.stat(self._path)
            stamp = (found.st_mtime_ns, found.st_ino, found.st_size)
            if stamp == self._last_stamp:
                return None
            with open(self._path, "rb") as file:
                text = file.read(_LONGEST)
        except OSError:
            return None
        progress = parse(text)
        self._last_stamp = stamp if progress else None
        return progress


def parse(text: bytes) -> Progress | None:
    """Parse the content of the file. None: it is invalid."""
    try:
        return Progress.from_fields(json.loads(text), "progress")
    except (ValueError, WireError):
        return None
