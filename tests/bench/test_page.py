from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from bench.figure import Figure
from bench.page import Run, write
from bench.results import Part, Results

FIGURES = [
    Figure("1", "floor", "ms", (10.0, 12.0), series="floor", size=8),
    Figure("1", "restart of 8", "ms", (20.0, 60.0), target=30.0, series="ours", size=8),
    Figure("1", "restart of 32", "ms", (80.0,), target=150.0, series="ours", size=32),
    Figure("1", "torchrun", "ms", (3000.0,), series="torchrun", size=8),
    Figure("8", "RSS", "MiB", (24.0,), target=30.0),
]


def test_the_page_has_a_table_for_each_row_and_names_what_was_missed(tmp_path: Path) -> None:
    results = Results(tmp_path / "performance.json")
    results.note("8", Part("today", 0.1, tuple(FIGURES)))
    results.note("load-1", Part("today", 0.2, (), "too slow"))
    write(Results(tmp_path / "performance.json"), Run("2 cores", "v1", "make it"), tmp_path)
    page = (tmp_path / "performance.md").read_text()
    assert "| RSS | MiB | 24 N=1 | 30, reached |  |  |" in page
    assert "* restart of 8: 40 [20-60] N=2 ms, wanted 30, missed" in page
    assert "| load-1 | today | 0.2 | too slow |" in page
    picture = ElementTree.parse(tmp_path / "performance.svg")
    words = [element.text for element in picture.iter() if element.text]
    assert "torchrun, 3000 ms" in words
