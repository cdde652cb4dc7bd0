"""The real paths on this machine of paths in a container.

Volumes are not mounted: processes of a pod use the file system of the host. A path that begins with
a mountPath is replaced by the directory of the volume before the process starts.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class PathMap:
    """The map from paths in a container to real paths."""

    pairs: tuple[tuple[str, Path], ...]  # the longest path in the container first

    @classmethod
    def of(cls, pairs: Iterable[tuple[str, Path]]) -> PathMap:
        """The map of mounts in any order; trailing slashes are ignored."""
        trimmed = [(path.rstrip("/") or "/", real) for path, real in pairs]
        return cls(tuple(sorted(trimmed, key=lambda pair: -len(pair[0]))))

    def real(self, text: str) -> str:
        """Replace a leading mountPath in `text`: whole components only, the longest match wins.

        Other positions are not replaced: `--out=/data/x` and `/a:/data` stay unchanged.
        """
        for path, real in self.pairs:
            if text == path:
                return str(real)
            if text.startswith(path.rstrip("/") + "/"):
                return f"{real}/{text[len(path) :].lstrip('/')}"
        return text
