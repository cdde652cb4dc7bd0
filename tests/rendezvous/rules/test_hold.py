"""Rule 6: the holder's watch, pulse, GETs and decisions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.support.mutants import without
from tests.support.protocol import (
    JOB,
    T,
    active,
    ended,
    forming,
    holding,
    joined,
    lease,
    letter,
    name,
    of,
    pod,
    round_lease,
    steps,
)

from elasticjob.rendezvous import agent_step
from elasticjob.rendezvous.actions import (
    CasRound,
    CreateLease,
    GetLease,
    Pulse,
    ReopenStream,
    WriteState,
)
from elasticjob.rendezvous.events import (
    CasFailed,
    GetFailed,
    LeaseGone,
    LeaseSeen,
    LeaveRequested,
    PulseFailed,
    RoundSeen,
    Source,
    Tick,
    ViewComplete,
    WorkerExited,
)
from elasticjob.rendezvous.state import Me
from elasticjob.wire.agent_state import AgentPhase, AgentState
from elasticjob.wire.desired import Desired
from elasticjob.wire.lease import AgentLease
from elasticjob.wire.member import Pod
from elasticjob.wire.report import Progress, Recovery
from elasticjob.wire.round import Phase, Round

READ, WATCH, ANSWER, PULSE = Source.READ, Source.WATCH, Source.ANSWER, Source.PULSE
ABC = active(1, "A B C")


def leases(*letters: str, words: str = "running 1", version: int = 1) -> list[AgentLease]:
    return [lease(x, words, version) for x in letters]


def holder(round_: Round = ABC, *, members: str = "A B C", **fields: Any) -> Me:
    """A, holding, with a complete view."""
    return holding("A", round_, leases(*members.split(), words=f"running {round_.n}"), **fields)


def seen(
    round_: Round = ABC, version: int = 2, source: Source = WATCH, pulse: str = "",
    holder: str = "A", **wanted: Any,
) -> RoundSeen:  # fmt: skip
    return RoundSeen(round_lease(round_, holder, version, pulse, **wanted), source)


def pulsed(me: Me, times: int, start: float = 0.0, version: int = 100) -> tuple[Me, list[Any]]:
    """A sends and receives this number of pulses, T apart. Returns all other actions."""
    others: list[Any] = []
    for i in range(1, times + 1):
        at = start + i * T
        me, actions = steps(me, Tick(), now=at)
        assert len(of(Pulse, actions)) == 1
        others += [a for a in actions if not isinstance(a, (Pulse, WriteState))]
        assert me.lease is not None
        lease_ = replace(me.lease, version=str(version + i), renew_time=f"p{i}")
        me, more = steps(me, RoundSeen(lease_, PULSE), RoundSeen(lease_, WATCH), now=at)
        others += [a for a in more if not isinstance(a, WriteState)]
    return me, others


# ---- the stream ----------------------------------------------------------------------------------


def test_a_new_holder_opens_the_wide_stream() -> None:
    me, actions = steps(joined("A", ABC), seen(source=ANSWER))
    assert of(ReopenStream, actions) == [ReopenStream(wide=True)]
    assert not me.narrow


def test_nothing_is_decided_before_the_initial_set_is_complete() -> None:
    """F3: it has seen the round with C, and not yet C's Lease."""
    me, _ = steps(joined("A", ABC), seen(source=ANSWER))
    events = (LeaseSeen(lease("A", "done 1")), LeaseSeen(lease("B", "running 1 ended")))
    me, actions = steps(me, seen(version=3, source=READ), *events)
    assert not of(CasRound, actions)
    assert me.hold is not None
    assert not me.hold.view.seen
    _, actions = steps(me, ViewComplete(tuple(leases("A", "B", "C"))))
    assert not of(CasRound, actions)


