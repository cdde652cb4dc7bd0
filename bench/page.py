"""docs/performance.md and its picture, made from the figures of one run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from bench.figure import Figure
from bench.plot import plot
from bench.results import Part, Results

FINDINGS = Path(__file__).with_name("findings.md")
PICTURE = "performance.svg"
RESULTS = "performance.json"
ROWS = {
    "1": "Worker killed -> all workers of the next round started",
    "2": "An agent or a pod is lost",
    "3": "Cold rendezvous",
    "4": "API requests, steady",
    "5": "Writes of one crash restart",
    "6": "CPU of API server and etcd",
    "7": "The operator with 1,000 jobs",
    "8": "The agent",
    "10": "API server and operator are away",
    "12": "Told to leave",
}
COMMAND = "make bench-cluster"
IMAGE = f"![restart against the number of agents]({PICTURE})"


def page(results: Results, planned: Sequence[str]) -> str:
    """The whole document. planned: the parts of a whole run. People write the findings only."""
    return "\n".join(
        [
            "# Figures on a real API server",
            "",
            f"Made by `{COMMAND}` from [{RESULTS}]({RESULTS}), which it writes; do not edit."
            " What is below *Findings* comes from `bench/findings.md`.",
            "",
            *origin(results),
            "* API server, etcd, all agents and all workers share these cores, on the loopback"
            " interface. etcd does not sync to disk (a disk adds its latency to every write).",
            "* Agents are the shipped zip, each in a PID namespace of its own; no kubelet. Workers"
            " are stubs: a line of bash that writes down the time of its exec.",
            "* Median [min-max] N. Floor: one PATCH, delivery to N watchers, N times kill and spawn"
            " of the same stub, and nothing else, in the same run.",
            "* Targets are the design's, for two cores.",
            "",
            *([IMAGE, ""] if drawn(results) else []),
            *sections(results.figures),
            "## Missed",
            "",
            *(list(missed(results)) or ["None."]),
            "",
            "## When",
            "",
            "| part | UTC | load average when it began, with what the part before left | |",
            "|---|---|---|---|",
            *when(results, planned),
            "",
            "## Findings",
            "",
            FINDINGS.read_text(),
        ]
    )


def origin(results: Results) -> Iterator[str]:
    """Where and when: each run that a row comes from, the newest first."""
    for run in results.runs:
        names = [name for name, part in results.parts.items() if part.run == run]
        parts = "every row" if len(names) == len(results.parts) else ", ".join(names)
        yield f"* Run of {run.began} UTC ({parts}): {run.machine}; {run.versions}"
    if any(map(results.earlier, results.parts.values())):
        yield "* **Several runs:** a row that is not of the newest one says so in its last column."


def missed(results: Results) -> Iterator[str]:
    """Each figure that did not reach its target."""
    for part in results.parts.values():
        earlier = f" ({results.earlier(part)})" if results.earlier(part) else ""
        for figure in part.figures:
            if figure.missed:
                what = f"{figure.label}: {figure.spread} {figure.unit}"
                yield f"* {what}, wanted {figure.verdict}{earlier}"


def when(results: Results, planned: Sequence[str]) -> Iterator[str]:
    """A line for each part: those that were measured, and those that a whole run has besides."""
    for name, part in results.parts.items():
        words = "; ".join(filter(None, (part.failed, results.earlier(part))))
        yield f"| {name} | {part.at} | {part.load} | {words} |"
    yield from (f"| {name} | not measured | | |" for name in planned if name not in results.parts)


def sections(figures: Sequence[Figure]) -> list[str]:
    """A table for each row of the design."""
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
    """One line of a table."""
    parts = (figure.label, figure.unit, figure.spread, figure.verdict, figure.ratio, figure.note)
    return "| " + " | ".join(parts) + " |"


def drawn(results: Results) -> list[Part]:
    """The parts of which the picture shows something: row 1 against the number of agents."""
    return [part for part in results.parts.values() if any(f.series for f in part.figures)]


def picture(results: Results) -> str:
    """Row 1, each series by its name."""
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


def write(results: Results, planned: Sequence[str], directory: Path) -> None:
    """Both files; no picture as long as there is nothing to draw."""
    (directory / "performance.md").write_text(page(results, planned))
    if drawn(results):
        (directory / PICTURE).write_text(picture(results))
    else:
        (directory / PICTURE).unlink(missing_ok=True)
