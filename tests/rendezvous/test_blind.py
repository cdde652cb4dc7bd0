"""Rule 7: a holder that was blind for 2T suspects no agent for 3T (F16, F17)."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from tests.support.mutants import without
from tests.support.protocol import (
    T,
    active,
    case,
    holding,
    joined,
    lease,
    letter,
    name,
    of,
    round_lease,
    seen,
    steps,
)

from elasticjob.rendezvous import events
from elasticjob.rendezvous.actions import CasRound, GetLease
from elasticjob.rendezvous.members.judge import judge
from elasticjob.rendezvous.rule_helpers import contact_since
from elasticjob.rendezvous.state import Me

RUN2 = active(2, "A B C")
ALL = {"A": "running 2", "B": "running 2", "C": "running 2"}
SILENT = seen("B", "running 2", pulses=3, confirmed=True)
LATE = seen("B", "running 1", confirmed=True)
ABC = active(1, "A B C")


def letters(found: Any) -> str:
    return " ".join(letter(pod) for pod in sorted(found))


def holder() -> Me:
    """Agent A, which received from the API server at 0."""
    return holding("A", ABC, [lease(x, "running 1") for x in "ABC"])


def pulse(number: int) -> events.RoundSeen:
    return events.RoundSeen(round_lease(ABC, "A", 100 + number, f"p{number}"), events.Source.WATCH)


# ---- when it sees again --------------------------------------------------------------------------


@pytest.mark.parametrize(("gap_s", "was_blind"), [(T, False), (2 * T, False), (2 * T + 0.1, True)])
@pytest.mark.parametrize(
    "event",
    [
        pulse(1),
        events.LeaseSeen(lease("B", "running 1", 9)),
        events.LeaseSeen(lease("B", "running 1"), by_get=True),
        events.LeaseGone(name("C")),
        events.ViewComplete(()),
        events.RenewalReturned(lease("A", "running 1", 9)),
    ],
)
def test_an_agent_is_blind_after_two_t_without_the_api_server(
    event: events.Event, gap_s: float, was_blind: bool
) -> None:
    me, _ = steps(holder(), event, now=gap_s)
    assert me.contact_since == (gap_s if was_blind else -math.inf)


@pytest.mark.parametrize(
    "event",
    [
        events.Tick(),
        events.PulseFailed(conflict=False),
        events.GetFailed(name("B")),
        events.RenewalReturned(None),
        events.WorkerExited(1),
    ],
)
def test_an_event_that_is_not_from_the_api_server_ends_no_blindness(event: events.Event) -> None:
    me, _ = steps(holder(), event, now=9 * T)
    assert me.contact_since == -math.inf
    assert contact_since(me, 9 * T) == 9 * T  # it is blind now


def test_an_agent_that_is_new_was_not_blind() -> None:
    me = joined("A", ABC, now=1000.0)
    assert contact_since(me, 1000.0) == -math.inf


# ---- what it accuses -----------------------------------------------------------------------------


@pytest.mark.parametrize("member", [SILENT, LATE], ids=["silent", "late"])
@pytest.mark.parametrize(
    ("ago_s", "lost", "mutant"), [(0.0, "", "B"), (14.9, "", "B"), (15.0, "B", "B")]
)
def test_no_agent_is_silent_or_late_for_three_t(
    member: Any, ago_s: float, lost: str, mutant: str
) -> None:
    found = replace(case(RUN2, {**ALL, "B": member}, round_at=0.0), contact_since=1000.0 - ago_s)
    assert letters(judge(found).lost) == lost
    assert not judge(found).suspects
    with without("7-was-blind"):
        assert letters(judge(found).lost) == mutant


@pytest.mark.parametrize("member", [SILENT, LATE], ids=["silent", "late"])
def test_a_get_of_that_time_confirms_nothing(member: Any) -> None:
    """The GET was sent before, or its answer was the first event after the blind time."""
    early = replace(member, got_at=999.9)
    found = replace(case(RUN2, {**ALL, "B": early}, round_at=0.0), contact_since=985.0)
    assert (letters(judge(found).lost), letters(judge(found).suspects)) == ("", "B")


@pytest.mark.parametrize(
    ("reported", "done", "leaving", "lost"),
    [
        ("done 2", "B", "", ""),
        ("running 2 leaving", "", "B", ""),
        ("running 2 ended", "", "", "B"),
    ],
)
def test_what_a_member_reports_counts_at_once(
    reported: str, done: str, leaving: str, lost: str
) -> None:
    found = judge(replace(case(RUN2, {**ALL, "B": reported}), contact_since=1000.0))
    assert (letters(found.done), letters(found.leaving), letters(found.lost)) == (
        done, leaving, lost,
    )  # fmt: skip


def test_a_new_holder_that_was_not_blind_need_not_wait_for_the_one_that_it_replaced() -> None:
    """6-replaced-is-silent."""
    me = joined("B", ABC, holder="A", pulse="p1")
    for i in (1, 2, 3):
        me, _ = steps(me, events.RenewalReturned(lease("B", "running 1", 10 + i)), now=i * T)
    read = events.RoundSeen(round_lease(ABC, "A", 1, "p1"), events.Source.READ)
    me, actions = steps(me, read, now=3 * T)
    assert of(CasRound, actions)
    mine = round_lease(ABC, "B", 2, "p2")
    view = events.ViewComplete(tuple(lease(x, "running 1") for x in "ABC"))
    order = (
        events.RoundSeen(mine, events.Source.ANSWER),
        events.RoundSeen(mine, events.Source.READ),
        view,
    )
    _, actions = steps(me, *order, now=3 * T)
    assert of(GetLease, actions) == [GetLease(name("A"))]
