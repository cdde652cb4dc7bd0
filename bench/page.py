"""docs/performance.md and its picture: the part of the page between two marks is generated."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.results import Figure, Part, Results, number

PAGE = "performance.md"
PICTURE = "performance.svg"
RESULTS = "performance.json"
BEGIN = "<!-- figures: written by `make bench-cluster`, do not edit -->\n"
END = "<!-- figures end -->\n"
ROWS = {
    "1": "Worker killed -> all workers of the next round started",
    "2": "An agent or a pod is lost",
    "3": "Cold rendezvous",
    "4": "API requests, steady",
    "5": "Writes of one crash restart",
    "6": "CPU of API server and etcd",
    "7": "The operator with 1,000 jobs",
    "8": "The agent",
    "10": "Outage of API server and operator",
    "12": "An agent leaves",
}
WIDTH, HEIGHT = 640, 380
LEFT, RIGHT, TOP, BOTTOM = 70, 150, 30, 50
INK = {"floor": "#999999", "target": "#c0392b", "ours": "#1f5fbf", "torchrun": "#b07d12"}
IMAGE = f"![restart against the number of agents]({PICTURE})"


def write(results: Results, planned: Sequence[str], directory: Path) -> None:
    """Write page and picture; no picture while there is nothing to draw."""
    file = directory / PAGE
    before, _, rest = file.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    file.write_text(f"{before}{BEGIN}{generated(results, planned)}{END}{after}")
    if drawn(results):
        (directory / PICTURE).write_text(picture(results))
    else:
        (directory / PICTURE).unlink(missing_ok=True)


def generated(results: Results, planned: Sequence[str]) -> str:
    """The generated lines. `planned`: the parts of a complete run."""
    return "\n".join(
        [
            *origin(results),
            "",
            *([IMAGE, ""] if drawn(results) else []),
            *tables(results.figures),
            "## Missed",
            "",
            *(list(missed(results)) or ["None."]),
            "",
            "## When",
            "",
            "| part | UTC | load average when it began, partly from the part before it | |",
            "|---|---|---|---|",
            *when(results, planned),
            "",
        ]
    )


def origin(results: Results) -> Iterator[str]:
    """Return a line for each run that a row comes from, the newest first."""
    for run in results.runs:
        names = [name for name, part in results.parts.items() if part.run == run]
        parts = "every row" if len(names) == len(results.parts) else ", ".join(names)
        yield f"* Run of {run.began} UTC ({parts}): {run.machine}; {run.versions}"
    if any(map(results.earlier, results.parts.values())):
        yield "* **Several runs:** the last column of a row names its run unless it is the newest."


def missed(results: Results) -> Iterator[str]:
    """Return a line for each figure that missed its target."""
    for part in results.parts.values():
        earlier = f" ({results.earlier(part)})" if results.earlier(part) else ""
        for figure in part.figures:
            if figure.missed:
                measured = f"{figure.label}: {figure.spread} {figure.unit}"
                yield f"* {measured}, target {figure.verdict}{earlier}"


def when(results: Results, planned: Sequence[str]) -> Iterator[str]:
    """Return a line for each measured part, and for each planned one that was not measured."""
    for name, part in results.parts.items():
        words = "; ".join(filter(None, (part.failed, results.earlier(part))))
        yield f"| {name} | {part.at} | {part.load} | {words} |"
    yield from (f"| {name} | not measured | | |" for name in planned if name not in results.parts)


def tables(figures: Sequence[Figure]) -> list[str]:
    """Return a table for each row of the targets."""
    lines = []
    for row, title in ROWS.items():
        of_row = [figure for figure in figures if figure.row == row]
        found = sorted(of_row, key=lambda figure: figure.size)
        if found:
            head = "| what | unit | measured | target | times the floor | |"
            lines += [f"## {row}. {title}", "", head, "|---|---|---|---|---|---|"]
            lines += [cells(figure) for figure in found]
            lines.append("")
    return lines


def cells(figure: Figure) -> str:
    """Return one line of a table."""
    parts = (figure.label, figure.unit, figure.spread, figure.verdict, figure.ratio, figure.note)
    return "| " + " | ".join(parts) + " |"


def drawn(results: Results) -> list[Part]:
    """The parts that the picture shows: row 1 against the number of agents."""
    return [part for part in results.parts.values() if any(f.series for f in part.figures)]


def picture(results: Results) -> str:
    """Draw row 1, each series by its name."""
    figures = sorted(results.figures, key=lambda figure: figure.size)
    series = {
        name: [figure for figure in figures if figure.series == name]
        for name in ("torchrun", "ours", "floor")
    }
    series["target"] = [
        replace(figure, values=(figure.target,)) for figure in series["ours"] if figure.target
    ]
    runs = {part.run for part in drawn(results)}
    title = ROWS["1"] + (", several runs" if len(runs) > 1 else "")
    return plot(title, {name: found for name, found in series.items() if found})


# ---- the picture: medians and spreads as SVG, both axes logarithmic ------------------------------


@dataclass(frozen=True)
class Axis:
    """A logarithmic scale from the lowest to the highest value onto pixels."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """The pixel of a value."""
        part = math.log(value / self.low) / math.log(self.high / self.low)
        return round(self.start + part * (self.end - self.start), 1)

    def decades(self) -> list[float]:
        """The values 1, 10, 100 ... on the axis."""
        first, last = math.ceil(math.log10(self.low)), math.floor(math.log10(self.high))
        return [10.0**power for power in range(first, last + 1)]


def plot(title: str, series: dict[str, Sequence[Figure]]) -> str:
    """Draw each series by its name, which selects its colour; figures are in ms."""
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
    """Draw lines at the decades, and the sizes below."""
    for value in y.decades():
        at = y.at(value)
        yield f'<path d="M{x.start} {at}H{x.end}" stroke="#dddddd"/>'
        yield text(x.start - 8, at + 4, f"{number(value)} ms", "end")
    for size in sizes:
        yield text(x.at(size), y.start + 18, str(size), "middle")
    yield text((x.start + x.end) / 2, y.start + 38, "agents", "middle")


def curve(name: str, figures: Sequence[Figure], x: Axis, y: Axis) -> Iterator[str]:
    """Draw medians as a line with dots, each spread as a bar, and the name at the end."""
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
    """Draw a line of text."""
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}" fill="{ink}">{words}</text>'
