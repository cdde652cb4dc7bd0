"""A failing history is reduced to what fails, and printed as a test and as a scenario."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.sim import long
from tests.sim.faults import Fault
from tests.sim.history import History, failure, of_seed
from tests.sim.long import Part, Run, load
from tests.sim.shrink import as_scenario, as_test, shrink
from tests.support.mutants import without

pytestmark = pytest.mark.sim


@pytest.mark.slow
def test_the_cause_of_a_failure_is_what_remains() -> None:
    """Two crashes, of which the second one delays the restart, and a departure within the delay."""
    kinds = ("operator-down", "worker", "worker", "delete-by-force", "worker")
    times = (4.0, 5.0, 8.0, 8.3, 14.0)
    faults = tuple(
        Fault(at, kind, i % 2, 1.0) for i, (at, kind) in enumerate(zip(times, kinds, strict=True))
    )
    history = History(3, pods=2, faults=faults)
    with without("8-departures-strike-nothing"):
        small = shrink(history, seeds=0)
        assert failure(small).startswith("I4")
    assert [fault.kind for fault in small.faults] == ["worker", "worker", "delete-by-force"]
    assert failure(small) == ""  # with the clause


def test_what_is_printed_is_the_history() -> None:
    history = History(7, pods=2, faults=(Fault(5.0, "worker", 1), Fault(9.0, "die", 0)))
    assert as_scenario(history).splitlines()[::3] == [
        "job A B min 1 budget 20 T 1", "rest A B", "wait 4", "fail B", "wait 4", "die A", "mark A",
        "wait 60",
    ]  # fmt: skip
    names: dict[str, object] = {"History": History, "Fault": Fault, "failure": failure}
    exec(as_test(history), names)
    test = names["test_NAME"]
    assert callable(test)
    test()


def test_a_history_that_breaks_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="breaks no invariant"):
        shrink(History(0, pods=1))


def test_a_seed_is_always_the_same_history() -> None:
    assert of_seed(5) == of_seed(5) != of_seed(6)


def test_a_long_run_continues_where_it_was(tmp_path: Path) -> None:
    path, code = tmp_path / "state.json", "abc"
    part = Part(10, histories=20, rounds=7)
    part.faults["die"], part.broken[12] = 3, "I4"
    Run(code, part, 2.5).save(path)
    run = load(path, code, 0)
    assert (run.next_seed, run.seconds, run.total) == (30, 2.5, part)
    with pytest.raises(ValueError, match="delete it"):
        load(path, "another", 0)


def test_the_parts_of_a_long_run_are_added() -> None:
    total, part = Part(0), long.Part(0, 2, 5)
    part.checks["start"] = 4
    total.add(part)
    total.add(part)
    assert (total.histories, total.rounds, total.checks["start"]) == (4, 10, 8)
    assert "10 rounds in 4 histories, seeds 0 to 3" in long.summary(Run("abc", total, 1.0))
