from __future__ import annotations

from pathlib import Path

from bench.figure import Figure
from bench.results import Part, Results, Run

FIGURE = Figure("8", "RSS", "MiB", (24.0,), note="an agent's")
FIRST = Run("2026-01-01 10:00", "2 cores", "v1")
SECOND = Run("2026-01-02 10:00", "4 cores", "v2")


def noted(file: Path, **runs: Run | None) -> Results:
    """A part of one figure for each run, read back from the file."""
    results = Results(file)
    for name, run in runs.items():
        results.note(name, Part("today", 0.1, (FIGURE,), run=run))
    return Results(file)


def test_what_is_noted_is_read_again(tmp_path: Path) -> None:
    results = noted(tmp_path / "found.json", size=FIRST)
    assert results.parts == {"size": Part("today", 0.1, (FIGURE,), run=FIRST)}


def test_of_one_run_nothing_is_marked(tmp_path: Path) -> None:
    results = noted(tmp_path / "found.json", one=FIRST, two=FIRST)
    assert (results.runs, results.figures) == ([FIRST], [FIGURE, FIGURE])


def test_what_is_of_an_earlier_run_says_so(tmp_path: Path) -> None:
    results = noted(tmp_path / "found.json", one=FIRST, two=SECOND, three=None)
    assert results.runs == [SECOND, FIRST]
    assert [figure.note for figure in results.figures] == [
        "an agent's; run of 2026-01-01 10:00",
        "an agent's",
        "an agent's; an earlier run",
    ]
