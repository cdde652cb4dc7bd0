"""Where the paths of a container are on this machine.

Nothing is mounted: a process of a pod sees the host's file system. So a path that begins with a
mountPath is replaced by the volume's directory before the process starts.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class PathMap:
    """Pairs of a path in the container and the real one, longest first."""

    pairs: tuple[tuple[str, Path], ...]

    @classmethod
    def of(cls, pairs: Iterable[tuple[str, Path]]) -> PathMap:
        """From mounts in any order; a trailing slash means nothing."""
        trimmed = [(path.rstrip("/") or "/", real) for path, real in pairs]
        return cls(tuple(sorted(trimmed, key=lambda pair: -len(pair[0]))))

    def real(self, text: str) -> str:
        """`text` with a leading mountPath replaced; whole components only, the longest match wins.

        Only at the beginning: `--out=/data/x` and `/a:/data` stay as they are.
        """
        for path, real in self.pairs:
            if text == path:
                return str(real)
            if text.startswith(path.rstrip("/") + "/"):
                return f"{real}/{text[len(path) :].lstrip('/')}"
        return text
