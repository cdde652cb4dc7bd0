"""Replay every trace that broke a draft: with the clause that closes it, and without.

REWRITE_SCENARIOS=1 writes the transcripts into the files: read the diff before you commit.
"""

from __future__ import annotations

import functools
import os
import re
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.mutants import clauses, table, without
from tests.support.protocol import active, assert_early_tick_does_nothing, ended, joined
from tests.support.recording import recording
from tests.support.script import RESTLESS, Block, Scenario, read, replay

from elasticjob.rendezvous import step
from elasticjob.rendezvous.members import decide, judge
from elasticjob.rendezvous.rule_helpers import writable_round
from elasticjob.wire.round import Phase

ROOT = Path(__file__).parents[2]
HERE = ROOT / "tests" / "scenarios"
SCENARIOS = {path.stem: read(path) for path in sorted(HERE.glob("*.txt"))}
RULES = table(step, "RULES")
MUTATIONS = [(stem, *mutation) for stem, found in SCENARIOS.items() for mutation in found.without]


@functools.cache
def _text(stem: str, without: str) -> str:
    scenario = SCENARIOS[stem]
    transcripts = replay(scenario, without) if without else recording(scenario.path).transcripts
    return "\n".join(line for lines in transcripts for line in lines)


def text(scenario: Scenario, without: str = "") -> str:
    return _text(scenario.path.stem, without)


@pytest.mark.parametrize("stem", SCENARIOS)
def test_the_transcript_equals_the_files(stem: str) -> None:
    scenario = SCENARIOS[stem]
    found = scenario.text(recording(scenario.path).transcripts)
    if os.environ.get("REWRITE_SCENARIOS"):
        scenario.path.write_text(found, encoding="utf-8")
    assert found == scenario.path.read_text(encoding="utf-8")
    assert RESTLESS not in found


@pytest.mark.parametrize("stem", SCENARIOS)
def test_an_agent_that_wakes_up_early_does_nothing(stem: str) -> None:
    """After each step the rules have nothing more to do, and none waits for an earlier time."""
    steps = recording(SCENARIOS[stem].path).steps
    assert steps
    for result, now in steps:
        assert_early_tick_does_nothing(result, now)


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


def test_a_header_names_what_breaks_and_what_closes_it() -> None:
    for stem, scenario in SCENARIOS.items():
        header = scenario.header
        assert header.get("title", "").startswith(f"{stem.split('-')[0]} "), stem
        assert header.get("trace"), stem
        assert header.get("breaks"), stem
        closed = ("closed by", "closed by the operator", "accepted")
        assert any(key in header for key in closed), stem


def test_every_closing_clause_is_left_out_once() -> None:
    for stem, scenario in SCENARIOS.items():
        left_out = {name for clauses, _, _ in scenario.without for name in clauses.split()}
        missing, unknown = set(scenario.clauses) - left_out, left_out - set(scenario.clauses)
        assert not missing, f"add `without CLAUSE, appears: TEXT` to {stem} for {sorted(missing)}"
        assert not unknown, f"add {sorted(unknown)} to `closed by:` of {stem}"
        assert {verb for _, verb, _ in scenario.without} <= {"appears", "vanishes"}, stem


def test_every_clause_is_left_out_somewhere() -> None:
    """By a scenario or a table: each clause is shown to be needed."""
    tests = [*Path(__file__).parent.rglob("*.py"), *HERE.glob("*.txt")]
    used = "\n".join(path.read_text(encoding="utf-8") for path in tests)
    one_by_one = {*RULES, *table(decide, "GUARDS"), *table(judge, "NEWCOMER")}
    names = set(clauses("rendezvous")) - one_by_one
    assert len(names) > 40
    assert [name for name in sorted(names) if name not in used] == []


CRASH = ("job A B", "rest A B", "fail A", "go")
HOLDER_LEAVES = ("job A B min 1", "rest A B", "leave A", "go")
FATAL = ("job A B", "rest A B", "fatal A", "go")
SCALED_DOWN = ("job A B C", "rest A B C", "want A B", "go")
API_AWAY = ("job A B T 5 away 40", "rest A B", "cut A", "cut B", "wait 60")
VICTIM_FIRST = ("job A B", "rest A B", "report B", "wait 0.4", "fail A timed", "wait 0.1")
NO_EXIT = ("job A B", "rest A B", "report B", "wait 10")
NEEDED_IN = {
    "2-join": CRASH,
    "3-api-dark": API_AWAY,
    "3-decide-exit": FATAL,
    "3-exit": FATAL,
    "3-exit-is-late": NO_EXIT,
    "3-stand-outside": SCALED_DOWN,
    "3-start": CRASH,
    "3-stop": CRASH,
    "3-renew": CRASH,
    "4-crash": CRASH,
    "4-fatal": FATAL,
    "4-first-cause": VICTIM_FIRST,
    "5-claim": CRASH,
    "6-clear": HOLDER_LEAVES,
    "6-judge": CRASH,
    "6-pulse": API_AWAY,
    "6-stream": CRASH,
}


@functools.cache
def transcript_of(commands: tuple[str, ...], without: str = "") -> list[list[str]]:
    return replay(Scenario(Path(), "", {}, (), (Block(commands, ()),)), without)


@pytest.mark.parametrize("name", RULES)
def test_every_rule_is_needed(name: str) -> None:
    """Without it, these commands have another transcript."""
    assert transcript_of(NEEDED_IN[name], name) != transcript_of(NEEDED_IN[name])


@pytest.mark.parametrize("phase", [Phase.SUCCEEDED, Phase.FAILED])
def test_no_agent_writes_a_terminal_round(phase: Phase) -> None:
    """Rule 1, I6."""
    me = joined("A", active(1, "A B"))
    assert me.lease is not None
    assert writable_round(me) is not None
    me = replace(me, lease=replace(me.lease, round=ended(me.lease.round, phase)))
    assert writable_round(me) is None
    with without("1-terminal"):
        assert writable_round(me) is not None
