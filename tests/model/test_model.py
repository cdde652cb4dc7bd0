"""A short exhaustive search (`make model` runs the long ones), and that it finds what it should."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.model.__main__ import summary
from tests.model.bounds import bounds
from tests.model.machine import Machine
from tests.model.records import KINDS
from tests.model.search import OtherSearchError, Search, instants_end
from tests.support.mutants import without


def test_no_fault_no_violation() -> None:
    result = Search(Machine(bounds(2, 1, 0, ()))).run()
    assert result.complete
    assert not result.broken
    assert not result.stuck
    assert instants_end(result)
    assert len(result.states) > 500


@pytest.mark.parametrize("cls", KINDS, ids=lambda cls: cls.__name__)
def test_every_field_of_a_record_has_a_kind(cls: type) -> None:
    """A field that the normal form forgot could make two different states equal."""
    assert set(KINDS[cls]) == set(cls.__match_args__)  # type: ignore[attr-defined]


def test_a_violation_is_a_scenario_that_shows_it() -> None:
    """Without `4-answered`, a crash that is answered is charged again."""
    with without("4-answered"):
        machine = Machine(bounds(2, 1, 1, ("crash",)))
        text = "\n".join(summary(machine, Search(machine).run()))
    assert "VIOLATION of I4" in text
    assert "write 3 Active A B charged 2,3 for WorkerFailed" in text


def rests_of(machine: Machine, formed: bool = False) -> set[str]:
    """All states in which time may pass, written out."""
    result = Search(machine, formed=formed).run()
    assert result.complete
    parts = machine.tables.parts
    found = (state for state, rests in zip(result.states, result.rests, strict=True) if rests)
    return {repr([parts[part] for part in state]) for state in found}


@pytest.mark.slow
def test_the_reduction_loses_no_state_in_which_time_passes() -> None:
    whole = replace(bounds(2, 1, 0, ()), reduced=False)
    assert rests_of(Machine(bounds(2, 1, 0, ()))) == rests_of(Machine(whole))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["lose", "dark", "delete-lease"])
def test_the_same_with_a_fault(kind: str) -> None:
    whole = replace(bounds(2, 1, 1, (kind,)), reduced=False)
    assert rests_of(Machine(bounds(2, 1, 1, (kind,))), True) == rests_of(Machine(whole), True)


def test_a_search_continues_from_disk(tmp_path: Path) -> None:
    whole = Search(Machine(bounds(2, 1, 0, ()))).run()
    first = Search(Machine(bounds(2, 1, 0, ())), tmp_path)
    for at in range(100):
        first._explore(at)
        first.result.explored += 1
    first.save()
    rest = Search(Machine(bounds(2, 1, 0, ())), tmp_path).run()
    assert (len(rest.states), rest.transitions) == (len(whole.states), whole.transitions)
    assert rest.complete
    with pytest.raises(OtherSearchError):
        Search(Machine(bounds(2, 2, 0, ())), tmp_path)


SHORT = ("lose", "drop", "dark", "away", "delay", "delete-lease", "fatal", "finishing", "leave")


@pytest.mark.slow
@pytest.mark.parametrize("kind", SHORT)
def test_one_fault_no_violation(kind: str) -> None:
    result = Search(Machine(bounds(2, 1, 1, (kind,))), formed=True).run()
    assert result.complete
    assert not result.broken
    assert not result.stuck
    assert instants_end(result)
