"""The report that the holder writes with its pulse."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.support.protocol import active, forming, pod, round_lease, view
from tests.support.protocol import seen as entry

from elasticjob.rendezvous.members.report import is_running, is_running_reported, report
from elasticjob.wire.report import Progress, Recovery, Report

AB2 = active(2, "A B", starts=2, recovery=Recovery(2, detect_ms=3, rendezvous_ms=8))


def test_it_names_the_members_that_run_this_round() -> None:
    seen = view("A", {"A": "running 2", "B": "running 1", "C": "done 2", "D": "running 2"})
    made = report(seen, replace(AB2, members=active(2, "A B C").members))
    assert (made.n, made.running) == (2, (pod("A"), pod("C")))
    assert made.recovery is None


def test_it_has_the_recovery_once_all_run_by_the_slowest_of_them() -> None:
    """It has stopped when the last member has stopped, and runs when the last member runs."""
    states = {
        "A": entry("A", "running 2", start_ms=40, stop_ms=9, progress=Progress(7)),
        "B": entry("B", "running 2", start_ms=60, stop_ms=5),
    }
    made = report(view("A", states), AB2)
    assert made.recovery == Recovery(2, detect_ms=3, stop_ms=9, rendezvous_ms=8, start_ms=51)
    assert made.progress == Progress(7)  # of rank 0's pod


def test_the_first_start_is_no_recovery() -> None:
    made = report(view("A", {"A": "running 1", "B": "running 1"}), active(1, "A B"))
    assert len(made.running) == 2
    assert made.recovery is None


def test_a_round_without_members_has_nothing_to_report() -> None:
    made = report(view("A", {"A": "ready 2"}), active(2, "B"))
    assert made == Report(2, outside=True)


@pytest.mark.parametrize(
    ("words", "complete"),
    [
        ("running 2", True),
        ("running 1", False),
        ("done 2", False),  # it has run, which an earlier report contains
        ("ready 2", False),
        ("", False),
    ],
)
def test_all_members_run(words: str, complete: bool) -> None:
    assert is_running(view("A", {"A": "running 2", "B": entry("B", words)}), AB2) is complete


@pytest.mark.parametrize(
    ("last", "is_reported"),
    [
        (None, False),
        (Report(1, (pod("A"), pod("B"))), False),
        (Report(2, (pod("A"),)), False),
        (Report(2, (pod("A"), pod("B"))), True),
    ],
)
def test_it_is_reported_once(last: Report | None, is_reported: bool) -> None:
    present = round_lease(AB2, "A")
    assert is_running_reported(replace(present, report=last)) is is_reported


def test_a_round_without_members_has_not_run() -> None:
    present = round_lease(forming(2), "A")
    assert not is_running_reported(replace(present, report=Report(2)))


def test_a_member_that_has_failed_over_the_budget_does_not_run() -> None:
    made = report(view("A", {"A": "running 2", "B": "failed 2"}), AB2)
    assert (made.running, made.failed) == ((pod("A"),), (pod("B"),))
    assert made.recovery is None
