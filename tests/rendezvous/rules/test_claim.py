"""Rule 5: claim the holder role if it is vacant or the holder is silent."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.support.mutants import without
from tests.support.protocol import (
    T,
    active,
    ended,
    forming,
    identity,
    joined,
    lease,
    name,
    of,
    round_lease,
    steps,
)

from elasticjob.rendezvous import events
from elasticjob.rendezvous.actions import CasRound, ReopenStream
from elasticjob.rendezvous.rules.claim import position
from elasticjob.rendezvous.state import Me, Stage
from elasticjob.wire.round import Phase, Round

READ, WATCH = events.Source.READ, events.Source.WATCH
ABC = active(1, "A B C")


def seen(
    round_: Round = ABC, holder: str = "", version: int = 2, pulse: str = "",
    source: events.Source = WATCH,
) -> events.RoundSeen:  # fmt: skip
    return events.RoundSeen(round_lease(round_, holder, version, pulse), source)


def renewed(letter: str, version: int) -> events.RenewalReturned:
    return events.RenewalReturned(lease(letter, "running 1", version))


# ---- a vacant role -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("letter", "place"), [("A", 0), ("B", 1), ("C", 2), ("D", 6), ("A'", 3), ("Z", 28)]
)
def test_members_come_first_and_others_by_their_index(letter: str, place: int) -> None:
    me = joined(letter, ABC)
    assert me.lease is not None
    assert position(me, me.lease) == place


@pytest.mark.parametrize(("letter", "delay_s"), [("A", 0.0), ("B", 0.05), ("C", 0.1), ("D", 0.3)])
def test_an_empty_holder_is_claimed_staggered(letter: str, delay_s: float) -> None:
    me, actions = steps(joined(letter, ABC), seen(), now=1.0)
    if delay_s:
        assert not of(CasRound, actions)
        me, actions = steps(me, events.Tick(), now=1.0 + delay_s - 0.001)
        assert not of(CasRound, actions)
        _, actions = steps(me, events.Tick(), now=1.0 + delay_s)
    assert of(CasRound, actions) == [CasRound("2", holder=name(letter))]


def test_jitter_parts_claimants_at_one_place() -> None:
    me = replace(joined("A", ABC), who=identity("A", jitter=0.5))
    me, actions = steps(me, seen(), now=1.0)
    assert not of(CasRound, actions)
    assert of(CasRound, steps(me, events.Tick(), now=1.0251)[1])


def test_a_holder_that_came_meanwhile_ends_the_claim() -> None:
    me, _ = steps(joined("B", ABC), seen())
    me, _ = steps(me, seen(holder="A", version=3))
    assert me.claim_at is None
    assert not of(CasRound, steps(me, events.Tick(), now=1.0)[1])


def test_a_failed_claim_is_repeated_while_there_is_no_holder() -> None:
    me, _ = steps(joined("A", ABC), seen())
    me, actions = steps(me, events.CasFailed(conflict=False))
    assert not of(CasRound, actions)
    assert of(CasRound, steps(me, events.Tick(), now=0.5)[1])


def test_an_agent_outside_claims_too() -> None:
    """F5: the members may all be gone."""
    me, _ = steps(joined("D", ABC), seen())
    assert of(CasRound, steps(me, events.Tick(), now=2.0)[1])


def test_a_leaver_claims_nothing() -> None:
    me, _ = steps(joined("A", ABC), events.LeaveRequested(), seen())
    assert not of(CasRound, steps(me, events.Tick(), now=2.0)[1])


@pytest.mark.parametrize("phase", [Phase.SUCCEEDED, Phase.FAILED])
def test_after_the_end_no_agent_claims(phase: Phase) -> None:
    assert not of(CasRound, steps(joined("A", ABC), seen(ended(ABC, phase)))[1])


def test_an_agent_without_a_lease_does_not_claim() -> None:
    me = replace(joined("A", ABC), stage=Stage.CREATING, request_pending=True)
    assert not of(CasRound, steps(me, seen())[1])


# ---- a silent holder -----------------------------------------------------------------------------


def quiet(letter: str = "B", pulse: str = "p1") -> Me:
    """Three of its renewals succeeded and 3 T went by without a pulse."""
    me = joined(letter, ABC, holder="A", pulse=pulse)
    for i in range(3):
        me, actions = steps(me, renewed(letter, 10 + i), now=(i + 1) * T)
        assert not of(ReopenStream, actions) or i == 2
    return me


def test_after_three_renewals_without_a_pulse_it_reads_again_before_it_claims() -> None:
    me = joined("B", ABC, holder="A", pulse="p1")
    for i, expected in enumerate([[], [], [ReopenStream(wide=False)]]):
        me, actions = steps(me, renewed("B", 10 + i), now=(i + 1) * T)
        assert of(ReopenStream, actions) == expected
    assert not of(CasRound, actions)


def test_three_quick_renewals_are_no_proof() -> None:
    """They go out at once for `done` or `leaving`: 3 T must go by, too."""
    me = joined("B", ABC, holder="A", pulse="p1")
    for i in range(5):
        me, actions = steps(me, renewed("B", 10 + i), now=0.1 * i)
        assert not of(ReopenStream, actions)
    assert of(ReopenStream, steps(me, events.Tick(), now=3 * T)[1])


def test_without_its_own_renewals_it_does_not_check_the_holder() -> None:
    """It is cut off itself."""
    me = joined("B", ABC, holder="A", pulse="p1")
    assert not of(ReopenStream, steps(me, events.Tick(), now=99.0)[1])


def test_a_pulse_restarts_the_silence() -> None:
    me = joined("B", ABC, holder="A", pulse="p1")
    me, _ = steps(me, renewed("B", 10), renewed("B", 11), now=2 * T)
    me, _ = steps(me, seen(holder="A", pulse="p2"), now=2 * T)
    assert (me.renewals_since_pulse, me.last_pulse_at) == (0, 2 * T)
    assert not of(ReopenStream, steps(me, renewed("B", 12), now=3 * T)[1])


@pytest.mark.parametrize("clock", ["1970-01-01T00:00:00.000000Z", "2999-01-01T00:00:00.000000Z"])
def test_the_clock_of_the_holder_is_not_read(clock: str) -> None:
    me, _ = steps(joined("B", ABC, holder="A", pulse="p1"), seen(holder="A", pulse=clock), now=7.0)
    assert me.last_pulse_at == 7.0


def test_a_version_without_a_pulse_is_no_sign_of_life() -> None:
    """Another agent's crash step: the holder may be dead all the same."""
    me = joined("B", ABC, holder="A", pulse="p1")
    me, _ = steps(me, renewed("B", 10), renewed("B", 11), now=2 * T)
    me, _ = steps(me, seen(active(2, "A B C"), "A", 2, "p1"), now=2 * T)
    assert me.renewals_since_pulse == 2