def test_the_initial_set_leaves_out_other_jobs() -> None:
    me, _ = steps(joined("A", ABC), seen(source=ANSWER), seen(version=3, source=READ))
    other = replace(lease("B", "running 1"), job_uid="uid-2")
    me, _ = steps(me, ViewComplete((lease("A", "running 1"), other)))
    assert me.hold is not None
    assert {letter(p): x.lease is not None for p, x in me.hold.view.seen.items()} == {
        "A": True, "B": False, "C": False,
    }  # fmt: skip


def test_a_former_holder_returns_to_the_narrow_stream() -> None:
    me, actions = steps(holder(), seen(holder="B"))
    assert me.hold is None
    assert of(ReopenStream, actions) == [ReopenStream(wide=False)]
    assert steps(me, Tick())[1] == []


def test_the_end_comes_with_the_last_report() -> None:
    """No pulse follows it, so no other write would report the last progress."""
    reported = AgentState(AgentPhase.DONE, 1, progress=Progress(9, 9))
    done = [LeaseSeen(replace(lease(x, "done 1", 2), state=reported)) for x in "ABC"]
    (write,) = of(CasRound, steps(holder(), *done)[1])
    assert write.round.phase is Phase.SUCCEEDED
    assert write.report.progress == Progress(9, 9)


def test_a_round_that_continues_is_reported_by_its_pulses() -> None:
    ended = LeaseSeen(lease("C", "running 1 ended", 2))
    (write,) = of(CasRound, steps(holder(), ended)[1])
    assert write.report is None


# ---- the pulse -----------------------------------------------------------------------------------


def test_a_pulse_every_t_while_the_last_one_came_back() -> None:
    me, others = pulsed(holder(), 4)
    assert others == []
    assert me.hold is not None
    assert me.hold.view.pulses == 4


@pytest.mark.parametrize("watch_first", [True, False])
def test_a_pulse_may_come_back_before_its_answer(watch_first: bool) -> None:
    """Two connections, two threads."""
    me, _ = steps(holder(), Tick(), now=T)
    answer, watched = seen(version=9, source=PULSE, pulse="p1"), seen(version=9, pulse="p1")
    me, _ = steps(me, *((watched, answer) if watch_first else (answer, watched)), now=T)
    assert me.hold is not None
    assert (me.hold.pulse_returned, me.hold.view.pulses) == (True, 1)
    me, actions = steps(me, Tick(), now=2 * T)
    assert of(Pulse, actions)
    assert not of(ReopenStream, actions)


def test_a_later_version_brings_the_pulse_back_too() -> None:
    """A watch may skip versions of an object that changed twice."""
    me, _ = steps(holder(), Tick(), now=T)
    me, _ = steps(me, seen(version=9, source=PULSE, pulse="p1"))
    me, _ = steps(me, seen(active(2, "A B C"), version=12, pulse="p1"))
    assert me.hold is not None
    assert me.hold.pulse_returned


def test_a_pulse_that_did_not_come_back_reopens_the_stream() -> None:
    """F10: the holder's watch is dead: what it does not deliver proves nothing."""
    me, _ = steps(holder(), Tick(), now=T)
    me, _ = steps(me, seen(version=9, source=PULSE, pulse="p1"), now=T)
    me, actions = steps(me, Tick(), now=2 * T)
    assert of(ReopenStream, actions) == [ReopenStream(wide=True)]
    assert not of(Pulse, actions)
    me, actions = steps(me, Tick(), now=9 * T)
    assert not of(Pulse, actions)  # so the other agents find the holder silent
    assert not of(CasRound, actions)
    me, actions = steps(me, seen(version=20, source=READ), ViewComplete(tuple(leases("A", "B"))))
    assert me.hold is not None
    assert (me.hold.complete, me.hold.pulse_returned) == (True, True)


def test_a_pulse_that_failed_is_repeated_soon() -> None:
    me, _ = steps(holder(heartbeat_s=0.2), Tick(), now=1.0)
    me, actions = steps(me, PulseFailed(conflict=False), now=1.0)
    assert not of(Pulse, actions)
    assert of(Pulse, steps(me, Tick(), now=1.1)[1])


