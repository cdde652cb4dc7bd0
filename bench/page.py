"""docs/performance.md and its picture, made from the figures of one run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.figure import Figure
from bench.plot import plot
from bench.results import Results

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
    "12": "Told to leave",
}


@dataclass(frozen=True)
class Run:
    """Where. machine: cores and memory. versions: names and versions."""

    machine: str
    versions: str
    command: str


def page(results: Results, run: Run) -> str:
    """The whole document. The findings are written by people, the rest is not."""
    missed = [
        f"* {figure.label}: {figure.spread} {figure.unit}, wanted {figure.verdict}"
        for figure in results.figures
        if figure.missed
    ]
    parts = results.parts.items()
    return "\n".join(
        [
            "# Figures on a real API server",
            "",
            f"Made by `{run.command}` from [{RESULTS}]({RESULTS}), which it writes; do not edit."
            " What is below *Findings* comes from `bench/findings.md`.",
            "",
            f"* {run.machine}",
            f"* {run.versions}",
            "* API server, etcd, all agents and all workers share these cores, on the loopback"
            " interface. etcd does not sync to disk (a disk adds its latency to every write).",
            "* Agents are the shipped zip, each in a PID namespace of its own; no kubelet. Workers"
            " are stubs: a line of bash that writes down the time of its exec.",
            "* Median [min-max] N. Floor: one PATCH, delivery to N watchers, N times kill and spawn"
            " of the same stub, and nothing else, in the same run.",
            "* Targets are the design's, for two cores.",
            "",
            f"![restart against the number of agents]({PICTURE})",
            "",
            *sections(results.figures),
            "## Missed",
            "",
            *(missed or ["None."]),
            "",
            "## When",
            "",
            "| part | UTC | load average when it began, with what the part before left | |",
            "|---|---|---|---|",
            *(f"| {name} | {p.at} | {p.load} | {p.failed} |" for name, p in parts),
            "",
            "## Findings",
            "",
            FINDINGS.read_text(),
        ]
    )


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


def picture(figures: Sequence[Figure]) -> str:
    """Row 1 against the number of agents."""
    series = {
        name: sorted(
            (figure for figure in figures if figure.row == "1" and figure.series == name),
            key=lambda figure: figure.size,
        )
        for name in ("torchrun", "ours", "floor")
    }
    series["target"] = [
        replace(figure, values=(figure.target,)) for figure in series["ours"] if figure.target
    ]
    return plot(ROWS["1"], {name: found for name, found in series.items() if found})


def write(results: Results, run: Run, directory: Path) -> None:
    """Both files."""
    (directory / "performance.md").write_text(page(results, run))
    if any(figure.series for figure in results.figures):
        (directory / PICTURE).write_text(picture(results.figures))
