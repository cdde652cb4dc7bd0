"""Rule 4: a worker failed, or the agent stopped it as the API server was away."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.support.protocol import (
    AB1,
    active,
    ended,
    forming,
    identity,
    joined,
    of,
    round_lease,
    round_seen,
    steps,
)

from elasticjob.rendezvous import events
from elasticjob.rendezvous.actions import Action, CasRound, Exit, Stop, WriteState
from elasticjob.rendezvous.now import Now
from elasticjob.rendezvous.rules.renew import renew
from elasticjob.wire.agent_state import AgentPhase, AgentState
from elasticjob.wire.cause import Cause, CauseKind
from elasticjob.wire.charges import Charges
from elasticjob.wire.report import Progress, Recovery, Report
from elasticjob.wire.round import Phase, Round

WATCH = events.Source.WATCH
AT_START = Charges(frozenset({2}), at_start=frozenset({2}))


def failed(n: int = 1, fatal: bool = False) -> events.WorkerExited:
    kind = CauseKind.START_FAILED if fatal else CauseKind.WORKER_FAILED
    return events.WorkerExited(n, Cause(kind, "demo-0-0", "node-0", 0, code=1, n=n), fatal)


def cas(actions: list[Action]) -> CasRound:
    (found,) = of(CasRound, actions)
    return found  # type: ignore[no-any-return]


def test_one_write_restarts_the_same_members_charged() -> None:
    me, actions = steps(joined("A", AB1), failed())
    assert of(Stop, actions) == [Stop(1, 3.0)]
    next_ = replace(AB1, n=2, cause=failed().failure, charged=AT_START, starts=2)
    assert cas(actions) == CasRound("1", round=replace(next_, recovery=Recovery(2)))
    assert me.phase is AgentPhase.RUNNING  # the next round reports the crash


@pytest.mark.parametrize(
    ("charged", "n", "delay_ms"),
    [((), 1, 0), ((1,), 1, 1000), ((2, 3), 3, 2000), ((2, 3, 4), 4, 4000)],
)
def test_the_delay_grows_with_the_charges(charged: tuple[int, ...], n: int, delay_ms: int) -> None:
    round_ = active(n, "A B", charged=charged)
    found = cas(steps(joined("A", round_), failed(n))[1]).round
    assert found is not None
    assert (found.delay_ms, found.charged.numbers) == (delay_ms, {*charged, n + 1})


def test_n_is_above_every_round_that_it_has_seen() -> None:
    """I1: a restored Round Lease is older."""
    me = replace(joined("A", AB1), highest_n=7)
    found = cas(steps(me, failed())[1]).round
    assert found is not None
    assert found.n == 8


def test_when_all_fail_at_once_few_of_them_write() -> None:
    """0.4 ms per member; the first write answers the others' crash."""
    many = active(1, " ".join(chr(ord("A") + i) for i in range(20)))
    me = joined("B", many)
    me = replace(me, who=identity("B", jitter=0.5))
    me, actions = steps(me, failed(), now=1.0)
    assert not of(CasRound, actions)
    assert not of(CasRound, steps(me, events.Tick(), now=1.003)[1])
    assert of(CasRound, steps(me, events.Tick(), now=1.0041)[1])


# ---- answered by another round -------------------------------------------------------------------


@pytest.mark.parametrize(
    "newer",
    [active(2, "A B", charged=[2]), active(2, "A"), active(2, "B"), forming(2)],
    ids=["crash", "without-B", "without-me", "forming"],
)
def test_a_newer_round_covers_the_crash(newer: Round) -> None:
    """V1: a newer round of any cause answers this crash, which is not charged."""
    me, _ = steps(joined("A", AB1), round_seen(newer))
    assert not of(CasRound, steps(me, failed())[1])


def test_a_conflict_with_a_newer_n_covers_the_crash() -> None:
    me, actions = steps(joined("A", AB1), failed())
    assert cas(actions).version == "1"
    me, actions = steps(
        me, round_seen(active(2, "A B", charged=[2])), events.CasFailed(conflict=True)
    )
    assert not of(CasRound, actions)
    assert not of(CasRound, steps(me, events.Tick(), now=99.0)[1])


@pytest.mark.parametrize("watch_first", [True, False])
def test_a_conflict_with_the_same_n_is_tried_again_at_once(watch_first: bool) -> None:
    """A pulse, a claim or `desired` came between: on the new version, as soon as it is there."""
    me, _ = steps(joined("A", AB1), failed())
    pulse, conflict = round_seen(AB1, 2), events.CasFailed(conflict=True)
    order = (pulse, conflict) if watch_first else (conflict, pulse)
    _, actions = steps(me, *order)
    assert cas(actions).version == "2"