def test_one_write_of_the_round_at_a_time() -> None:
    """Of two writes against one version, one is a conflict for sure."""
    gone = LeaseSeen(lease("B", "running 1 ended", 9))
    me, actions = steps(holder(), Tick(), gone, now=T)
    assert len(of(Pulse, actions)) == 1
    assert not of(CasRound, actions)
    me, actions = steps(me, seen(version=9, source=PULSE, pulse="p1"), now=T)
    assert [cas.version for cas in of(CasRound, actions)] == ["9"]
    assert not of(Pulse, steps(me, Tick(), now=2 * T)[1])


@pytest.mark.parametrize("phase", [Phase.SUCCEEDED, Phase.FAILED])
def test_no_pulse_after_the_end(phase: Phase) -> None:
    me, _ = steps(holder(), seen(ended(ABC, phase)))
    assert not of(Pulse, steps(me, Tick(), now=9 * T)[1])


def test_the_holder_renews_its_own_lease_only_when_its_state_changes() -> None:
    me, actions = steps(holder(), Tick(), now=T)
    assert not of(WriteState, actions)
    me, actions = steps(me, WorkerExited(1), now=T)
    assert len(of(WriteState, actions)) == 1


# ---- leaving -------------------------------------------------------------------------------------


def test_a_leaving_holder_clears_and_neither_pulses_nor_judges() -> None:
    me, actions = steps(holder(), LeaveRequested())
    assert of(CasRound, actions) == [CasRound("1", holder="")]
    assert not of(Pulse, steps(me, Tick(), now=T)[1])
    me, actions = steps(me, seen(holder="", source=ANSWER), LeaseSeen(lease("B", "done 1 ended")))
    assert me.hold is None
    assert not of(CasRound, actions)


# ---- a GET before a loss -------------------------------------------------------------------------


def test_a_silent_member_is_read_once_and_lost_when_confirmed() -> None:
    """F13."""
    me = holder(members="A B C")
    me, others = pulsed(me, 2)
    assert others == []
    me, _ = steps(me, LeaseSeen(lease("C", "running 1", 50)), now=2 * T)
    me, others = pulsed(me, 1, start=2 * T, version=200)
    assert others == [GetLease(name("B"))]
    assert not steps(me, Tick(), now=3 * T + 1)[1]  # under way
    got = LeaseSeen(lease("B", "running 1", 1), by_get=True)
    me, actions = steps(me, got, now=3 * T + 1)
    (cas,) = of(CasRound, actions)
    assert cas.round.pods == {pod("A"), pod("C")}
    assert cas.round.charged.numbers == {2}


def test_a_get_that_shows_a_sign_of_life_counts() -> None:
    me, _ = pulsed(holder(members="A B C"), 2)
    me, _ = steps(me, LeaseSeen(lease("C", "running 1", 50)), now=2 * T)
    me, _ = pulsed(me, 1, start=2 * T, version=200)
    me, actions = steps(me, LeaseSeen(lease("B", "running 1", 77), by_get=True), now=3 * T)
    assert not actions
    assert me.hold is not None
    assert me.hold.view.seen[pod("B")].changed_at == 3 * T


def test_a_lease_that_is_not_found_confirms_as_well() -> None:
    me, _ = steps(holder(), LeaseGone(name("B")))
    me, _ = pulsed(me, 2)
    me, _ = steps(me, LeaseSeen(lease("C", "running 1", 50)), now=2 * T)
    me, others = pulsed(me, 1, start=2 * T, version=200)
    assert of(GetLease, others) == [GetLease(name("B"))]
    _, actions = steps(me, LeaseGone(name("B"), by_get=True), now=3 * T)
    assert of(CasRound, actions)[0].round.pods == {pod("A"), pod("C")}


