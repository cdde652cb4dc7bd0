from __future__ import annotations

from pathlib import Path

import pytest
from bench.results import Figure, Part, Results, Run, number

FIGURE = Figure("8", "RSS", "MiB", (24.0,), note="an agent's")
FIRST = Run("2026-01-01 10:00", "2 cores", "v1")
SECOND = Run("2026-01-02 10:00", "4 cores", "v2")


def saved(file: Path, **runs: Run | None) -> Results:
    """A part of one figure for each run, read back from the file."""
    results = Results(file)
    for name, run in runs.items():
        results.add(name, Part("today", 0.1, (FIGURE,), run=run))
    return Results(file)


def test_saved_parts_are_read_again(tmp_path: Path) -> None:
    results = saved(tmp_path / "found.json", size=FIRST)
    assert results.parts == {"size": Part("today", 0.1, (FIGURE,), run=FIRST)}


def test_figures_of_one_run_have_no_mark(tmp_path: Path) -> None:
    results = saved(tmp_path / "found.json", one=FIRST, two=FIRST)
    assert (results.runs, results.figures) == ([FIRST], [FIGURE, FIGURE])


def test_the_note_of_an_earlier_run_names_that_run(tmp_path: Path) -> None:
    results = saved(tmp_path / "found.json", one=FIRST, two=SECOND, three=None)
    assert results.runs == [SECOND, FIRST]
    assert [figure.note for figure in results.figures] == [
        "an agent's; run of 2026-01-01 10:00",
        "an agent's",
        "an agent's; an earlier run",
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.0123, "0.012"), (1.5, "1.5"), (2.0, "2"), (41.26, "41.3"), (178.4, "178")],
)
def test_numbers_are_short(value: float, text: str) -> None:
    assert number(value) == text


def test_a_figure_gives_its_spread_its_verdict_and_its_ratio_to_the_floor() -> None:
    figure = Figure("1", "restart", "ms", (40.0, 60.0, 90.0), target=50.0, floor=20.0)
    assert (figure.spread, figure.verdict, figure.ratio) == ("60 [40-90] N=3", "50, missed", "3.0")


def test_one_value_has_no_spread_and_no_target_no_verdict() -> None:
    figure = Figure("6", "cpu", "cores", (0.25,))
    assert (figure.spread, figure.verdict, figure.ratio) == ("0.25 N=1", "", "")