def test_a_newer_pulse_in_the_read_ends_the_doubt() -> None:
    """F10: the agent's watch was dead, not the holder."""
    me, actions = steps(quiet(), seen(holder="A", pulse="p2", source=READ), now=3 * T)
    assert not of(CasRound, actions)
    assert (me.doubted_pulse, me.holder_silent) == (None, False)


def test_the_same_pulse_in_the_read_is_silence_and_the_holder_is_replaced() -> None:
    me, actions = steps(quiet(), seen(holder="A", pulse="p1", source=READ), now=3 * T)
    assert of(CasRound, actions) == [CasRound("2", holder=name("B"))]
    me, actions = steps(me, seen(holder="B", version=3, source=events.Source.ANSWER), now=3 * T)
    assert me.hold is not None
    assert me.hold.replaced_holder == identity("A").pod
    assert of(ReopenStream, actions) == [ReopenStream(wide=True)]


def test_a_silent_holder_that_was_leaving_may_be_marked() -> None:
    """It is silent from ever on, so when it left is known by its last sign of life alone."""
    me, _ = steps(quiet(), seen(holder="A", pulse="p1", source=READ), now=3 * T)
    me, _ = steps(me, seen(holder="B", version=3, source=events.Source.ANSWER), now=3 * T)
    left, own = lease("A", "running 1 leaving", 5), lease("B", "running 1", 12)
    me, _ = steps(me, events.ViewComplete((left, own)), now=3 * T)
    mark = events.LeaseSeen(lease("A", "running 1 leaving ended", 13))
    me, _ = steps(me, mark, now=4 * T)
    assert me.hold is not None
    assert 0.0 <= me.hold.left_at <= 4 * T


def test_it_reads_again_once() -> None:
    me = quiet()
    assert not of(ReopenStream, steps(me, renewed("B", 20), renewed("B", 21), now=9 * T)[1])


def test_another_holder_in_the_read_is_given_its_time() -> None:
    me, actions = steps(quiet(), seen(holder="C", pulse="p9", source=READ), now=3 * T)
    assert not of(CasRound, actions)
    assert (me.holder_silent, me.renewals_since_pulse) == (False, 0)


def test_a_holder_that_is_no_pods_name_is_replaced_like_any_other() -> None:
    """A user wrote the holder's name by hand, and no pod has it."""
    me, _ = steps(quiet(), seen(holder="A", pulse="p1", source=READ), now=3 * T)
    by_hand = replace(round_lease(ABC, "", 3), holder="another")
    me, _ = steps(me, events.CasFailed(conflict=True), events.RoundSeen(by_hand, WATCH), now=3 * T)
    for i in range(3):
        me, _ = steps(me, renewed("B", 30 + i), now=(4 + i) * T)
    again = replace(by_hand, version="4")
    me, actions = steps(me, events.RoundSeen(again, READ), now=7 * T)
    assert of(CasRound, actions) == [CasRound("4", holder=name("B"))]
    me, _ = steps(me, seen(holder="B", version=5, source=events.Source.ANSWER), now=7 * T)
    assert me.hold is not None
    assert me.hold.replaced_holder is None


def test_without_the_second_read_it_claims_at_once() -> None:
    with without("5-reopens"):
        me = quiet()
    assert (me.cas_version, me.doubted_pulse) == ("1", None)


def test_forming_rounds_need_a_judge_too() -> None:
    me, actions = steps(joined("A", forming(3)), seen(forming(3)))
    assert of(CasRound, actions) == [CasRound("2", holder=name("A"))]
    assert me.cas_version == "2"
