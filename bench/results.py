"""The measured figures, kept by part in a file: one part can be measured again alone."""

from __future__ import annotations

import dataclasses
import json
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Figure:
    """A row of a table."""

    row: str
    """Its number in the table of targets in docs/design.md."""
    label: str
    unit: str
    values: tuple[float, ...]
    """In `unit`, one per sample."""
    target: float | None = None
    """The highest median that reaches the target; None: there is no target."""
    floor: float | None = None
    """The median of the minimal restart on this machine, for comparison."""
    series: str = ""
    """Rows of one series differ in `size` only; the picture shows each series as a line."""
    size: int = 0
    """The number of agents."""
    note: str = ""

    @property
    def median(self) -> float:
        """The median of the values."""
        return statistics.median(self.values)

    @property
    def missed(self) -> bool:
        """Whether the median is above the target."""
        return self.target is not None and self.median > self.target

    @property
    def spread(self) -> str:
        """The values as 'median [min-max] N=samples'."""
        return spread(self.values)

    @property
    def ratio(self) -> str:
        """The median divided by the floor."""
        return f"{self.median / self.floor:.1f}" if self.floor else ""

    @property
    def verdict(self) -> str:
        """The target, and whether it was reached."""
        if self.target is None:
            return ""
        return f"{number(self.target)}, {'missed' if self.missed else 'reached'}"

    @property
    def line(self) -> str:
        """The figure as a line on a terminal."""
        parts = [f"{self.row:<3} {self.label + ', ' + self.unit:<68} {self.spread:<30}"]
        if self.verdict:
            parts.append(f"target {self.verdict}")
        if self.ratio:
            parts.append(f"{self.ratio} x floor")
        if self.note:
            parts.append(f"({self.note})")
        return "  ".join(parts)


def spread(values: tuple[float, ...]) -> str:
    """The values as 'median [min-max] N=samples'."""
    median, low, high = map(number, (statistics.median(values), min(values), max(values)))
    return f"{median} [{low}-{high}] N={len(values)}" if len(values) > 1 else f"{median} N=1"


def number(value: float) -> str:
    """Format with three significant digits; without decimals from 100 on."""
    if value == 0 or abs(value) >= 100:
        return f"{value:.0f}"
    digits = 1 if abs(value) >= 10 else 2 if abs(value) >= 1 else 3
    return f"{value:.{digits}f}".rstrip("0").rstrip(".")


@dataclass(frozen=True)
class Run:
    """One call of the command."""

    began: str
    """UTC."""
    machine: str
    """Cores and memory."""
    versions: str
    """Names and versions of the measured programs."""


@dataclass(frozen=True)
class Part:
    """The figures of one part of a run."""

    at: str
    """When the part began, UTC."""
    load: float
    """The machine's load average at that time."""
    figures: tuple[Figure, ...]
    failed: str = ""
    """The error that ended the part early."""
    run: Run | None = None
    """None: from a run that did not record itself."""


class Results:
    """The parts by name, in the order of their first measurement."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.parts: dict[str, Part] = {}
        if file.exists():
            found = json.loads(file.read_text())
            self.parts = {name: parse_part(fields) for name, fields in found.items()}

    @property
    def figures(self) -> list[Figure]:
        """The figures of all parts; the note of one from an earlier run names that run."""
        return [
            dataclasses.replace(figure, note="; ".join(filter(None, (figure.note, earlier))))
            for part in self.parts.values()
            for earlier in [self.earlier(part)]
            for figure in part.figures
        ]

    @property
    def runs(self) -> list[Run]:
        """The runs of all parts, the newest first."""
        found = {part.run for part in self.parts.values() if part.run is not None}
        return sorted(found, key=lambda run: run.began, reverse=True)

    def earlier(self, part: Part) -> str:
        """The name of the part's run; empty if it is the newest run."""
        newest = self.runs[:1]
        if [part.run] == newest or not newest:
            return ""
        return f"run of {part.run.began}" if part.run else "an earlier run"

    def add(self, name: str, part: Part) -> None:
        """Keep a part and write the file: the next part may take minutes."""
        self.parts[name] = part
        fields = {name: dataclasses.asdict(part) for name, part in self.parts.items()}
        self._file.write_text(json.dumps(fields, indent=1) + "\n")


def parse_part(fields: dict[str, Any]) -> Part:
    """The inverse of dataclasses.asdict."""
    figures = tuple(Figure(**{**f, "values": tuple(f["values"])}) for f in fields["figures"])
    run = Run(**fields["run"]) if fields.get("run") else None
    return Part(**{**fields, "figures": figures, "run": run})
