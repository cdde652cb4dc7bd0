"""docs/protocol.md agrees with the code: names, numbers, and the arrows of both diagrams."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.support.mutants import table
from tests.support.recording import Arrows, Recording, recording

from elasticjob.rendezvous import state, step, timing
from elasticjob.rendezvous.members import decide, judge
from elasticjob.wire.agent_state import AgentPhase
from elasticjob.wire.round import Phase

RULES, GUARDS = table(step, "RULES"), table(decide, "GUARDS")
NEWCOMER = table(judge, "NEWCOMER")
ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")
SCENARIOS = sorted((ROOT / "tests" / "scenarios").glob("*.txt"))
ROUND_DIAGRAM, AGENT_DIAGRAM = re.findall(r"```mermaid\n(.*?)```", PAGE, re.DOTALL)


def arrows(diagram: str) -> Arrows:
    return set(re.findall(r"^\s*(\S+) --> (\S+?)(?::|$)", diagram, re.MULTILINE))


def states(drawn: Arrows) -> set[str]:
    return {state for arrow in drawn for state in arrow} - {"[*]"}


INSIDE = AGENT_DIAGRAM[AGENT_DIAGRAM.index("state joined {") :]
OUTSIDE = AGENT_DIAGRAM.replace(INSIDE, "")


# ---- the diagrams --------------------------------------------------------------------------------


def test_the_rounds_diagram_has_the_phases() -> None:
    assert states(arrows(ROUND_DIAGRAM)) == {phase.value for phase in Phase}


def test_the_agents_diagram_has_the_stages_and_the_phases() -> None:
    assert states(arrows(OUTSIDE)) == {stage.value for stage in state.Stage}
    assert states(arrows(INSIDE)) == {word.value for word in AgentPhase}


@pytest.fixture(scope="module")
def seen() -> list[Recording]:
    return [recording(path) for path in SCENARIOS]


def test_no_scenario_makes_a_step_that_is_not_drawn(seen: list[Recording]) -> None:
    assert {a for w in seen for a in w.phases} <= arrows(ROUND_DIAGRAM)
    assert {a for w in seen for a in w.words} <= arrows(INSIDE)
    assert {a for w in seen for a in w.stages} <= arrows(OUTSIDE)


# Drawn, and shown by a table instead: test_join, test_leave, test_run, test_decide.
ELSEWHERE: Arrows = {
    ("reading", "exited"),
    ("done", "ready"),
    ("failed", "ready"),
    ("Active", "Active"),  # another n is no other phase here
    ("Active", "Forming"),
}


def test_every_drawn_step_is_made(seen: list[Recording]) -> None:
    made = {a for w in seen for a in (*w.phases, *w.words, *w.stages)}
    drawn = arrows(ROUND_DIAGRAM) | arrows(AGENT_DIAGRAM)
    inner = {arrow for arrow in drawn if "[*]" not in arrow}
    assert inner - made - ELSEWHERE == set()


# ---- names and numbers ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*RULES, *GUARDS, *NEWCOMER])
def test_every_rule_is_on_the_page_by_its_name(name: str) -> None:
    assert f"`{name}`" in PAGE


def test_the_rules_are_in_the_order_of_the_code() -> None:
    for names in (RULES, GUARDS):
        places = [PAGE.index(f"`{name}`") for name in names]
        assert places == sorted(places)


def test_every_number_of_timing_is_on_the_page() -> None:
    reported = dict(re.findall(r"^\| `([A-Z_]+)` \| ([\d.]+) \|", PAGE, re.MULTILINE))
    known = {k: v for k, v in vars(timing).items() if k.isupper() and not k.startswith("_")}
    assert {name: float(value) for name, value in reported.items()} == known


def test_the_page_has_the_highest_number_of_each_kind_of_trace() -> None:
    verification = PAGE.partition("## How it was verified")[2]
    stated = dict(re.findall(r"-([FVW])(\d+)", verification))
    highest: dict[str, int] = {}
    for path in SCENARIOS:
        kind, number = path.stem[0], int(path.stem[1:].partition("-")[0])
        highest[kind] = max(number, highest.get(kind, 0))
    assert stated == {kind: str(highest[kind]) for kind in "FVW"}


@pytest.mark.parametrize("invariant", ["I1", "I2", "I3", "I4", "I5", "I6"])
def test_every_invariant_is_explained(invariant: str) -> None:
    assert f"| {invariant} |" in PAGE


def test_links_lead_somewhere() -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", PAGE):
        assert (ROOT / "docs" / link).exists(), link
