"""When an agent ends, and with which code."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.support.mutants import without
from tests.support.protocol import (
    AB1,
    T,
    active,
    agent,
    desired,
    ended,
    forming,
    holding,
    joined,
    lease,
    name,
    of,
    round_lease,
    round_seen,
    steps,
)

from elasticjob.rendezvous.actions import Action, CasRound, Exit, Start, Stop, WriteState
from elasticjob.rendezvous.events import (
    Event,
    LeaveRequested,
    RenewalReturned,
    RoundGone,
    RoundSeen,
    Source,
    Tick,
    WorkerExited,
    WorkersReaped,
    WorkersStarted,
)
from elasticjob.rendezvous.rules.exit import LEFT, terminal_exit
from elasticjob.rendezvous.state import Stage, setup_failure
from elasticjob.wire.agent_state import AgentState
from elasticjob.wire.cause import Cause, CauseKind
from elasticjob.wire.round import Phase

WATCH = Source.WATCH


def flagged(words: str = "running 1 leaving", version: int = 9) -> RenewalReturned:
    return RenewalReturned(lease("A", words, version))


def codes(actions: list[Action]) -> list[int]:
    return [e.code for e in of(Exit, actions)]


# ---- SIGTERM -------------------------------------------------------------------------------------


def test_a_member_reports_leaving_at_once_and_keeps_its_workers_until_the_round_without_it() -> (
    None
):
    """So that all workers stop at the same point, and can save together."""
    me, actions = steps(joined("A", AB1), LeaveRequested(), now=1.0)
    (write,) = of(WriteState, actions)
    assert AgentState.from_json(write.state).leaving
    me, actions = steps(me, flagged(), Tick(), now=2.0)
    assert not actions
    without_me = active(2, "B", cause=Cause(CauseKind.LEAVING))
    me, actions = steps(me, round_seen(without_me), now=3.0)
    assert of(Stop, actions) == [Stop(1, 23.0)]  # what is left of its 25 s
    _, actions = steps(me, WorkersReaped(1), now=4.0)
    assert codes(actions) == [143]


def test_a_leaving_agent_without_an_answer_stops_its_workers_with_half_of_its_grace() -> None:
    me, _ = steps(joined("A", AB1, desired=desired(stop_grace_s=20.0)), LeaveRequested(), now=1.0)
    me, actions = steps(me, flagged(), Tick(), now=10.9)
    assert not of(Stop, actions)
    me, actions = steps(me, Tick(), now=11.0)
    assert of(Stop, actions) == [Stop(1, 10.0)]
    _, actions = steps(me, WorkersReaped(1), now=21.0)
    assert codes(actions) == [143]


def test_a_leaving_agent_waits_no_longer_than_three_t() -> None:
    me, _ = steps(joined("A", AB1, heartbeat_s=0.2), LeaveRequested(), now=1.0)
    _, actions = steps(me, Tick(), now=1.61)
    assert len(of(Stop, actions)) == 1


def test_a_leaver_ignores_a_newer_round_that_names_it() -> None:
    """A crash step came first; the round without the leaving agent follows."""
    me, _ = steps(joined("A", AB1), LeaveRequested(), flagged(), now=1.0)
    _, actions = steps(me, round_seen(active(2, "A B", charged=[2])), now=2.0)
    assert not actions


def test_outside_it_leaves_as_soon_as_the_flag_is_out() -> None:
    me, actions = steps(joined("A", forming(3)), LeaveRequested())
    assert not codes(actions)
    _, actions = steps(me, flagged("ready 3 leaving"))
    assert codes(actions) == [143]


def test_before_it_has_a_lease_it_leaves_at_once() -> None:
    """V14: its create may be under way; the operator marks the Lease."""
    me, actions = steps(agent(), Tick(), LeaveRequested())
    assert codes(actions) == [143]
    me, _ = steps(agent(), Tick(), RoundSeen(round_lease(forming(0), "Z"), Source.READ))
    assert me.stage is Stage.CREATING
    assert codes(steps(me, LeaveRequested())[1]) == [143]


def test_sigterm_before_the_first_request_prevents_it() -> None:
    assert steps(agent(), LeaveRequested())[1] == [LEFT]


def test_a_second_sigterm_changes_nothing() -> None:
    me, _ = steps(joined("A", AB1), LeaveRequested(), now=1.0)
    again, _ = steps(me, LeaveRequested(), now=5.0)
    assert again.leave_stop_at == me.leave_stop_at


def test_a_holder_clears_the_holder_before_it_exits() -> None:
    me = holding("A", AB1, [lease("A", "running 1"), lease("B", "running 1")])
    me, actions = steps(me, LeaveRequested(), now=1.0)
    assert of(CasRound, actions) == [CasRound("1", holder="")]
    me, _ = steps(me, flagged(), now=1.0)
    me, _ = steps(me, round_seen(active(2, "B"), 5, holder="A"), WorkersReaped(1), now=2.0)
    assert me.exit is None
    _, actions = steps(me, round_seen(active(2, "B"), 6, holder=""), now=2.0)
    assert codes(actions) == [143]


def test_with_the_api_away_it_exits_before_the_pod_is_killed() -> None:
    """The flag cannot go out; the pod's own grace is 5 s longer than ours."""
    me, _ = steps(joined("A", AB1, desired=desired(stop_grace_s=20.0)), LeaveRequested(), now=1.0)
    me, actions = steps(me, Tick(), now=11.0)
    assert of(Stop, actions)
    me, actions = steps(me, WorkersReaped(1), Tick(), now=20.9)
    assert not codes(actions)
    assert codes(steps(me, Tick(), now=21.0)[1]) == [143]


