"""What was measured, by part, in a file: a part can be measured again without the others."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.figure import Figure


@dataclass(frozen=True)
class Run:
    """One call of the command: when it began (UTC), cores and memory, names and versions."""

    began: str
    machine: str
    versions: str


@dataclass(frozen=True)
class Part:
    """One part. load: the machine's load average when it began. failed: why it ended early.

    run: which measured it; None: one that did not write down what it was.
    """

    at: str
    load: float
    figures: tuple[Figure, ...]
    failed: str = ""
    run: Run | None = None


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
        """Of all parts; one that is not of the newest run says so in its note."""
        return [
            dataclasses.replace(figure, note="; ".join(filter(None, (figure.note, earlier))))
            for found in self.parts.values()
            for earlier in [self.earlier(found)]
            for figure in found.figures
        ]

    @property
    def runs(self) -> list[Run]:
        """Those that some part comes from, the newest first."""
        found = {part.run for part in self.parts.values() if part.run is not None}
        return sorted(found, key=lambda run: run.began, reverse=True)

    def earlier(self, part: Part) -> str:
        """Says that a part is not of the newest run; empty if it is."""
        newest = self.runs[:1]
        if [part.run] == newest or not newest:
            return ""
        return f"run of {part.run.began}" if part.run else "an earlier run"

    def note(self, name: str, found: Part) -> None:
        """Keeps a part, at once: the next one may take minutes."""
        self.parts[name] = found
        fields = {name: dataclasses.asdict(part) for name, part in self.parts.items()}
        self._file.write_text(json.dumps(fields, indent=1) + "\n")


def part(fields: dict[str, Any]) -> Part:
    """The inverse of dataclasses.asdict."""
    figures = tuple(Figure(**{**f, "values": tuple(f["values"])}) for f in fields["figures"])
    run = Run(**fields["run"]) if fields.get("run") else None
    return Part(**{**fields, "figures": figures, "run": run})
