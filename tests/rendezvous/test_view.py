"""When a Lease last changed, and whether a GET has confirmed it since."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from tests.support.protocol import lease, letter, pod, pods

from elasticjob.rendezvous import view

EMPTY = view.View("demo", pod("A"), pulses=7)


def test_a_change_ends_the_silence() -> None:
    before = view.with_lease(EMPTY, lease("B", "running 1", 5), 10.0, by_get=False)
    changed = view.with_lease(before, lease("B", "running 1", 6), 30.0, by_get=False)
    assert changed.seen[pod("B")] == view.Seen(
        lease("B", "running 1", 6), 30.0, 7, 2, "node-1", alive_at=30.0
    )


def test_a_get_is_remembered_until_the_next_change() -> None:
    before = view.with_lease(EMPTY, lease("B", "running 1", 5), 10.0, by_get=False)
    later = replace(before, pulses=9)
    got = view.with_lease(later, lease("B", "running 1", 5), 20.0, by_get=True)
    assert got.seen[pod("B")] == replace(before.seen[pod("B")], got_at=20.0, got_pulse=9)
    assert view.with_lease(got, lease("B", "running 1", 5), 30.0, by_get=False) == got
    changed = view.with_lease(got, lease("B", "running 1", 6), 30.0, by_get=False)
    assert changed.seen[pod("B")].got_at == -math.inf


def test_a_get_may_be_what_shows_the_change() -> None:
    got = view.with_lease(EMPTY, lease("B", "running 1", 5), 10.0, by_get=True)
    assert (got.seen[pod("B")].changed_at, got.seen[pod("B")].got_at) == (10.0, 10.0)


def test_an_older_version_is_old_news() -> None:
    """The stream brings what a GET has shown already."""
    before = view.with_lease(EMPTY, lease("B", "running 2", 9), 10.0, by_get=True)
    assert view.with_lease(before, lease("B", "running 1", 8), 20.0, by_get=False) == before


@pytest.mark.parametrize("clock", ["1970-01-01T00:00:00.000000Z", "2999-01-01T00:00:00.000000Z"])
def test_the_clock_of_an_agent_is_not_read(clock: str) -> None:
    renewed = replace(lease("B", "running 1", 5), renew_time=clock)
    seen = view.with_lease(EMPTY, renewed, 10.0, by_get=False).seen[pod("B")]
    assert (seen.changed_at, seen.alive_at) == (10.0, 10.0)


def test_versions_are_numbers() -> None:
    assert view.is_newer("10", "9")
    assert not view.is_newer("9", "10")
    assert not view.is_newer("9", "9")


def test_absent_is_silent_from_then_on_and_keeps_its_node() -> None:
    before = view.with_lease(EMPTY, lease("B", "running 1", 5), 10.0, by_get=False)
    gone = view.without_lease(before, pod("B"), 20.0, by_get=False)
    assert gone.seen[pod("B")] == view.Seen(None, 20.0, 7, 2, "node-1", alive_at=10.0)
    still = view.without_lease(gone, pod("B"), 30.0, by_get=True)
    assert still.seen[pod("B")] == view.Seen(None, 20.0, 7, 2, "node-1", 30.0, 7, 10.0)


def test_a_lease_that_comes_back_is_a_change() -> None:
    gone = view.without_lease(EMPTY, pod("B"), 20.0, by_get=True)
    back = view.with_lease(gone, lease("B", "running 1", 9), 30.0, by_get=False)
    assert back.seen[pod("B")].changed_at == 30.0


def test_an_initial_set_replaces_the_view() -> None:
    """F3: the watch does not report a deletion in the gap."""
    before = view.with_lease(EMPTY, lease("B", "running 1", 5), 10.0, by_get=False)
    before = view.with_lease(before, lease("C", "running 1", 6), 10.0, by_get=False)
    before = view.with_lease(before, lease("E", "ready 1", 7), 10.0, by_get=False)
    leases = (lease("B", "running 1", 5), lease("C", "running 2", 8), lease("F", "ready 2", 9))
    after = view.with_initial_set(before, leases, pods("B C D"), 50.0)
    assert " ".join(map(letter, sorted(after.seen))) == "B C D F"  # E is gone
    assert after.seen[pod("B")] == before.seen[pod("B")]  # unchanged: as silent as it was
    assert after.seen[pod("C")].changed_at == 50.0
    assert after.seen[pod("D")] == view.Seen(None, 50.0, 7, after.order, "", alive_at=50.0)
    assert {after.seen[pod(x)].order for x in "CDF"} == {after.order}


def test_an_absent_agent_stays_absent_over_an_initial_set() -> None:
    gone = view.without_lease(EMPTY, pod("B"), 20.0, by_get=False)
    assert view.with_initial_set(gone, (), pods("B"), 50.0).seen[pod("B")].changed_at == 20.0


# ---- the last sign of life -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "alive_at"),
    [
        ("running 1", 30.0),
        ("running 1 leaving", 30.0),
        ("running 1 ended", 10.0),  # written by the operator
    ],
)
def test_a_renewal_is_a_sign_of_life_and_the_operators_mark_is_none(
    words: str, alive_at: float
) -> None:
    before = view.with_lease(EMPTY, lease("B", "running 1", 5), 10.0, by_get=False)
    changed = view.with_lease(before, lease("B", words, 6), 30.0, by_get=False)
    assert changed.seen[pod("B")].alive_at == alive_at


def test_a_leaving_agent_gave_its_last_sign_when_it_began_to_leave() -> None:
    before = view.with_lease(EMPTY, lease("B", "running 1 leaving", 5), 10.0, by_get=False)
    changed = view.with_lease(before, lease("B", "running 1 leaving", 6), 30.0, by_get=False)
    assert changed.seen[pod("B")].alive_at == 10.0


def test_a_new_holder_knows_the_last_pulse_of_the_one_before_or_when_it_gave_up_the_role() -> None:
    for words, alive_at in [("running 1", 40.0), ("running 1 leaving", 44.0)]:
        first = view.with_initial_set(EMPTY, (lease("B", words, 5),), pods("B"), 50.0)
        former = view.FormerHolder(pod("B"), pulse_at=40.0, given_up_at=44.0)
        assert view.with_former_holder(first, former).seen[pod("B")].alive_at == alive_at
    assert view.with_former_holder(EMPTY, former) == EMPTY
