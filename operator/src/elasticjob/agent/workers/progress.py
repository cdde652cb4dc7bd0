"""How far the training is, as the worker of local rank 0 writes it to ELASTICJOB_PROGRESS_FILE.

{"step": 120, "total": 400}
"""

from __future__ import annotations

import json
import os

from elasticjob.wire.codec import WireError
from elasticjob.wire.report import Progress

_LONGEST = 4096


class ProgressFile:
    """Read at each beat, and only if it has changed."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None

    def read_if_changed(self) -> Progress | None:
        """What the file says, if that is new. A file that is just being written says nothing."""
        try:
            found = os.stat(self._path)
            stamp = (found.st_mtime_ns, found.st_ino, found.st_size)
            if stamp == self._seen:
                return None
            with open(self._path, "rb") as file:
                text = file.read(_LONGEST)
        except OSError:
            return None
        progress = parse(text)
        self._seen = stamp if progress else None
        return progress


def parse(text: bytes) -> Progress | None:
    """The file's content, or None if it cannot be read."""
    try:
        return Progress.from_fields(json.loads(text), "progress")
    except (ValueError, WireError):
        return None
