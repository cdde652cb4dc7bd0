"""Rule 3: stop old workers, run the newest round once, report `ready n` outside."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.support.mutants import without
from tests.support.protocol import (
    active,
    desired,
    ended,
    forming,
    joined,
    lease,
    name,
    of,
    round_seen,
    steps,
)

from elasticjob.rendezvous import events
from elasticjob.rendezvous.actions import CasRound, Exit, Start, Stop, WriteState
from elasticjob.rendezvous.state import Stage
from elasticjob.wire.agent_state import AgentPhase, AgentState
from elasticjob.wire.cause import Cause, CauseKind
from elasticjob.wire.report import Progress
from elasticjob.wire.round import Phase, Round

READ, WATCH = events.Source.READ, events.Source.WATCH
CRASHED = Cause(CauseKind.WORKER_FAILED, "demo-1-0", code=1, n=1)

# ---- start ---------------------------------------------------------------------------------------


def test_the_newest_active_round_with_me_is_started_once() -> None:
    me = joined("A", forming(0))
    me, actions = steps(me, round_seen(active(1, "A B")))
    assert actions == [Start(active(1, "A B"))]
    assert steps(me, events.Tick(), round_seen(active(1, "A B"), 3))[1] == []


@pytest.mark.parametrize(
    "round_",
    [active(1, "B C"), active(1, "A' B"), forming(1), ended(active(0, "A B"), Phase.FAILED)],
    ids=["not-me", "not-this-me", "forming", "failed"],
)
def test_no_other_round_is_started(round_: Round) -> None:
    _, actions = steps(joined("A", forming(0)), round_seen(round_))
    assert not of(Start, actions)


def test_running_is_reported_once_the_workers_have_started() -> None:
    me, _ = steps(joined("A", forming(0)), round_seen(active(1, "A B")))
    assert me.phase is AgentPhase.READY
    me, _ = steps(me, events.WorkersStarted(1, start_ms=45))
    assert (me.phase, me.n, me.start_ms, me.stop_ms) == (AgentPhase.RUNNING, 1, 45, 0)


def test_that_it_made_progress_is_reported_in_each_later_round() -> None:
    """So the holder learns that the job has trained, however soon after its start it crashed. The
    progress itself is that of the current round."""
    me, _ = steps(joined("A", active(1, "A B")), events.Progressed(Progress(7)))
    me, _ = steps(me, round_seen(active(2, "A B")), events.WorkersReaped(1))
    _, actions = steps(me, events.WorkersStarted(2, start_ms=45), events.Tick(), now=0.5)
    written = AgentState.from_json(of(WriteState, actions)[0].state)
    assert (written.progress, written.trained) == (None, True)


def test_how_long_it_stopped_is_reported_with_the_next_round_that_runs() -> None:
    me, _ = steps(joined("A", active(1, "A B")), round_seen(active(2, "A B")), now=10.0)
    me, _ = steps(me, events.WorkersReaped(1), now=13.0)
    me, _ = steps(me, events.WorkersStarted(2, start_ms=3045), now=13.045)
    assert (me.n, me.start_ms, me.stop_ms) == (2, 3045, 3000)


def test_how_long_it_stopped_is_reported_outside_of_the_round_that_stopped_it() -> None:
    me, _ = steps(joined("A", active(1, "A B")), round_seen(forming(2)), now=10.0)
    me, _ = steps(me, events.WorkersReaped(1), now=13.0)
    assert (me.phase, me.n, me.stop_ms) == (AgentPhase.READY, 2, 3000)
    me, _ = steps(me, round_seen(forming(3), 4), now=14.0)
    assert (me.phase, me.n, me.stop_ms) == (AgentPhase.READY, 3, 0)


def test_it_is_not_started_before_its_delay() -> None:
    me, actions = steps(
        joined("A", forming(0)), round_seen(active(1, "A", delay_ms=4000)), now=10.0
    )
    assert not of(Start, actions)
    assert not of(Start, steps(me, events.Tick(), now=13.9)[1])
    assert len(of(Start, steps(me, events.Tick(), now=14.0)[1])) == 1


def test_a_delayed_round_that_was_changed_is_not_started() -> None:
    """Later leavers change the round before anything starts."""
    me, _ = steps(joined("A", forming(0)), round_seen(active(1, "A B", delay_ms=500)), now=10.0)
    me, _ = steps(me, round_seen(active(2, "A", delay_ms=500), 3), now=10.2)
    _, actions = steps(me, events.Tick(), now=10.7)
    assert [start.round.n for start in of(Start, actions)] == [2]


def test_a_leaver_starts_nothing() -> None:
    """I3."""
    me, _ = steps(joined("A", forming(0)), events.LeaveRequested())
    assert not of(Start, steps(me, round_seen(active(1, "A B")))[1])
    with without("3-not-leaving"):
        assert of(Start, steps(me, round_seen(active(1, "A B")))[1])


def test_a_round_older_than_one_seen_is_not_started() -> None:
    """I3: a consistent read was under way while the watch brought newer rounds."""
    me = joined("A", forming(0))
    me, _ = steps(me, round_seen(active(1, "B"), 5), round_seen(active(2, "B"), 7))
    late = round_seen(active(1, "A B"), 6, READ)
    assert not of(Start, steps(me, late)[1])
    with without("3-newest"):
        assert of(Start, steps(me, late)[1])


def test_a_version_that_comes_late_changes_nothing() -> None:
    me, _ = steps(joined("A", forming(0)), round_seen(active(2, "A"), 7))
    assert steps(me, round_seen(active(1, "B"), 6))[1] == []


# ---- stop, reap, start the next ------------------------------------------------------------------


def test_a_newer_round_stops_the_old_workers_reaps_then_starts() -> None:
    me = joined("A", active(1, "A B"))
    newer = active(2, "A B", charged=[2], cause=CRASHED)
    me, actions = steps(me, round_seen(newer))
    assert actions == [Stop(1, 3.0)]  # the grace after a crash
    assert steps(me, events.Tick(), now=1.0)[1] == []
    me, actions = steps(me, events.WorkersReaped(1), now=2.0)
    assert actions == [Start(newer)]


@pytest.mark.parametrize(
    ("cause", "grace_s"),
    [
        (None, 3.0),
        (CRASHED, 3.0),
        (Cause(CauseKind.SCALED), 25.0),
        (Cause(CauseKind.LEAVING), 25.0),
    ],
)
def test_a_planned_stop_has_the_long_grace(cause: Cause | None, grace_s: float) -> None:
    _, actions = steps(joined("A", active(1, "A B")), round_seen(active(2, "A B C", cause=cause)))
    assert actions == [Stop(1, grace_s)]


def test_a_round_that_was_skipped_is_never_run() -> None:
    me, _ = steps(joined("A", active(1, "A B")), round_seen(active(2, "A B")))
    me, _ = steps(me, round_seen(active(3, "A B"), 3))
    _, actions = steps(me, events.WorkersReaped(1))
    assert [start.round.n for start in of(Start, actions)] == [3]


def test_a_member_that_is_done_runs_the_next_round_too() -> None:
    me, _ = steps(joined("A", active(1, "A B")), events.WorkerExited(1), events.WorkersReaped(1))
    assert (me.phase, me.n) == (AgentPhase.DONE, 1)
    _, actions = steps(me, round_seen(active(2, "A B")))
    assert [start.round.n for start in of(Start, actions)] == [2]


# ---- outside -------------------------------------------------------------------------------------


@pytest.mark.parametrize("round_", [active(2, "B C"), forming(2)], ids=["active", "forming"])
def test_outside_it_stops_reaps_and_then_reports_ready_n(round_: Round) -> None:
    me, actions = steps(joined("A", active(1, "A B")), round_seen(round_))
    assert len(of(Stop, actions)) == 1
    assert me.phase is AgentPhase.RUNNING
    me, _ = steps(me, events.WorkersReaped(1))
    assert (me.phase, me.n) == (AgentPhase.READY, 2)


def test_ready_is_written_before_the_next_renewal_and_spread_over_the_agents() -> None:
    me, actions = steps(joined("A", forming(0)), round_seen(active(1, "B C")), now=1.0)
    assert (me.phase, me.n) == (AgentPhase.READY, 1)
    assert len(of(WriteState, actions)) == 1  # jitter 0


def test_a_member_reports_nothing_before_it_runs() -> None:
    """V11, F4: `ready n` of a round that names it would make it a newcomer."""
    me, _ = steps(joined("A", forming(0)), round_seen(active(1, "A B", delay_ms=4000)))
    assert (me.phase, me.n) == (AgentPhase.READY, 0)


def test_a_leaving_agent_keeps_its_last_state() -> None:
    """V15: its last state decides about its departure."""
    me, _ = steps(
        joined("A", active(1, "A B")), events.LeaveRequested(), round_seen(active(2, "B"))
    )
    me, _ = steps(me, events.WorkersReaped(1))
    assert (me.phase, me.n) == (AgentPhase.RUNNING, 1)


def test_no_agent_reports_ready_for_a_terminal_round() -> None:
    me, _ = steps(
        joined("C", active(1, "A B")), round_seen(ended(active(1, "A B"), Phase.SUCCEEDED))
    )
    assert (me.phase, me.n) == (AgentPhase.READY, 1)


# ---- the API is dark -----------------------------------------------------------------------------


def test_workers_outlive_a_dark_api_up_to_its_grace() -> None:
    me = joined("A", active(1, "A B"), desired=desired(api_grace_s=600.0))
    me, actions = steps(me, events.Tick(), now=599.9)
    assert not of(Stop, actions)
    me, actions = steps(me, events.Tick(), now=600.0)
    assert of(Stop, actions) == [Stop(1, 3.0)]
    assert me.cause is not None
    assert (me.cause.kind, me.cause.n) == (CauseKind.API_DARK, 1)


def test_any_answer_restarts_the_grace() -> None:
    me = joined("A", active(1, "A B"), desired=desired(api_grace_s=600.0))
    me, _ = steps(me, events.RenewalReturned(lease("A", "running 1", 9)), now=500.0)
    assert not of(Stop, steps(me, events.Tick(), now=900.0)[1])


def test_on_return_the_round_is_stepped_like_a_crash() -> None:
    me = joined("A", active(1, "A B"), desired=desired(api_grace_s=600.0))
    me, actions = steps(me, events.Tick(), now=600.0)
    assert of(CasRound, actions)[0].round.charged.numbers == {2}
    me, _ = steps(me, events.CasFailed(conflict=False), now=601.0)
    assert of(CasRound, steps(me, events.Tick(), now=602.0)[1])


@pytest.mark.parametrize(
    "event", [events.WorkerExited(1), events.RoundGone()], ids=["done", "frozen"]
)
def test_a_done_or_frozen_agent_is_not_stopped_without_the_api(event: events.Event) -> None:
    """Frozen: the job is being deleted, and the workers run until SIGTERM."""
    me, _ = steps(joined("A", active(1, "A B")), event)
    assert not of(Stop, steps(me, events.Tick(), now=99_999.0)[1])


# ---- the Lease is another's now ------------------------------------------------------------------


@pytest.mark.parametrize("why", ["ended", "another"])
def test_an_ended_or_foreign_lease_stops_reaps_exits_and_writes_no_more(why: str) -> None:
    """W2, V8."""
    me = joined("A", active(1, "A B"))
    found = lease("A", "running 1 ended" if why == "ended" else "running 1", 9)
    if why == "another":
        found = replace(found, nonce="nonce-of-another")
    me, actions = steps(me, events.LeaseSeen(found, by_get=True))
    assert actions == [Stop(1, 3.0)]
    me, actions = steps(me, events.RenewalReturned(None), events.Tick(), now=2.9)
    assert actions == []  # not even a renewal: it would overwrite the other's state
    _, actions = steps(me, events.WorkersReaped(1), now=3.0)
    assert [e.code for e in of(Exit, actions)] == [75]


def test_an_ended_agent_claims_nothing() -> None:
    """V8: an ended agent would claim the vacant role, and the operator make it vacant, for ever."""
    me = joined("C", active(1, "A B"))
    me, _ = steps(me, events.LeaseSeen(lease("C", "ready 1 ended", 9)))
    assert me.stage is Stage.EXITED
    assert steps(me, round_seen(active(1, "A B"), 3, holder=""), now=99.0) == (me, [])


def test_a_name_that_is_not_mine_is_not_me() -> None:
    me = joined("A", active(1, "A B"))
    other = replace(lease("B", "running 1 ended", 9), nonce="x")
    assert steps(me, events.LeaseSeen(other), events.LeaseGone(name("B")))[1] == []