def test_with_the_round_gone_it_does_not_wait() -> None:
    """The job is being deleted, its Round Lease first."""
    me, actions = steps(joined("A", AB1), RoundGone(), now=1.0)
    assert not actions  # frozen: the workers are kept
    me, actions = steps(me, LeaveRequested(), now=2.0)
    assert of(Stop, actions) == [Stop(1, 25.0)]
    assert codes(steps(me, WorkersReaped(1), now=3.0)[1]) == [143]


# ---- the job is over -----------------------------------------------------------------------------

FAILURE = Cause(CauseKind.WORKER_FAILED, name("A"), rank=2, code=3, message="boom")
SIGNAL = Cause(CauseKind.WORKER_SIGNALED, name("A"), signal=9)


@pytest.mark.parametrize(
    ("letter", "phase", "cause", "code", "reason"),
    [
        ("A", Phase.SUCCEEDED, None, 0, "the job succeeded"),
        ("C", Phase.SUCCEEDED, None, 0, "the job succeeded"),
        ("A", Phase.FAILED, FAILURE, 3, "the job failed: boom"),
        ("A", Phase.FAILED, SIGNAL, 137, "the job failed: "),
        # the codes of the agent itself: a worker may exit with them, or by the same signal
        ("A", Phase.FAILED, replace(FAILURE, code=75), 75, "the job failed: boom"),
        ("A", Phase.FAILED, replace(FAILURE, code=143), 143, "the job failed: boom"),
        ("A", Phase.FAILED, replace(SIGNAL, signal=15), 143, "the job failed: "),
        ("A", Phase.FAILED, replace(FAILURE, code=None), 1, "the job failed: boom"),
        ("A", Phase.FAILED, replace(FAILURE, code=0), 1, "the job failed: boom"),
        ("B", Phase.FAILED, FAILURE, 1, "the job failed in another pod"),
        ("A'", Phase.FAILED, FAILURE, 0, "the job failed; this pod was not a member"),
        ("C", Phase.FAILED, None, 0, "the job failed; this pod was not a member"),
        ("A", Phase.FAILED, None, 1, "the job failed in another pod"),
    ],
)
def test_exit_codes(letter: str, phase: Phase, cause: Cause | None, code: int, reason: str) -> None:
    """The blamed agent's is its worker's."""
    over = ended(AB1, phase, cause=cause)
    kind, rank = (cause.kind.value, cause.rank) if cause and code else ("", -1)
    assert terminal_exit(agent(letter), over) == Exit(code, reason, kind, rank)


def test_the_agent_of_the_first_cause_reports_the_whole_message() -> None:
    """A round has less room than this agent's termination message."""
    cause = replace(FAILURE, n=1, message="boom\n...\nlast")
    over, whole = ended(AB1, Phase.FAILED, cause=cause), replace(cause, message="boom\nall lines")
    for own, message in (
        (whole, whole.message),
        (replace(whole, n=0), cause.message),  # an earlier failure
        (replace(whole, rank=3), cause.message),
        (replace(whole, kind=CauseKind.API_DARK), cause.message),
        (None, cause.message),
    ):
        found = terminal_exit(replace(agent("A"), cause=own), over)
        assert found.reason == f"the job failed: {message}"


def test_after_success_it_reaps_and_exits() -> None:
    me, _ = steps(joined("A", AB1), WorkerExited(1), WorkersReaped(1))
    _, actions = steps(me, round_seen(ended(AB1, Phase.SUCCEEDED)))
    assert codes(actions) == [0]


def test_after_failure_it_stops_its_workers_first() -> None:
    me, actions = steps(joined("B", AB1), round_seen(ended(AB1, Phase.FAILED, cause=FAILURE)))
    assert of(Stop, actions) == [Stop(1, 3.0)]
    assert not codes(actions)
    assert codes(steps(me, WorkersReaped(1))[1]) == [1]