def test_pods_that_went_together_cost_one_round() -> None:
    """All answers precede a decision; else each answer would make a round."""
    me, _ = pulsed(holder(), 8)
    me, others = pulsed(me, 1, start=8 * T, version=200)  # nine: B and C sit on two nodes
    assert others == [GetLease(name("B")), GetLease(name("C"))]
    got_b = LeaseSeen(lease("B", "running 1", 1), by_get=True)
    got_c = LeaseSeen(lease("C", "running 1", 1), by_get=True)
    asked, actions = steps(me, got_b, now=9 * T)
    assert not actions
    (cas,) = of(CasRound, steps(asked, got_c, now=9 * T)[1])
    assert (cas.round.pods, cas.round.charged.numbers) == ({pod("A")}, {2})
    with without("6-gets-first"):
        assert of(CasRound, steps(me, got_b, now=9 * T)[1])


def test_a_get_without_an_answer_does_not_hold_up_the_decision() -> None:
    me, _ = pulsed(holder(), 9)
    got_b = LeaseSeen(lease("B", "running 1", 1), by_get=True)
    _, actions = steps(me, got_b, GetFailed(name("C")), now=9 * T)
    assert of(CasRound, actions)[0].round.pods == {pod("A"), pod("C")}


def test_a_get_that_failed_is_repeated_but_not_at_once() -> None:
    """It may have been refused, which takes no time at all."""
    me, _ = pulsed(holder(active(1, "A B"), members="A B"), 3)
    me, actions = steps(me, GetFailed(name("B")), now=3 * T)
    assert actions == []
    assert not of(GetLease, steps(me, Tick(), now=3 * T + 0.4)[1])
    assert of(GetLease, steps(me, Tick(), now=3 * T + 0.5)[1]) == [GetLease(name("B"))]


def lost_itself(**fields: Any) -> Me:
    """A holds, has its Lease, and lacks it in its view: nothing should bring that about."""
    me = holder(active(1, "A B"), members="A B", **fields)
    assert me.hold is not None
    seen_ = {p: entry for p, entry in me.hold.view.seen.items() if p != me.who.pod}
    return replace(me, hold=replace(me.hold, view=replace(me.hold.view, seen=seen_), dirty=True))


def test_a_holder_without_its_lease_in_the_view_reads_it() -> None:
    """Else it is no newcomer, as it renews its Lease only when its state changes."""
    me, actions = steps(lost_itself(), Tick())
    assert actions == [GetLease(name("A"))]
    assert steps(me, Tick(), now=1.0)[1] == []  # under way
    me, actions = steps(me, LeaseSeen(lease("A", "running 1"), by_get=True))
    assert actions == []
    assert me.hold is not None
    assert (me.hold.view.seen[pod("A")].lease, me.hold.pending_gets) == (
        lease("A", "running 1"),
        set(),
    )
    assert steps(me, LeaseSeen(lease("B", "ready 1", 9)))[1] == []


def test_when_it_is_not_there_it_is_created_again() -> None:
    me, _ = steps(lost_itself(), Tick())
    me, actions = steps(me, LeaseGone(name("A"), by_get=True))
    assert [type(action) for action in actions] == [CreateLease]
    me, actions = steps(me, LeaseSeen(lease("A", "running 1", 9)))
    assert me.hold is not None
    assert me.hold.view.seen[pod("A")].lease == lease("A", "running 1", 9)
    assert actions == []


def test_a_get_of_the_holders_lease_without_an_answer_is_repeated_but_not_at_once() -> None:
    me, _ = steps(lost_itself(), Tick())
    me, actions = steps(me, GetFailed(name("A")))
    assert actions == []
    assert not of(GetLease, steps(me, Tick(), now=0.4)[1])
    assert of(GetLease, steps(me, Tick(), now=0.5)[1]) == [GetLease(name("A"))]