def test_a_conflict_alone_waits_for_the_version_that_it_met() -> None:
    me, _ = steps(joined("A", AB1), failed())
    me, actions = steps(me, events.CasFailed(conflict=True))
    assert actions == []
    assert not of(CasRound, steps(me, events.Tick(), now=0.4)[1])
    assert of(CasRound, steps(me, events.Tick(), now=0.5)[1])


def test_a_write_without_an_answer_is_tried_again_soon() -> None:
    me, _ = steps(joined("A", AB1, heartbeat_s=0.2), failed())
    me, actions = steps(me, events.CasFailed(conflict=False))
    assert actions == []
    assert cas(steps(me, events.Tick(), now=0.1)[1]).version == "1"


def test_one_write_at_a_time() -> None:
    me, _ = steps(joined("A", AB1), failed())
    assert not of(CasRound, steps(me, events.Tick(), round_seen(AB1, 2), now=99.0)[1])


# ---- over budget ---------------------------------------------------------------------------------


def test_over_budget_it_reports_failed_at_once_and_waits() -> None:
    """F9: a loss may explain it, and then there is one incident."""
    full = active(1, "A B", charged=[1])
    me, actions = steps(joined("A", full, max_restarts=1), failed())
    assert not of(CasRound, actions)
    (written,) = of(WriteState, actions)
    state = AgentState.from_json(written.state)
    assert (state.phase, state.n, state.cause) == (AgentPhase.FAILED, 1, failed().failure)
    assert not of(CasRound, steps(me, events.Tick(), now=99.0)[1])


def test_a_pardon_lets_it_step_after_all() -> None:
    full = active(1, "A B", charged=[1])
    me, _ = steps(joined("A", full, max_restarts=1), failed())
    _, actions = steps(me, round_seen(full, 2, max_restarts=1, pardoned=frozenset({1})))
    assert cas(actions).round is not None


def test_budget_0_is_over_at_the_first_crash() -> None:
    me, _ = steps(joined("A", AB1, max_restarts=0), failed())
    assert me.phase is AgentPhase.FAILED


def test_a_healthy_time_forgives_before_the_budget_is_checked() -> None:
    full = active(1, "A B", charged=[1])
    me = joined("A", full, max_restarts=1, reset_after_s=3600.0)
    found = cas(steps(me, failed(), now=3600.0)[1]).round
    assert found is not None
    assert found.charged == Charges(frozenset({2}), forgiven=1, at_start=frozenset({2}))
    assert (found.resets, found.delay_ms) == (1, 0)


# ---- before the job has trained ------------------------------------------------------------------

STARTS = {"max_restarts": 10, "max_start_restarts": 2}


def after_crashes(n: int, **fields: Any) -> Round:
    """Round n, which the crash of each earlier round led to."""
    numbers = frozenset(range(2, n + 1))
    return replace(active(n, "A B"), charged=Charges(numbers, at_start=numbers), **fields)


def crashes(round_: Round, after_ms: int = 5000, report: Report | None = None) -> Round | None:
    """The next round after a crash, or None if the agent reports `failed`."""
    me = joined("A", round_, **STARTS)
    version = round_lease(round_, "Z", 2, **STARTS)
    me, _ = steps(me, events.RoundSeen(replace(version, report=report), WATCH), now=1.0)
    exited = events.WorkerExited(round_.n, failure("a", after_ms, round_.n))
    me, actions = steps(me, exited, now=2.0)
    assert (me.phase is AgentPhase.FAILED) == (not of(CasRound, actions))
    return cas(actions).round if of(CasRound, actions) else None


def test_three_crashes_before_it_has_trained_are_over_the_budget() -> None:
    second = crashes(after_crashes(1))
    assert second is not None
    assert second.charged == AT_START
    third = crashes(after_crashes(2))
    assert third is not None
    assert third.charged.at_start == {2, 3}
    assert crashes(after_crashes(3)) is None


@pytest.mark.parametrize(
    ("fields", "after_ms", "report"),
    [
        ({"trained": True}, 5000, None),
        ({}, 60_000, None),
        ({}, 5000, Report(3, progress=Progress(1))),
        ({}, 5000, Report(3, trained=True)),
    ],
    ids=["trained", "ran for a minute", "progress", "reported"],
)
def test_a_job_that_has_trained_has_its_whole_budget(
    fields: dict[str, Any], after_ms: int, report: Report | None
) -> None:
    found = crashes(after_crashes(3, **fields), after_ms, report)
    assert found is not None
    assert found.trained
    assert found.charged == Charges(frozenset({2, 3, 4}), at_start=frozenset({2, 3}))


