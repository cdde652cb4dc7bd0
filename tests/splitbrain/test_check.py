"""The checker finds each violation in the records of workers, and none in good ones."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.splitbrain import check, records
from tests.splitbrain.records import Start

A1 = Start("demo-0-0", 1, 0, "a", 11, at=1.0, world=2, master="m:1", ended_at=2.0)
B1 = Start("demo-1-0", 1, 1, "b", 12, at=1.1, world=2, master="m:1")
A2 = Start("demo-0-0", 2, 0, "a", 13, at=2.1, world=2, master="m:2", ended_at=3.0)
B2 = Start("demo-1-1", 2, 1, "c", 14, at=2.2, world=2, master="m:2", ended_at=3.0)
GOOD = [A1, B1, A2, B2]


def broken(starts: list[Start]) -> set[str]:
    """The names of the rules that these starts violate."""
    return {text.partition(":")[0] for text in check.violations(starts)}


def test_good_records_violate_nothing() -> None:
    assert check.violations(GOOD) == []


@pytest.mark.parametrize("violating", [
    ("a_number_has_one_group", replace(B2, world=3)),
    ("a_number_has_one_group", replace(B2, master="m:3")),
    ("a_number_has_one_group", replace(B2, rank=2)),
    ("a_rank_runs_once", replace(B2, rank=0)),
    ("a_rank_runs_once", replace(B2, rank=0, pod="demo-0-0", incarnation="a", at=3.1)),
    ("a_round_has_one_pod_per_index", replace(B2, pod="demo-0-1")),
    ("a_round_has_one_pod_per_index", replace(B2, pod="demo-0-0", at=3.1)),
    ("rounds_of_a_pod_increase", replace(A2, n=0, at=5.0)),
    ("older_workers_have_ended", replace(A2, at=1.9)),
    ("older_workers_have_ended", replace(A2, is_alone=False)),
])  # fmt: skip
def test_a_violation_is_found(violating: tuple[str, Start]) -> None:
    rule, bad = violating
    kept = [start for start in GOOD if start.pid != bad.pid]
    assert rule in broken([*kept, bad])


def test_every_rule_has_a_violation() -> None:
    rows = test_a_violation_is_found.pytestmark[0].args[1]
    assert {rule for rule, _ in rows} == {rule.__name__ for rule in check.RULES}


def test_a_repeated_round_is_found_in_a_pod_whose_container_started_again() -> None:
    again = replace(A2, incarnation="d", pid=20, at=4.0)
    assert {"a_rank_runs_once", "a_round_has_one_pod_per_index"} <= broken([*GOOD, again])


def test_records_are_read_with_the_end_of_each_worker() -> None:
    lines = [
        "start 1 0 a 11 1.0 2 m:1 alone",
        "end 1 0 a 11 2.0",
        "start 2 0 a 13 2.1 2 m:2 overlaps",
    ]
    assert list(records.parse("demo-0-0", lines)) == [
        A1,
        replace(A2, is_alone=False, ended_at=None),
    ]
