"""One measured row: what it is, the values, what the design wants, and what it is compared with."""

from __future__ import annotations

import statistics
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """A row of the table.

    row: its number in the design's table. values: in `unit`, one per sample. target: the median may
    not be above it; None: the design names none. floor: the median of what the machine needs for
    the same with nothing else done. series: rows of one series differ in `size` only.
    """

    row: str
    label: str
    unit: str
    values: tuple[float, ...]
    target: float | None = None
    floor: float | None = None
    series: str = ""
    size: int = 0
    note: str = ""

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def missed(self) -> bool:
        """Whether the median is above the target."""
        return self.target is not None and self.median > self.target

    @property
    def spread(self) -> str:
        """Median [min-max] N=."""
        low, high = number(min(self.values)), number(max(self.values))
        if len(self.values) == 1:
            return f"{number(self.median)} N=1"
        return f"{number(self.median)} [{low}-{high}] N={len(self.values)}"

    @property
    def ratio(self) -> str:
        """How many times the floor."""
        return f"{self.median / self.floor:.1f}" if self.floor else ""

    @property
    def verdict(self) -> str:
        """What the target is, and whether it was reached."""
        if self.target is None:
            return ""
        return f"{number(self.target)}, {'missed' if self.missed else 'reached'}"

    @property
    def line(self) -> str:
        """For a terminal."""
        parts = [f"{self.row:<3} {self.label + ', ' + self.unit:<68} {self.spread:<30}"]
        if self.verdict:
            parts.append(f"target {self.verdict}")
        if self.ratio:
            parts.append(f"{self.ratio} x floor")
        if self.note:
            parts.append(f"({self.note})")
        return "  ".join(parts)


def number(value: float) -> str:
    """Three significant digits; whole from 100 on."""
    if value == 0 or abs(value) >= 100:
        return f"{value:.0f}"
    digits = 1 if abs(value) >= 10 else 2 if abs(value) >= 1 else 3
    return f"{value:.{digits}f}".rstrip("0").rstrip(".")