def test_its_own_progress_counts_before_the_holder_has_reported_it() -> None:
    me, _ = steps(joined("A", after_crashes(3), **STARTS), events.Progressed(Progress(1)))
    found = cas(steps(me, failed(3))[1]).round
    assert found is not None
    assert found.trained


def test_the_last_charges_before_it_has_trained_are_counted_against_both_budgets() -> None:
    me = joined("A", after_crashes(2), max_restarts=1, max_start_restarts=2)
    me, actions = steps(me, failed(2))
    assert me.phase is AgentPhase.FAILED
    assert not of(CasRound, actions)


def test_without_a_limit_only_the_budget_counts() -> None:
    """The operator of an older release has written `desired`."""
    me = joined("A", after_crashes(5), max_restarts=10)
    assert of(CasRound, steps(me, failed(5))[1])


# ---- no step -------------------------------------------------------------------------------------


def test_a_leaving_agent_neither_steps_nor_reports_failed() -> None:
    for budget in (0, 10):
        me, _ = steps(joined("A", AB1, max_restarts=budget), events.LeaveRequested())
        me, actions = steps(me, failed())
        assert not of(CasRound, actions)
        assert me.phase is AgentPhase.RUNNING


def test_the_failure_of_workers_that_are_being_stopped_is_none() -> None:
    me, _ = steps(joined("A", AB1), round_seen(active(2, "A B")))
    me, _ = steps(me, failed())
    assert me.run is not None
    assert me.run.failure is None


def test_the_first_failure_of_a_round_is_kept() -> None:
    later = events.WorkerExited(1, Cause(CauseKind.WORKER_SIGNALED, signal=15))
    me, _ = steps(joined("A", AB1), failed(), later)
    assert me.cause == failed().failure


def test_an_exit_of_another_round_is_old_news() -> None:
    me, actions = steps(joined("A", AB1), failed(0))
    assert actions == []
    assert me.cause is None


@pytest.mark.parametrize("phase", [Phase.SUCCEEDED, Phase.FAILED])
def test_nothing_is_stepped_after_the_end(phase: Phase) -> None:
    """Rule 1, I6."""
    me, _ = steps(joined("A", AB1), failed(), events.CasFailed(conflict=True))
    _, actions = steps(me, round_seen(ended(AB1, phase)))
    assert not of(CasRound, actions)


def test_nothing_is_stepped_through_the_deletion_of_the_job() -> None:
    """The Round Lease is gone: freeze."""
    me, _ = steps(joined("A", AB1), events.RoundGone(), failed())
    assert not of(CasRound, steps(me, events.Tick(), now=99.0)[1])


# ---- fatal ---------------------------------------------------------------------------------------


def test_a_fatal_code_is_failed_for_ever() -> None:
    me, actions = steps(joined("A", AB1), failed(fatal=True))
    found = cas(actions).round
    assert found is not None
    assert (found.n, found.phase, found.cause) == (2, Phase.FAILED, failed(fatal=True).failure)
    assert found.charged.numbers == {2}  # the failure that ends the job counts, too
    assert me.fatal_cause is not None


def test_a_fatal_code_is_tried_on_every_new_version_until_the_end() -> None:
    """F11: the verdict must not be lost to another step."""
    me, _ = steps(joined("A", AB1), failed(fatal=True))
    conflict = events.CasFailed(conflict=True)
    me, actions = steps(me, round_seen(active(2, "A B", charged=[2]), 2), conflict)
    found = cas(actions)
    assert found.round is not None
    assert (found.version, found.round.n, found.round.phase) == ("2", 3, Phase.FAILED)
    me, actions = steps(me, round_seen(active(3, "B"), 3), conflict)
    assert cas(actions).version == "3"
    _, actions = steps(me, round_seen(ended(active(3, "B")), 4), conflict)
    assert not of(CasRound, actions)


def test_the_blamed_agent_ends_with_its_workers_code() -> None:
    me, _ = steps(joined("A", AB1), failed(fatal=True))
    over = replace(AB1, n=2, phase=Phase.FAILED, cause=failed(fatal=True).failure)
    me, _ = steps(me, events.RoundSeen(round_lease(over, "Z", 2), events.Source.ANSWER))
    _, actions = steps(me, events.WorkersReaped(1))
    assert [e.code for e in of(Exit, actions)] == [1]


