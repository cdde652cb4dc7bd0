"""Replay every trace that broke a draft: with the clause that closes it, and without.

REWRITE_SCENARIOS=1 writes the transcripts into the files: read the diff before you commit.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from tests.support.script import RESTLESS, Scenario, read, replay

import elasticjob.rendezvous
from elasticjob.rendezvous.members.decide import GUARDS
from elasticjob.rendezvous.members.judge import NEWCOMER
from elasticjob.rendezvous.step import RULES

ROOT = Path(__file__).parents[2]
HERE = ROOT / "tests" / "scenarios"
SCENARIOS = {path.stem: read(path) for path in sorted(HERE.glob("*.txt"))}
MUTATIONS = [(stem, *mutation) for stem, found in SCENARIOS.items() for mutation in found.without]


def text(scenario: Scenario, without: str = "") -> str:
    return "\n".join(line for lines in replay(scenario, without) for line in lines)


@pytest.mark.parametrize("stem", SCENARIOS)
def test_the_transcript_equals_the_files(stem: str) -> None:
    scenario = SCENARIOS[stem]
    found = scenario.text(replay(scenario))
    if os.environ.get("REWRITE_SCENARIOS"):
        scenario.path.write_text(found, encoding="utf-8")
    assert found == scenario.path.read_text(encoding="utf-8")
    assert RESTLESS not in found


@pytest.mark.parametrize(("stem", "clause", "verb", "line"), MUTATIONS)
def test_without_its_clause_it_goes_wrong(stem: str, clause: str, verb: str, line: str) -> None:
    """The header names the difference, so the scenario shows that the clause is needed."""
    scenario = SCENARIOS[stem]
    whole, mutant = text(scenario), text(scenario, clause)
    assert mutant != whole, f"{stem} passes without {clause}"
    appears = verb == "appears"
    assert (line in mutant, line in whole) == (appears, not appears), mutant


def test_every_trace_that_the_code_or_a_page_names_has_a_file() -> None:
    paths = [*(ROOT / "operator").rglob("*.py"), *(ROOT / "docs").rglob("*.md")]
    texts = "\n".join(path.read_text(encoding="utf-8") for path in paths)
    named = set(re.findall(r"\b[FSVW]\d{1,2}\b", texts))
    assert len(named) > 40
    assert sorted(named - {stem.split("-")[0] for stem in SCENARIOS}) == []


@pytest.mark.parametrize("stem", SCENARIOS)
def test_a_header_names_what_breaks_and_what_closes_it(stem: str) -> None:
    header = SCENARIOS[stem].header
    assert header["title"].startswith(f"{stem.split('-')[0]} ")
    assert header["trace"]
    assert header["breaks"]
    assert any(key in header for key in ("closed by", "closed by the operator", "accepted"))


@pytest.mark.parametrize("stem", SCENARIOS)
def test_every_closing_clause_is_left_out_once(stem: str) -> None:
    scenario = SCENARIOS[stem]
    left_out = {name for clauses, _, _ in scenario.without for name in clauses.split()}
    missing, unknown = set(scenario.clauses) - left_out, left_out - set(scenario.clauses)
    assert not missing, f"add `without CLAUSE, appears: TEXT` to {stem} for {sorted(missing)}"
    assert not unknown, f"add {sorted(unknown)} to `closed by:` of {stem}"
    assert {verb for _, verb, _ in scenario.without} <= {"appears", "vanishes"}


def test_every_clause_is_left_out_somewhere() -> None:
    """By a scenario or a table: each clause is shown to be needed."""
    package = Path(elasticjob.rendezvous.__path__[0])
    code = "\n".join(path.read_text(encoding="utf-8") for path in package.rglob("*.py"))
    tests = [*Path(__file__).parent.rglob("*.py"), *HERE.glob("*.txt")]
    used = "\n".join(path.read_text(encoding="utf-8") for path in tests)
    rules = {name for name, _ in (*RULES, *GUARDS, *NEWCOMER)}  # left out in tables, one by one
    clauses = set(re.findall(r'"(\d-[a-z0-9-]+)"', code)) - rules
    assert len(clauses) > 25
    assert [name for name in sorted(clauses) if name not in used] == []
