"""A picture of medians and spreads against the number of agents, both axes logarithmic: an SVG."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench.figure import Figure, number

WIDTH, HEIGHT = 640, 380
LEFT, RIGHT, TOP, BOTTOM = 70, 150, 30, 50
INK = {"floor": "#999999", "target": "#c0392b", "ours": "#1f5fbf", "torchrun": "#b07d12"}


@dataclass(frozen=True)
class Axis:
    """A logarithmic scale from the lowest to the highest value onto pixels."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """Where a value is."""
        part = math.log(value / self.low) / math.log(self.high / self.low)
        return round(self.start + part * (self.end - self.start), 1)

    def decades(self) -> list[float]:
        """1, 10, 100 ... that are on it."""
        first, last = math.ceil(math.log10(self.low)), math.floor(math.log10(self.high))
        return [10.0**power for power in range(first, last + 1)]


def plot(title: str, series: dict[str, Sequence[Figure]]) -> str:
    """Each series by its name, which is also its colour's; figures in ms, with their sizes."""
    figures = [figure for found in series.values() for figure in found]
    sizes = sorted({figure.size for figure in figures})
    x = Axis(sizes[0] / 1.3, sizes[-1] * 1.3, LEFT, WIDTH - RIGHT)
    values = [value for figure in figures for value in figure.values]
    y = Axis(min(values) / 1.5, max(values) * 1.5, HEIGHT - BOTTOM, TOP)
    body = [*grid(x, y, sizes)]
    for name, found in series.items():
        body += curve(name, found, x, y)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}"'
    style = 'font-family="sans-serif" font-size="12"'
    back = f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>'
    caption = text(LEFT, 18, title)
    return "\n".join([f"{head} {style}>", back, caption, *body, "</svg>", ""])


def grid(x: Axis, y: Axis, sizes: list[int]) -> Iterator[str]:
    """Lines at the decades, and the sizes below."""
    for value in y.decades():
        at = y.at(value)
        yield f'<path d="M{x.start} {at}H{x.end}" stroke="#dddddd"/>'
        yield text(x.start - 8, at + 4, f"{number(value)} ms", "end")
    for size in sizes:
        yield text(x.at(size), y.start + 18, str(size), "middle")
    yield text((x.start + x.end) / 2, y.start + 38, "agents", "middle")


def curve(name: str, figures: Sequence[Figure], x: Axis, y: Axis) -> Iterator[str]:
    """Medians as a line with dots, the spread as a bar at each, the name at its end."""
    ink = INK[name]
    points = [(x.at(figure.size), y.at(figure.median)) for figure in figures]
    line = "L".join(f"{px} {py}" for px, py in points)
    dashes = ' stroke-dasharray="4 4"' if name in ("floor", "target") else ""
    yield f'<path d="M{line}" fill="none" stroke="{ink}" stroke-width="2"{dashes}/>'
    for (px, py), figure in zip(points, figures, strict=True):
        low, high = y.at(min(figure.values)), y.at(max(figure.values))
        yield f'<path d="M{px} {low}V{high}" stroke="{ink}"/>'
        yield f'<circle cx="{px}" cy="{py}" r="3" fill="{ink}"/>'
    px, py = points[-1]
    yield text(px + 10, py + 4, f"{name}, {number(figures[-1].median)} ms", ink=ink)


def text(x: float, y: float, words: str, anchor: str = "start", ink: str = "#333333") -> str:
    """A line of text."""
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}" fill="{ink}">{words}</text>'