def test_sigterm_after_the_end_keeps_the_jobs_exit_code() -> None:
    me, _ = steps(joined("B", AB1), round_seen(ended(AB1, Phase.SUCCEEDED)))
    me, _ = steps(me, LeaveRequested())
    assert codes(steps(me, WorkersReaped(1))[1]) == [0]


def test_workers_that_cannot_be_killed_do_not_hold_it_for_ever() -> None:
    me, _ = steps(joined("B", AB1), round_seen(ended(AB1, Phase.FAILED)), now=1.0)
    assert not codes(steps(me, Tick(), now=18.9)[1])
    assert codes(steps(me, Tick(), now=19.0)[1]) == [1]


def test_nothing_happens_after_exit() -> None:
    me, actions = steps(joined("C", AB1), round_seen(ended(AB1, Phase.SUCCEEDED)))
    assert codes(actions) == [0]
    assert steps(me, Tick(), round_seen(active(9, "C"), 9), LeaveRequested(), now=99.0) == (me, [])


# ---- its own deadlines ---------------------------------------------------------------------------

NEXT = round_seen(active(2, "A B", charged=[2]))
REAPED = WorkersReaped(1)


def test_an_agent_that_misses_its_start_deadline_exits() -> None:
    """W11: else it is dropped and admitted and dropped, and charged each time."""
    me, actions = steps(joined("A", AB1), NEXT, REAPED)
    assert of(Start, actions)
    me, actions = steps(me, Tick(), now=27.9)
    assert not of(Stop, actions)
    me, actions = steps(me, Tick(), now=28.0)
    assert of(Stop, actions) == [Stop(2, 3.0)]
    _, actions = steps(me, WorkersReaped(2), now=29.0)
    assert of(Exit, actions) == [setup_failure("the workers of round 2 did not start in time")]


def test_an_agent_that_cannot_end_its_workers_exits() -> None:
    """W11: the kernel does not let go of one of them. The pod's end does."""
    me, actions = steps(joined("A", AB1), NEXT)
    assert of(Stop, actions) == [Stop(1, 3.0)]
    me, actions = steps(me, Tick(), now=17.9)
    assert not codes(actions)
    _, actions = steps(me, Tick(), now=18.0)
    assert of(Exit, actions) == [setup_failure("the workers did not end after SIGKILL")]


@pytest.mark.parametrize(
    "events",
    [
        (REAPED, WorkersStarted(2, 10)),
        (REAPED, WorkerExited(2, FAILURE), WorkersReaped(2)),
        (REAPED, LeaveRequested()),
        (RoundGone(), REAPED),
    ],
    ids=["started", "failed", "leaving", "frozen"],
)
def test_a_started_or_leaving_or_frozen_agent_has_no_start_deadline(
    events: tuple[Event, ...],
) -> None:
    me, _ = steps(joined("A", AB1), NEXT, *events)
    _, actions = steps(me, Tick(), now=28.0)
    assert 75 not in codes(actions)


def test_a_leaving_agent_whose_workers_do_not_end_exits_after_sigterm() -> None:
    me, _ = steps(joined("A", AB1), NEXT, LeaveRequested())
    assert codes(steps(me, Tick(), now=18.0)[1]) == [143]


# ---- its own number of workers -------------------------------------------------------------------


def test_a_round_that_gives_it_another_number_of_workers_is_refused() -> None:
    """The pod's spec sets its number of workers: another pod's Lease can be forged (S1)."""
    more = round_seen(active(7, "A B", workers=30))
    me, actions = steps(joined("A", AB1), more)
    assert of(Stop, actions) == [Stop(1, 3.0)]
    _, actions = steps(me, WorkersReaped(1))
    assert not of(Start, actions)
    why = "round 7 gives this pod 30 workers; its spec has 1 (nprocPerNode)"
    assert of(Exit, actions) == [setup_failure(why)]


def test_without_that_clause_it_would_start_them() -> None:
    with without("3-own-workers"):
        me, _ = steps(joined("A", AB1), round_seen(active(7, "A B", workers=30)))
        assert len(of(Start, steps(me, WorkersReaped(1))[1])) == 1


def test_the_number_of_others_is_not_its_business() -> None:
    me, actions = steps(joined("C", AB1), round_seen(active(7, "A B", workers=30)))
    assert not codes(actions)
    _, actions = steps(me, round_seen(active(8, "A B C"), 3))
    assert len(of(Start, actions)) == 1


def test_a_leaving_agent_ignores_it() -> None:
    me, _ = steps(joined("A", AB1), LeaveRequested())
    me, actions = steps(me, round_seen(active(7, "A B", workers=30)))
    assert 75 not in codes(actions)


def test_an_agent_outside_has_no_deadline() -> None:
    me = joined("C", AB1)
    assert not codes(steps(me, Tick(), now=20 * T)[1])
