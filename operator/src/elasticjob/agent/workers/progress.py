"""The progress of the training, which local rank 0 writes to ELASTICJOB_PROGRESS_FILE.

{"step": 120, "total": 400}
"""

from __future__ import annotations

from elasticjob import files
from elasticjob.wire.report import Progress
from elasticjob.wire.untrusted import WireError, decode

_LONGEST = 4096


class ProgressFile:
    """The progress file of one worker."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._last_stamp: tuple[int, int, int] | None = None

    def read_if_changed(self) -> Progress | None:
        """Read the file. None: it has not changed, or it is absent or incomplete."""
        found = files.read(self._path, _LONGEST)
        if found is None or found.stamp == self._last_stamp:
            return None
        progress = parse(found.data)
        self._last_stamp = found.stamp if progress else None
        return progress


def parse(text: bytes) -> Progress | None:
    """Parse the content of the file. None: it is invalid."""
    try:
        return Progress.from_fields(decode(text, "progress"), "progress")
    except WireError:
        return None