def test_an_agent_that_lost_the_race_reports_its_cause_with_the_next_renewal() -> None:
    """It may have failed first."""
    me, _ = steps(joined("A", AB1), failed(), round_seen(active(2, "A B", charged=[2])))
    me = replace(me, renew_at=0.0)
    _, actions = renew(me, Now(1.0))
    (written,) = of(WriteState, actions)
    assert AgentState.from_json(written.state).cause == failed().failure


def test_a_cause_stays_in_the_lease_over_the_next_run() -> None:
    """It is the last failure of this pod, with the number of its round."""
    me, _ = steps(joined("A", AB1), failed(), round_seen(active(2, "A B", charged=[2])))
    me, _ = steps(me, events.WorkersReaped(1), events.WorkersStarted(2, 10))
    assert me.cause == failed().failure


# ---- the first cause -----------------------------------------------------------------------------


def failure(letter_: str, after_ms: int | None, n: int = 1) -> Cause:
    return Cause(CauseKind.WORKER_FAILED, f"demo-{letter_}", code=1, n=n, after_ms=after_ms)


def answered(cause: Cause | None, n: int = 2) -> Round:
    return replace(active(n, "A B", charged=[n]), cause=cause)


@pytest.mark.parametrize(
    ("mine", "published", "replaces"),
    [
        (1000, 1400, True),
        (1000, 1102, False),  # within the error: 100 ms and one for each member
        (1000, 1103, True),
        (1400, 1000, False),
        (1000, None, False),
        (None, 1400, False),
    ],
)
def test_an_earlier_failure_replaces_the_published_cause(
    mine: int | None, published: int | None, replaces: bool
) -> None:
    me, _ = steps(joined("A", AB1), events.FailureNoticed(1, failure("a", mine)))
    round_ = answered(failure("b", published))
    me, _ = steps(me, round_seen(round_), now=1.0)
    _, actions = steps(me, events.Tick(), now=2.0)
    expected = [CasRound("2", round=replace(round_, cause=failure("a", mine)))] if replaces else []
    assert of(CasRound, actions) == expected


def test_a_worker_that_exits_before_the_round_arrives_has_its_time_too() -> None:
    me, _ = steps(joined("A", AB1), events.WorkerExited(1, failure("a", 500)))
    me, _ = steps(me, events.CasFailed(conflict=True))
    round_ = answered(failure("b", 900))
    me, _ = steps(me, round_seen(round_), events.WorkersReaped(1), now=1.0)
    _, actions = steps(me, events.Tick(), now=2.0)
    assert cas(actions).round == replace(round_, cause=failure("a", 500))


@pytest.mark.parametrize(
    "cause",
    [
        None,
        Cause(CauseKind.POD_SILENT, "demo-1-0", n=1),
        Cause(CauseKind.LEAVING, "demo-1-0", n=1),
        Cause(CauseKind.SCALED),
        failure("b", 1400, n=0),  # of another round
    ],
)
def test_no_other_cause_is_replaced(cause: Cause | None) -> None:
    me, _ = steps(joined("A", AB1), events.FailureNoticed(1, failure("a", 1000)))
    me, _ = steps(me, round_seen(answered(cause)), now=1.0)
    _, actions = steps(me, events.Tick(), now=2.0)
    assert not of(CasRound, actions)


def test_of_many_earlier_failures_the_first_writes_first() -> None:
    """The delay of this write grows with the time of the failure."""
    many = active(1, " ".join(chr(ord("A") + i) for i in range(25)))
    round_ = replace(many, n=2, cause=failure("z", 4000))

    me, _ = steps(joined("A", many), events.FailureNoticed(1, failure("a", 2000)))
    me, actions = steps(me, round_seen(round_), now=1.0)
    assert not of(CasRound, actions)
    assert not of(CasRound, steps(me, events.Tick(), now=1.0049)[1])
    assert of(CasRound, steps(me, events.Tick(), now=1.0051)[1])
    better = replace(round_, cause=failure("y", 2100))
    me, actions = steps(me, round_seen(better, 3), events.Tick(), now=1.0051)
    assert not of(CasRound, actions)


def test_a_leaving_agent_replaces_no_cause() -> None:
    me, _ = steps(joined("A", AB1), events.FailureNoticed(1, failure("a", 1000)))
    me, _ = steps(me, events.LeaveRequested())
    me, _ = steps(me, round_seen(answered(failure("b", 1400))), now=1.0)
    _, actions = steps(me, events.Tick(), now=2.0)
    assert not of(CasRound, actions)


