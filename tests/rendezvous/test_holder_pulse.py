"""The holder's pulse: what it reports, and how the holder finds a dead watch by it (F10)."""

from __future__ import annotations

import pytest
from tests.support.protocol import T, active, holding, lease, of, steps

from elasticjob.rendezvous.actions import Action, Pulse, ReopenStream
from elasticjob.rendezvous.events import LeaseSeen, PulseFailed, Tick
from elasticjob.rendezvous.state import Me


def holder(*words: str) -> Me:
    leases = [lease(letter, reported) for letter, reported in zip("AB", words)]
    return holding("A", active(1, "A B"), leases, wanted="A B", has_report=False)


def pulse(me: Me, now: float) -> tuple[Me, list[Action]]:
    return steps(me, Tick(), now=now)


def test_a_pulse_that_met_a_version_which_never_came_reopens_the_stream() -> None:
    me, actions = pulse(holder("running 1", "running 0"), now=2 * T)
    assert len(of(Pulse, actions)) == 1
    me, actions = steps(me, PulseFailed(conflict=True), now=2 * T)
    assert not of(ReopenStream, actions)
    _, actions = pulse(me, now=3 * T)
    assert of(ReopenStream, actions) == [ReopenStream(wide=True)]
    assert not of(Pulse, actions)


def test_a_pulse_that_got_no_answer_is_repeated() -> None:
    me, _ = pulse(holder("running 1", "running 0"), now=2 * T)
    me, _ = steps(me, PulseFailed(conflict=False), now=2 * T)
    _, actions = pulse(me, now=3 * T)
    assert len(of(Pulse, actions)) == 1
    assert not of(ReopenStream, actions)


@pytest.mark.parametrize(
    ("word", "is_reported"), [("running 1", True), ("ready 1", False), ("running 0", False)]
)
def test_the_report_that_all_members_run_is_written_at_once(word: str, is_reported: bool) -> None:
    me = holder("running 1", "running 0")
    now = 0.1
    me, actions = steps(me, LeaseSeen(lease("B", word, version=9)), now=now)
    assert bool(of(Pulse, actions)) is is_reported


def test_a_member_of_a_small_group_reports_running_soon() -> None:
    me = holder("running 1", "running 1")
    assert me.renew_at <= T
