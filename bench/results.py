"""What was measured, by part, in a file: a part can be measured again without the others."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.figure import Figure


@dataclass(frozen=True)
class Part:
    """One part. load: the machine's load average when it began. failed: why it ended early."""

    at: str
    load: float
    figures: tuple[Figure, ...]
    failed: str = ""


class Results:
    """The parts by name, in the order of their first measurement."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.parts: dict[str, Part] = {}
        if file.exists():
            self.parts = {
                name: part(fields) for name, fields in json.loads(file.read_text()).items()
            }

    @property
    def figures(self) -> list[Figure]:
        """Of all parts."""
        return [figure for found in self.parts.values() for figure in found.figures]

    def note(self, name: str, found: Part) -> None:
        """Keeps a part, at once: the next one may take minutes."""
        self.parts[name] = found
        fields = {name: dataclasses.asdict(part) for name, part in self.parts.items()}
        self._file.write_text(json.dumps(fields, indent=1) + "\n")


def part(fields: dict[str, Any]) -> Part:
    """The inverse of dataclasses.asdict."""
    figures = tuple(Figure(**{**f, "values": tuple(f["values"])}) for f in fields["figures"])
    return Part(**{**fields, "figures": figures})
