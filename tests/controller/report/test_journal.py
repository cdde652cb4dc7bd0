"""The Event objects of a job: their names, counts and bound."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from tests.support.jobs import elastic_job
from tests.support.snapshots import AT

from elasticjob.api.v1alpha1 import ElasticJobStatus
from elasticjob.controller.observe import parse
from elasticjob.controller.plan.actions import (
    Action,
    ActionResults,
    CreatePod,
    DeletePod,
    Deletion,
    ListLeases,
)
from elasticjob.controller.report import journal as journals
from elasticjob.controller.report.journal import (
    AT_ONCE,
    EACH_S,
    Entry,
    Journal,
    Note,
)
from elasticjob.controller.report.texts import EVENTS
from elasticjob.wire.codec import Json
from elasticjob.wire.member import Pod

JOB = parse.job(elastic_job())
EMPTY = Journal(JOB.uid, ElasticJobStatus())


class Store:
    """Event objects as the operator writes them."""

    def __init__(self) -> None:
        self.journal = EMPTY
        self.objects: dict[str, Json] = {}

    def write(self, *notes: Note, at: float = 0.0) -> tuple[Entry, ...]:
        self.journal, entries = journals.entries(self.journal, JOB, notes, at)
        for entry in entries:
            found = self.objects.get(entry.name)
            if found is None:
                self.objects[entry.name] = journals.manifest(JOB, entry, AT)
            else:
                found["metadata"]["resourceVersion"] = "7"
                found.update({**journals.repeat(found, entry, AT), "metadata": found["metadata"]})
        return entries

    @property
    def shown(self) -> list[tuple[str, int, str]]:
        return [(x["reason"], x["count"], x["message"]) for x in self.objects.values()]


def failed(n: int, text: str = "ended", **fields: Any) -> Note:
    return Note("WorkersFailed", f"round {n} {text}", True, round=n, **fields)


def test_each_occurrence_has_an_object_and_equal_ones_share_it() -> None:
    store = Store()
    for note in (failed(1), failed(2), Note("Unstable", "x"), Note("Unstable", "x")):
        store.write(note)
    assert store.shown == [
        ("WorkersFailed", 1, "round 1 ended"),
        ("WorkersFailed", 1, "round 2 ended"),
        ("Unstable", 2, "x"),
    ]


def test_equal_notes_of_one_report_are_one_entry() -> None:
    entries = Store().write(Note("Unstable", "x"), Note("Unstable", "x"))
    assert [entry.count for entry in entries] == [2]


def test_more_about_an_occurrence_is_no_further_one() -> None:
    store = Store()
    store.write(failed(1))
    store.write(failed(1, "ended; runs again"))
    assert store.shown == [("WorkersFailed", 1, "round 1 ended; runs again")]


def test_the_first_cause_may_be_of_another_kind_than_the_one_that_was_reported() -> None:
    store = Store()
    store.write(Note("PodsLost", "round 1: silent", True, round=1))
    store.write(failed(1))
    assert store.shown == [("WorkersFailed", 1, "round 1 ended")]


def test_an_object_of_several_events_keeps_its_reason() -> None:
    store = Store()
    store.write(*(failed(n) for n in range(AT_ONCE + 2)))
    store.write(Note("PodsLost", "round 26 lost", True, round=AT_ONCE + 1))
    said = "(combined from similar events): round 26 lost"
    assert ("WorkersFailed", 2, said) in store.shown


def test_what_another_operator_has_reported_is_no_further_occurrence() -> None:
    store = Store()
    store.write(failed(1))
    store.journal = EMPTY
    store.write(failed(1, "ended; runs again"))
    assert store.shown == [("WorkersFailed", 1, "round 1 ended; runs again")]


def test_what_continues_while_operators_start_is_one_object() -> None:
    """No operator remembers that it has reported a request that is refused."""
    store = Store()
    for _ in range(30):
        store.journal = replace(EMPTY, reported=ElasticJobStatus(round=2))
        store.write(Note("RequestRefused", "no", True))
    assert store.shown == [("RequestRefused", 30, "no")]


def test_equal_events_of_different_rounds_are_different_objects() -> None:
    store = Store()
    for n in (2, 3):
        store.journal = replace(store.journal, reported=ElasticJobStatus(round=n))
        store.write(Note("Unstable", "x"))
    assert store.shown == [("Unstable", 1, "x")] * 2


def test_names_are_in_the_order_of_rounds_and_of_reports() -> None:
    store = Store()
    store.write(Note("PodsCreated", "a"), Note("Unschedulable", "b"))
    for n in (2, 10):
        store.journal = replace(EMPTY, reported=ElasticJobStatus(round=n))
        store.write(failed(n - 1), Note("Running", "c"))
        store.write(Note("PodsDeleted", "d"), Note("PodsReplaced", "e"), Note("PodsEnded", "f"))
    assert sorted(store.objects) == list(store.objects)


def test_each_place_is_that_of_a_reason() -> None:
    assert set(journals._PLACES) <= set(EVENTS)
    assert len(journals._PLACES) < 0xF0  # before the ends of rounds


def test_an_earlier_round_of_which_more_is_known_is_corrected_in_its_object() -> None:
    store = Store()
    store.write(failed(1), failed(2))
    store.journal = EMPTY  # another operator
    (entry,) = store.write(failed(1, "does not count", is_correction=True))
    assert store.shown == [
        ("WorkersFailed", 1, "round 1 does not count"),
        ("WorkersFailed", 1, "round 2 ended"),
    ]
    assert store.journal.spent == 0
    assert entry.count == 0


@pytest.mark.parametrize(
    ("every_s", "most"),
    [(0.3, AT_ONCE + 12 + 1), (10.0, AT_ONCE + 12 + 1), (299.0, 13), (300.0, 12)],
)
def test_the_objects_of_an_hour_are_bounded_however_often_a_job_restarts(
    every_s: float, most: int
) -> None:
    """200 restarts a minute, up to one in 300 s: the longest delay of a restart."""
    store, at, n = Store(), 0.0, 0
    while at < 3600:
        n += 1
        store.write(failed(n), at=at)
        store.write(failed(n, "runs"), at=at)
        at += every_s
    assert len(store.objects) <= most
    assert sum(count for _, count, _ in store.shown) == n
    assert f"round {n} runs" in store.shown[-1][2] or len(store.objects) > AT_ONCE
    combined = [x for x in store.shown if x[2].startswith("(combined from similar events): ")]
    assert len(combined) == (every_s < 100)


def test_beyond_the_bound_other_reasons_still_have_their_last_message() -> None:
    store = Store()
    store.write(*(failed(n) for n in range(40)))
    store.write(Note("Failed", "exceeded maxRestarts"), Note("Unschedulable", "no node"))
    by_reason = Counter(reason for reason, _, _ in store.shown)
    assert by_reason == {"WorkersFailed": AT_ONCE + 1, "Failed": 1, "Unschedulable": 1}
    assert ("Failed", 1, "exceeded maxRestarts") in store.shown
    assert ("WorkersFailed", 15, "(combined from similar events): round 39 ended") in store.shown


def test_a_combined_occurrence_of_which_more_is_known_is_counted_once() -> None:
    store = Store()
    store.write(*(failed(n) for n in range(AT_ONCE + 2)))
    store.write(failed(AT_ONCE + 1, "runs"))
    said = f"(combined from similar events): round {AT_ONCE + 1} runs"
    assert ("WorkersFailed", 2, said) in store.shown


def test_each_300_s_one_more_event_has_its_object() -> None:
    store = Store()
    store.write(*(failed(n) for n in range(AT_ONCE)))
    assert [e.is_combined for e in store.write(failed(100), at=EACH_S - 1)] == [True]
    assert [e.is_combined for e in store.write(failed(101), at=EACH_S)] == [False]
    assert [e.is_combined for e in store.write(failed(102), at=EACH_S)] == [True]


def test_an_object_belongs_to_the_job_and_its_text_is_limited() -> None:
    (entry,) = Store().write(Note("Failed", "m" * 5000, True))
    made = journals.manifest(JOB, entry, AT)
    assert made["involvedObject"]["uid"] == JOB.uid
    assert (made["type"], made["count"]) == ("Warning", 1)
    assert made["firstTimestamp"] == made["lastTimestamp"] == "2026-01-01T00:00:00Z"
    assert len(made["message"]) == journals.LONGEST_MESSAGE
    stored = {**made, "metadata": {**made["metadata"], "resourceVersion": "9"}}
    assert journals.repeat(stored, entry, AT) == {
        "metadata": {"resourceVersion": "9"},
        "type": "Warning",
        "reason": "Failed",
        "count": 2,
        "lastTimestamp": "2026-01-01T00:00:00Z",
        "message": made["message"],
    }


def test_actions_are_kept_until_they_are_reported() -> None:
    deleted = DeletePod("demo-0-0", "u", Deletion.LOST)
    refused: dict[Action, str] = {ListLeases(): "no"}
    journal = journals.after_actions(EMPTY, ActionResults(done=[deleted], refused=refused))
    journal = journals.after_actions(journal, ActionResults(done=[CreatePod(Pod(0, 1))]))
    assert journal.done == (deleted, CreatePod(Pod(0, 1)))
    assert journal.refused == refused
    after = journals.after_report(journal, ElasticJobStatus(round=1))
    assert (after.done, after.refused, after.reported.round) == ((), {}, 1)