def test_a_lease_or_a_deletion_of_another_job_is_ignored() -> None:
    """S1: its labels are those of a pod of this job, its name is not."""
    foreign = [replace(lease(x, "running 1 leaving", 9), name=f"evil-{i}-0") for i, x in
               enumerate("ABC")]  # fmt: skip
    me = holder()
    events = [*(LeaseSeen(x, by_get=True) for x in foreign), *map(LeaseSeen, foreign)]
    events += [LeaseGone(x.name) for x in foreign]
    after, actions = steps(me, *events, ViewComplete((*leases("A", "B", "C"), *foreign)))
    assert actions == []
    assert after.hold is not None
    assert {p: x.lease for p, x in after.hold.view.seen.items()} == {
        pod(x): lease(x, "running 1") for x in "ABC"
    }
    with without("6-by-name"):
        assert of(CasRound, steps(me, LeaseSeen(foreign[1]))[1])


def test_a_get_of_a_name_that_is_no_pods_is_ignored() -> None:
    me = holder()
    assert steps(me, LeaseGone("other"), GetFailed("other"))[1] == []


def test_the_holder_that_was_replaced_is_silent_until_its_lease_changes() -> None:
    """It did not pulse for 3 T: the new holder need not wait another 3 T."""
    me = joined("B", ABC, holder="A", pulse="p1")
    me = replace(me, holder_silent=True)
    me, _ = steps(me, seen(holder="B", source=ANSWER))
    view = ViewComplete(tuple(leases("A", "B", "C")))
    me, actions = steps(me, seen(holder="B", version=3, source=READ), view)
    assert of(GetLease, actions) == [GetLease(name("A"))]
    moved = LeaseSeen(lease("A", "running 1", 9), by_get=True)
    assert not of(CasRound, steps(me, moved)[1])
    same = LeaseSeen(lease("A", "running 1", 1), by_get=True)
    assert of(CasRound, steps(me, same)[1])[0].round.pods == {pod("B"), pod("C")}


def test_without_that_it_takes_three_more_t() -> None:
    me = joined("B", ABC, holder="A", pulse="p1")
    me, _ = steps(replace(me, holder_silent=True), seen(holder="B", source=ANSWER))
    view = ViewComplete(tuple(leases("A", "B", "C")))
    with without("6-replaced-is-silent"):
        _, actions = steps(me, seen(holder="B", version=3, source=READ), view)
    assert not of(GetLease, actions)


def test_a_renewal_without_a_change_is_no_reason_to_decide_again() -> None:
    me = holder()
    assert me.hold is not None
    assert not me.hold.dirty
    me, _ = steps(me, LeaseSeen(lease("B", "running 1", 9)))
    assert me.hold is not None
    assert not me.hold.dirty


def test_while_it_waits_for_the_members_every_renewal_counts() -> None:
    """F9, V5."""
    full = active(1, "A B C", charged=[1])
    me = holder(full, max_restarts=1)
    me, actions = steps(me, LeaseSeen(lease("B", "failed 1", 9)))
    assert not of(CasRound, actions)
    me, _ = steps(me, PulseFailed(conflict=False))
    me, actions = steps(me, LeaseSeen(lease("C", "running 1", 10)))
    assert of(CasRound, actions)[0].round.phase is Phase.FAILED


# ---- the decision --------------------------------------------------------------------------------


def test_the_last_call_runs_from_the_first_moment_that_a_round_could_begin() -> None:
    round_ = forming(0)
    me = holding("A", round_, [lease("A", "ready 0")], startup_last_call_s=60.0)
    me, actions = steps(me, Tick(), now=59.9)
    assert not of(CasRound, actions)
    me, actions = steps(me, Tick(), now=60.0)
    assert not of(CasRound, actions)  # a pulse is under way
    answer = seen(round_, 9, PULSE, "p1", startup_last_call_s=60.0)
    _, actions = steps(me, answer, now=60.0)
    assert of(CasRound, actions)[0].round.pods == {pod("A")}


def test_the_last_call_restarts_when_too_few_pods_were_there() -> None:
    me = holding("A", forming(0), [lease("A", "ready 0"), lease("B", "ready 0")], min_members=2)
    assert me.hold is not None
    assert me.hold.view.last_call_since == 0.0
    me, _ = steps(me, LeaseSeen(lease("B", "ready 0 leaving", 9)), now=0.3)
    assert me.hold is not None
    assert me.hold.view.last_call_since is None
    me, _ = steps(me, LeaseSeen(lease("C", "ready 0", 10)), now=0.4)
    assert me.hold is not None
    assert me.hold.view.last_call_since == 0.4