def test_the_first_of_several_failures_in_one_pod_is_its_cause() -> None:
    noticed = [events.FailureNoticed(1, failure(pod, ms)) for pod, ms in [("a", 900), ("b", 950)]]
    me, _ = steps(joined("A", AB1), *noticed)
    assert me.cause == failure("a", 900)
    me, _ = steps(me, events.FailureNoticed(1, failure("c", 800)))
    assert me.cause == failure("c", 800)
    _, actions = steps(me, events.WorkerExited(1, failure("d", 990)))
    assert cas(actions).round is not None
    assert cas(actions).round.cause == failure("c", 800)


def test_the_exit_of_the_same_worker_adds_its_code() -> None:
    noticed = replace(failure("a", 900), code=None)
    me, _ = steps(joined("A", AB1), events.FailureNoticed(1, noticed))
    _, actions = steps(me, events.WorkerExited(1, failure("a", 900)))
    assert cas(actions).round is not None
    assert cas(actions).round.cause == failure("a", 900)


def test_the_exit_of_the_same_worker_keeps_the_earlier_time() -> None:
    """Both are measured with the wall clock, which may have been set back in between."""
    me, _ = steps(joined("A", AB1), events.FailureNoticed(1, replace(failure("a", 900), code=None)))
    _, actions = steps(me, events.WorkerExited(1, failure("a", 905)))
    assert cas(actions).round is not None
    assert cas(actions).round.cause == failure("a", 900)


def test_a_worker_that_reported_an_exception_and_exits_with_0_has_not_failed() -> None:
    me, _ = steps(joined("A", AB1), events.FailureNoticed(1, failure("a", 900)))
    me, actions = steps(me, events.FailureNoticed(1, None), events.Tick(), now=9.0)
    assert (me.cause, of(CasRound, actions)) == (None, [])


def test_an_exception_that_was_reported_is_forgotten_if_all_workers_succeed() -> None:
    me, _ = steps(joined("A", AB1), events.FailureNoticed(1, failure("a", 900)))
    me, actions = steps(me, events.WorkerExited(1), now=99.0)
    assert (me.phase, me.cause) == (AgentPhase.DONE, None)
    assert not of(CasRound, actions)


# ---- a worker that has reported an exception and runs on -----------------------------------------


def test_it_counts_as_failed_after_the_grace_of_a_crash() -> None:
    """Three seconds after it wrote its error file, not after the agent read it."""
    me, actions = steps(joined("A", AB1), events.FailureNoticed(1, failure("a", 1000)), now=1.5)
    assert actions == []
    assert me.run is not None
    assert me.run.exit_by == 4.0
    assert not of(Stop, steps(me, events.Tick(), now=3.9)[1])
    me, actions = steps(me, events.Tick(), now=4.0)
    assert of(Stop, actions) == [Stop(1, 3.0)]
    assert cas(actions).round is not None
    assert cas(actions).round.cause == failure("a", 1000)


def test_the_healthy_time_ends_when_a_worker_reports_its_exception() -> None:
    """The grace of a crash, in which it runs on, is not healthy."""
    before = active(2, "A B", charged=[2])
    me = joined("A", before, reset_after_s=10, crash_grace_s=3)
    me, _ = steps(me, events.FailureNoticed(2, replace(failure("a", 9000), n=2)), now=9.0)
    _, actions = steps(me, events.Tick(), now=12.0)
    found = cas(actions).round
    assert found is not None
    assert (found.charged.numbers, found.resets) == ({2, 3}, 0)
    assert found.recovery is not None
    assert found.recovery.detect_ms == 3000


def test_over_the_budget_it_is_reported_with_the_renewal_and_then_as_failed() -> None:
    me, _ = steps(joined("A", AB1, max_restarts=0), events.FailureNoticed(1, failure("a", 1000)))
    me, _ = steps(me, events.Tick(), now=3.9)
    assert me.phase is AgentPhase.RUNNING
    me, _ = steps(me, events.Tick(), now=4.0)
    assert (me.phase, me.cause) == (AgentPhase.FAILED, failure("a", 1000))


@pytest.mark.parametrize(
    "event",
    [round_seen(active(2, "A B")), round_seen(forming(2)), events.WorkerExited(1)],
    ids=["newer", "forming", "done"],
)
def test_workers_that_stop_or_succeed_before_are_not_counted(event: events.Event) -> None:
    me, _ = steps(joined("A", AB1), events.FailureNoticed(1, failure("a", 0)), event)
    me, actions = steps(me, events.Tick(), now=9.0)
    assert me.run is None or me.run.failure is None
    assert not of(CasRound, actions)
