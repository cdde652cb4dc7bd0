"""The holder's pulse: what it reports, and how the holder finds a dead watch by it (F10)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.support.protocol import T, active, forming, holding, lease, of, round_lease, steps

from elasticjob.rendezvous import timing
from elasticjob.rendezvous.actions import Action, CasRound, Pulse, ReopenStream
from elasticjob.rendezvous.events import LeaseSeen, PulseFailed, RoundSeen, Source, Tick
from elasticjob.rendezvous.state import Me
from elasticjob.wire.report import JoinWait, JoinWaitKind
from elasticjob.wire.round import Round


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


# ---- what newcomers wait for ---------------------------------------------------------------------

AB1 = active(1, "A B")
REPORTED_AFTER_S = timing.REPORT_WAIT_S


def waits(round_: Round = AB1, **wanted: object) -> Me:
    """A holder whose members run, as it has reported, when `C` joins."""
    leases = [lease("A", "running 1"), lease("B", "running 1")]
    me = holding("A", round_, leases, wanted="A B C", **wanted)
    return steps(me, LeaseSeen(lease("C", "ready 1", 9)))[0]


def answered(me: Me, sent: Pulse, version: int, now: float) -> Me:
    """The API server has written the pulse, and the watch delivers it."""
    assert me.lease is not None
    made = round_lease(me.lease.round, "A", version, f"p{version}", desired=me.lease.desired)
    made = replace(made, report=sent.report)
    return steps(me, RoundSeen(made, Source.PULSE), RoundSeen(made, Source.WATCH), now=now)[0]


def test_the_begin_of_a_wait_costs_one_more_pulse() -> None:
    """Then each pulse contains what is left of it."""
    me, sent = waits(), []
    for k in range(3):
        me, actions = pulse(me, now=REPORTED_AFTER_S + k * T)
        (one,) = of(Pulse, actions)
        sent.append(one.report.join_wait)
        me = answered(me, one, 10 + k, REPORTED_AFTER_S + k * T)
        _, actions = pulse(me, now=REPORTED_AFTER_S + (k + 0.9) * T)
        assert not of(Pulse, actions)
    lefts = [60_000 - round((REPORTED_AFTER_S + k * T) * 1000) for k in range(3)]
    assert sent == [JoinWait(JoinWaitKind.COOLDOWN, left) for left in lefts]


def test_a_wait_that_ends_at_once_costs_no_pulse() -> None:
    """A job whose pods start a few milliseconds apart writes its round, and nothing before."""
    me = holding("A", forming(0), [lease("A", "ready 0")], wanted="A B")
    me, actions = steps(me, LeaseSeen(lease("B", "ready 0", 9)), now=0.01)
    assert [type(action) for action in actions] == [CasRound]


def test_the_wait_is_no_longer_reported_when_the_newcomer_has_gone() -> None:
    me, actions = pulse(waits(), now=REPORTED_AFTER_S)
    me = answered(me, of(Pulse, actions)[0], 10, REPORTED_AFTER_S)
    me, _ = steps(me, LeaseSeen(lease("C", "ready 1 leaving", 11)), now=REPORTED_AFTER_S)
    _, actions = pulse(me, now=REPORTED_AFTER_S + T)
    assert of(Pulse, actions)[0].report.join_wait is None