def test_the_next_round_contains_how_long_it_took_to_find_the_failure() -> None:
    _, actions = steps(holder(), LeaseSeen(lease("B", "running 1 ended", 9)), now=2.0)
    assert of(CasRound, actions)[0].round.recovery == Recovery(2, detect_ms=2000)


def test_the_next_round_contains_how_long_the_job_waited() -> None:
    round_ = forming(2, recovery=Recovery(2, detect_ms=15_000), starts=1)
    me = holding("A", round_, [lease("A", "ready 2")], wanted="A B")
    _, actions = steps(me, LeaseSeen(lease("B", "ready 2", 9)), now=3.0)
    assert of(CasRound, actions)[0].round.recovery == Recovery(3, 15_000, rendezvous_ms=3000)


def test_a_failure_over_the_budget_is_reported_at_once() -> None:
    """The job fails once the others have renewed; STATUS is true meanwhile."""
    me = holder(active(1, "A B C", charged=[1]), max_restarts=1)
    _, actions = steps(me, LeaseSeen(lease("B", "failed 1", 9)))
    (sent,) = of(Pulse, actions)
    assert sent.report.failed == (pod("B"),)


def test_the_failures_that_follow_are_reported_by_the_next_pulse() -> None:
    """When a worker fails, those of all other members may fail of it: one pulse, not 1,000."""
    full = active(1, "A B C D", charged=[1])
    me = holder(full, members="A B C D", wanted="A B C D", max_restarts=1)
    me, actions = steps(me, LeaseSeen(lease("B", "failed 1", 9)))
    (sent,) = of(Pulse, actions)
    returned = round_lease(full, "A", 10, "p1", wanted="A B C D", max_restarts=1)
    returned = replace(returned, report=sent.report)
    me, actions = steps(me, RoundSeen(returned, PULSE), RoundSeen(returned, WATCH))
    assert not of(Pulse, actions)
    me, actions = steps(me, LeaseSeen(lease("C", "failed 1", 11)))
    assert not of(Pulse, actions)
    me, actions = steps(me, Tick(), now=T)
    (sent,) = of(Pulse, actions)
    assert sent.report.failed == (pod("B"), pod("C"))


def test_a_failed_decision_is_repeated() -> None:
    me, actions = steps(holder(), LeaseSeen(lease("B", "running 1 ended", 9)))
    assert of(CasRound, actions)
    me, actions = steps(me, CasFailed(conflict=False))
    assert not actions
    _, actions = steps(me, Tick(), now=0.5)
    assert of(CasRound, actions)


def test_a_large_view_is_judged_a_few_times_a_second_and_not_at_every_change() -> None:
    wanted = Desired(tuple(Pod(i, 0) for i in range(200)), min_members=200, heartbeat_s=T)

    def outsider(index: int, version: int = 1) -> AgentLease:
        state = AgentState(AgentPhase.READY, 0, address="10.0.0.9")
        pod_, name_ = Pod(index, 0), f"demo-{index}-0"
        return AgentLease(name_, pod_, str(version), "u", JOB.uid, "n", "", state)

    view = [lease("A", "ready 0"), *(outsider(i) for i in range(1, 198))]
    me = holding("A", forming(0), view, desired=wanted)
    me, actions = steps(me, LeaseSeen(outsider(198, 9)), now=0.001)
    step = agent_step(me, LeaseSeen(outsider(199, 10)), 0.001)
    assert not of(CasRound, [*actions, *step.actions])
    assert step.again_at == pytest.approx(0.0099)
    me = step.me
    _, actions = steps(me, Tick(), now=0.011)
    assert len(of(CasRound, actions)[0].round.members) == 200
