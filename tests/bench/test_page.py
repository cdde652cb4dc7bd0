from __future__ import annotations

import shutil
from pathlib import Path
from xml.etree import ElementTree

from bench.cluster import DOCS
from bench.page import BEGIN, END, PAGE, PICTURE, RESULTS, write
from bench.results import Figure, Part, Results, Run

FIGURES = [
    Figure("1", "floor", "ms", (10.0, 12.0), series="floor", size=8),
    Figure("1", "restart of 8", "ms", (20.0, 60.0), target=30.0, series="ours", size=8),
    Figure("1", "restart of 32", "ms", (80.0,), target=150.0, series="ours", size=32),
    Figure("1", "torchrun", "ms", (3000.0,), series="torchrun", size=8),
    Figure("8", "RSS", "MiB", (24.0,), target=30.0),
]
RUN = Run("2026-01-02 10:00", "2 cores", "v2")
EARLIER = Run("2026-01-01 10:00", "4 cores", "v1")


def page(directory: Path, planned: tuple[str, ...] = (), **parts: Part) -> str:
    """The page after these parts."""
    (directory / PAGE).write_text(f"# Title\n\n{BEGIN}old\n{END}\n## Findings\n")
    results = Results(directory / "performance.json")
    for name, part in parts.items():
        results.add(name, part)
    write(Results(directory / "performance.json"), planned, directory)
    return (directory / PAGE).read_text()


def words(directory: Path) -> list[str]:
    """All texts of the picture."""
    picture = ElementTree.parse(directory / "performance.svg")
    return [element.text for element in picture.iter() if element.text]


def test_the_page_has_a_table_for_each_row_and_lists_missed_targets(tmp_path: Path) -> None:
    load = Part("today", 0.2, (), "too slow", RUN)
    found = page(tmp_path, sizes=Part("today", 0.1, tuple(FIGURES), run=RUN), load=load)
    assert "| RSS | MiB | 24 N=1 | 30, reached |  |  |" in found
    assert "* restart of 8: 40 [20-60] N=2 ms, target 30, missed\n" in found
    assert "| load | today | 0.2 | too slow |" in found
    assert "torchrun, 3000 ms" in words(tmp_path)


def test_text_around_the_marks_stays(tmp_path: Path) -> None:
    found = page(tmp_path, sizes=Part("today", 0.1, tuple(FIGURES), run=RUN))
    assert found.startswith(f"# Title\n\n{BEGIN}* Run of")
    assert found.endswith(f"{END}\n## Findings\n")
    assert "old" not in found


def test_a_page_of_one_run_names_it_and_marks_nothing(tmp_path: Path) -> None:
    found = page(tmp_path, sizes=Part("today", 0.1, tuple(FIGURES), run=RUN))
    assert "* Run of 2026-01-02 10:00 UTC (every row): 2 cores; v2\n" in found
    assert "Several runs" not in found
    assert not any("several" in text for text in words(tmp_path))


def test_figures_of_an_earlier_run_are_marked_everywhere(tmp_path: Path) -> None:
    ours, rest = tuple(FIGURES[:2]), tuple(FIGURES[2:])
    found = page(
        tmp_path, one=Part("then", 0.1, ours, run=EARLIER), two=Part("now", 0.1, rest, run=RUN)
    )
    assert "* Run of 2026-01-02 10:00 UTC (two): 2 cores; v2\n" in found
    assert "* Run of 2026-01-01 10:00 UTC (one): 4 cores; v1\n" in found
    assert "**Several runs:**" in found
    assert "| floor | ms | 11 [10-12] N=2 |  |  | run of 2026-01-01 10:00 |" in found
    assert "| RSS | MiB | 24 N=1 | 30, reached |  |  |" in found
    assert "target 30, missed (run of 2026-01-01 10:00)\n" in found
    assert "| one | then | 0.1 | run of 2026-01-01 10:00 |" in found
    assert any("several runs" in text for text in words(tmp_path))


def test_an_incomplete_run_lists_missing_parts_and_removes_the_old_picture(tmp_path: Path) -> None:
    (tmp_path / "performance.svg").write_text("of an earlier run")
    found = page(tmp_path, ("memory", "load"), memory=Part("now", 0.1, (FIGURES[-1],), run=RUN))
    assert "| load | not measured | | |" in found
    assert "| memory | not measured" not in found
    assert "performance.svg" not in found
    assert not (tmp_path / "performance.svg").exists()


def test_the_committed_page_is_what_its_figures_give(tmp_path: Path) -> None:
    for name in (PAGE, RESULTS, PICTURE):
        shutil.copy(DOCS / name, tmp_path)
    write(Results(tmp_path / RESULTS), (), tmp_path)
    for name in (PAGE, PICTURE):
        assert (tmp_path / name).read_text() == (DOCS / name).read_text()
