"""What the pages name exists: tests, files, make targets, commands and their options."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from elasticjob.cli.__main__ import main

ROOT = Path(__file__).parent.parent
SOURCES = ROOT / "operator" / "src" / "elasticjob"
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
BASES = (ROOT, SOURCES, SOURCES / "controller", SOURCES / "rendezvous")
CODE = re.compile(r"^    .*|`[^`\n]+`", re.MULTILINE)


def code(page: Path) -> Iterator[str]:
    """What is set as code: indented lines and words in backquotes; comments of a line left out."""
    for found in CODE.findall(page.read_text()):
        yield found.strip("` ").partition("  #")[0]


def named_in(page: Path, pattern: str) -> set[Any]:
    """What matches a pattern in the code of a page, as re.findall returns it."""
    return {found for text in code(page) for found in re.findall(pattern, text)}


@cache
def defined_in(path: Path) -> set[str]:
    """The names of a file's tests."""
    nodes = ast.parse(path.read_text()).body if path.exists() else []
    return {
        node.name for node in nodes if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    }


@cache
def targets() -> set[str]:
    return set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def test_tests_that_are_named_exist() -> None:
    missing = [
        (page.name, f"{path}::{name}")
        for page in PAGES
        for path, name in re.findall(r"(tests/[\w/]+\.py)::(\w+)", page.read_text())
        if name not in defined_in(ROOT / path)
    ]
    assert missing == []


def test_every_failure_mode_has_a_test() -> None:
    """But for what is not built yet, and says so."""
    rows = [
        line for line in (ROOT / "docs/failure-modes.md").read_text().splitlines() if "|" in line
    ]
    without = [row for row in rows if row.count("|") >= 6 and "tests/" not in row]
    told = [row for row in without if not row.startswith(("| what |", "|---"))]
    assert all("is not built yet" in row for row in told), told


def test_files_that_are_linked_exist() -> None:
    missing = [
        (page.name, link)
        for page in PAGES
        for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())
        if "://" not in link and not (page.parent / link).exists()
    ]
    assert missing == []


def test_modules_that_are_named_exist() -> None:
    """Paths are those of the repository or of the package; walks leave out the package's name."""
    missing = {
        (page.name, path)
        for page in PAGES
        for path in named_in(page, r"(?<![\w/.-])[\w/-]+/[\w-]+\.py\b")
        if not any((base / path).exists() for base in (*BASES, page.parent))
    }
    assert missing == set()


def test_make_targets_that_are_named_exist() -> None:
    named = {(p.name, name) for p in PAGES for name in named_in(p, r"\bmake ([a-z][a-z0-9-]*)")}
    assert {(page, name) for page, name in named if name not in targets()} == set()


def test_commands_and_options_that_are_named_exist(capsys: pytest.CaptureFixture[str]) -> None:
    for page in PAGES:
        for command, rest in named_in(page, r"\belasticjob local (\w+)(.*)"):
            for option in re.findall(r"(?<!\S)--?[a-z][a-z-]*", rest):
                assert option in words(capsys, "local", command), (page.name, command, rest)


def test_the_local_modes_table_has_its_options_and_no_other(
    capsys: pytest.CaptureFixture[str],
) -> None:
    page = (ROOT / "docs/local.md").read_text()
    told = set(re.findall(r"^\| `(--[a-z-]+)", page, re.MULTILINE))
    known = {word for word in words(capsys, "local", "up") if word.startswith("--")}
    assert told == known - {"--help"}


def words(capsys: pytest.CaptureFixture[str], *command: str) -> set[str]:
    """Those of a command's help; a command that does not exist fails the test."""
    with pytest.raises(SystemExit) as ended:
        main([*command, "--help"])
    assert ended.value.code == 0, command
    return set(re.findall(r"--?[a-z][a-z-]*", capsys.readouterr().out))


EVIDENCE = ROOT / "docs" / "evidence.md"


def evidence() -> list[list[str]]:
    """The rows of the tables of evidence.md, as cells: claim, how, command, result."""
    text = re.sub(r"<!--.*?-->", "", EVIDENCE.read_text(), flags=re.DOTALL)
    rows = [line for line in text.splitlines() if line.startswith("|")]
    return [row[2:-2].split(" | ") for row in rows if not row.startswith(("| claim |", "|---"))]


def test_each_claim_has_a_command_that_exists_and_a_result_with_its_revision() -> None:
    assert len(evidence()) > 20
    for claim, _, commands, result in evidence():
        for command in re.findall(r"`([^`]+)`", commands):
            target = command.removeprefix("make ")
            assert target in targets() or (ROOT / command).is_file(), claim
        assert re.search(r"`(make |\.ci/)", commands), claim
        has_source = re.search(r"; \d{4}-\d\d-\d\d, [0-9a-f]{7}$", result)
        assert has_source or result == "see the last run" or "table of that page" in result, claim


def test_the_claims_of_readme_lead_to_their_evidence() -> None:
    """Each promise has its link, and so has each section with figures or states."""
    page = (ROOT / "README.md").read_text()
    anchors = re.findall(r'<a id="([a-z0-9-]+)"></a>', "".join(row[0] for row in evidence()))
    assert len(anchors) == len(set(anchors))
    linked = re.findall(r"\(docs/evidence\.md#([a-z0-9-]+)\)", page)
    assert set(linked) <= set(anchors)
    promises = re.findall(r"^\* \*\*.*\n(?:  .*\n)*", page, re.MULTILINE)
    sections = re.split(r"^## ", page, flags=re.MULTILINE)
    sections = [s for s in sections if s.startswith(("# ", "Try it", "Figures", "What works"))]
    assert len(sections) == 4
    assert [p for p in (*promises, *sections) if "(docs/evidence.md#" not in p] == []
