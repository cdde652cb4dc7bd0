"""The words that docs/STYLE.md lists are absent from code, texts and pages.

In Python, each word of an identifier counts, so `word_of_mouth` contains *of mouth*. In tests only
names and docstrings count, because tests quote texts of other programs.
"""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.words_to_avoid import found_in

ROOT = Path(__file__).parent.parent
SUFFIXES = {".py", ".md", ".txt", ".yaml", ".tpl", ".sh", ".json", ".toml"}
NAMES = {"Makefile", "Dockerfile", "run"}
EXEMPT = (
    "docs/STYLE.md",  # lists the words
    "docs/performance.json",  # measurements
)


def statements(node: ast.AST) -> Iterator[ast.AST]:
    """A node and the statements in it, without their expressions."""
    yield node
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.stmt, ast.excepthandler, ast.match_case)):
            yield from statements(child)


def names_and_docstrings(source: str) -> str:
    """The source without everything but docstrings and names of tests, classes and functions."""
    kept = [""] * (source.count("\n") + 2)
    for node in statements(ast.parse(source)):
        if not isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        if not isinstance(node, ast.Module):
            kept[node.lineno - 1] += node.name
        if ast.get_docstring(node) is not None:
            lines = str(node.body[0].value.value).splitlines()  # type: ignore[attr-defined]
            for number, line in enumerate(lines, node.body[0].lineno - 1):
                kept[number] += " " + line
    return "\n".join(kept)


def text_of(path: Path) -> str:
    text = path.read_text()
    is_test = path.is_relative_to(ROOT / "tests") and path.suffix == ".py"
    # Few tests contain any of the words, and to parse all of them takes most of the time.
    return names_and_docstrings(text) if is_test and found_in(text) else text


def files() -> Iterator[str]:
    """The files of the repository that contain prose or code of this project."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    for name in listed:
        path = ROOT / name
        has_text = path.suffix in SUFFIXES or path.name in NAMES
        if has_text and path.is_file() and name not in EXEMPT:
            yield name


def test_no_file_has_words_to_avoid() -> None:
    hits = [
        f"{name}:{line}: {words}"
        for name in files()
        for line, words in found_in(text_of(ROOT / name))
    ]
    assert not hits, "\n".join(["see the last table of docs/STYLE.md", *hits])


@pytest.mark.parametrize(
    "text",
    [
        "Nobody hears it.",
        "is_told = False",
        "isTold",
        "# it goes\n# on",
        "so long",
        "a b of its own",
    ],
)
def test_it_finds(text: str) -> None:
    assert len(found_in(text)) >= 1


@pytest.mark.parametrize("text", ["so long as it runs", "besides", "marshalled", "a storyteller"])
def test_it_accepts(text: str) -> None:
    assert found_in(text) == []
