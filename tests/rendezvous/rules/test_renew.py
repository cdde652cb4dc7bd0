"""Rule 3: what the agent Lease contains, and when the agent renews it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.support.protocol import (
    AB1,
    T,
    agent,
    forming,
    holding,
    joined,
    lease,
    name,
    of,
    round_lease,
    steps,
)

from elasticjob.rendezvous import events
from elasticjob.rendezvous.actions import Stop, WriteState
from elasticjob.rendezvous.rules.renew import is_urgent
from elasticjob.wire.agent_state import AgentPhase, AgentState
from elasticjob.wire.member import Member, Pod
from elasticjob.wire.report import Progress


def returned(version: int = 9) -> events.RenewalReturned:
    return events.RenewalReturned(lease("A", "running 1", version))


def test_a_renewal_every_t_whether_anything_changed_or_not() -> None:
    me = joined("A", AB1)
    assert not of(WriteState, steps(me, events.Tick(), now=T - 0.1)[1])
    for i in range(1, 4):
        me, actions = steps(me, events.Tick(), now=i * T)
        assert len(of(WriteState, actions)) == 1
        me, actions = steps(me, returned(10 + i), now=i * T)
        assert not of(WriteState, actions)


def test_a_renewal_is_against_the_version_that_was_seen_last() -> None:
    me, actions = steps(joined("A", AB1), events.Tick(), now=T)
    assert [write.version for write in of(WriteState, actions)] == ["1"]
    me, _ = steps(me, returned(42), now=T)
    _, actions = steps(me, events.Tick(), now=2 * T)
    assert [write.version for write in of(WriteState, actions)] == ["42"]


def test_one_renewal_at_a_time() -> None:
    me, _ = steps(joined("A", AB1), events.Tick(), now=T)
    assert not of(WriteState, steps(me, events.Tick(), events.WorkerExited(1), now=9 * T)[1])


@pytest.mark.parametrize(
    ("old", "new", "urgent"),
    [
        (AgentState(AgentPhase.READY, 1), AgentState(AgentPhase.RUNNING, 2), False),
        (AgentState(AgentPhase.RUNNING, 1), AgentState(AgentPhase.READY, 2), False),
        (AgentState(AgentPhase.RUNNING, 1), AgentState(AgentPhase.DONE, 1), True),
        (AgentState(AgentPhase.RUNNING, 1), AgentState(AgentPhase.FAILED, 1), True),
        (AgentState(AgentPhase.RUNNING, 1), AgentState(AgentPhase.RUNNING, 1, leaving=True), True),
        (
            AgentState(AgentPhase.DONE, 1),
            AgentState(AgentPhase.DONE, 1, progress=Progress(3)),
            False,
        ),
        (AgentState(AgentPhase.DONE, 1), AgentState(AgentPhase.DONE, 2), True),
        (AgentState(AgentPhase.RUNNING, 1, True), AgentState(AgentPhase.RUNNING, 1, True), False),
    ],
)
def test_failed_done_and_leaving_go_out_at_once(
    old: AgentState, new: AgentState, urgent: bool
) -> None:
    """Other agents wait for these states; `running n` waits for the next renewal."""
    me = replace(joined("A", AB1), phase=new.phase, n=new.n, leaving=new.leaving)
    assert is_urgent(replace(me, progress=new.progress, written_state=old.to_json())) is urgent


def test_done_is_written_at_once() -> None:
    me, actions = steps(joined("A", AB1), events.WorkerExited(1), now=0.1)
    (write,) = of(WriteState, actions)
    assert AgentState.from_json(write.state).phase is AgentPhase.DONE
    assert me.renew_at == 0.1 + T


def test_a_state_that_changes_during_a_renewal_is_written_after_it() -> None:
    me, _ = steps(joined("A", AB1), events.Tick(), events.WorkerExited(1), now=T)
    _, actions = steps(me, returned(), now=T + 0.1)
    assert [AgentState.from_json(w.state).phase for w in of(WriteState, actions)] == [
        AgentPhase.DONE
    ]


def test_a_renewal_that_failed_is_repeated_within_t_but_never_at_once() -> None:
    """Also an urgent state: a refusal takes no time, and would be a loop."""
    me, _ = steps(joined("A", AB1), events.WorkerExited(1), now=0.1)
    me, actions = steps(me, events.RenewalReturned(None), now=0.2)
    assert not actions
    assert not of(WriteState, steps(me, events.Tick(), now=0.6)[1])
    assert of(WriteState, steps(me, events.Tick(), now=0.71)[1])


def test_after_a_conflict_the_version_that_was_met_is_used() -> None:
    """The operator's mark, or an answer that was lost."""
    me, _ = steps(joined("A", AB1), events.Tick(), now=T)
    met = events.LeaseSeen(lease("A", "running 1", 42), by_get=True)
    me, _ = steps(me, met, events.RenewalReturned(None), now=T)
    _, actions = steps(me, events.Tick(), now=T + 0.5)
    assert [write.version for write in of(WriteState, actions)] == ["42"]


def test_a_frozen_agent_renews_nothing() -> None:
    me, _ = steps(joined("A", AB1), events.RoundGone())
    assert not steps(me, events.Tick(), now=9 * T)[1]


def test_a_round_that_comes_back_thaws_it() -> None:
    me, _ = steps(joined("A", AB1), events.RoundGone())
    again = events.RoundSeen(round_lease(replace(AB1, n=1001), "Z", 9), events.Source.READ)
    me, actions = steps(me, again, now=9 * T)
    assert not me.frozen
    assert of(Stop, actions)


def test_the_holders_own_lease_rests_while_nothing_changes() -> None:
    me = holding("A", AB1, [lease("A", "running 1"), lease("B", "running 1")])
    me, actions = steps(me, events.Tick(), now=T)
    assert not of(WriteState, actions)
    me, actions = steps(me, events.Progressed(Progress(5)), now=2 * T)
    (write,) = of(WriteState, actions)
    assert AgentState.from_json(write.state).progress == Progress(5)


@pytest.mark.parametrize(("members", "waits"), [(2, 0.05), (1000, T)])
def test_running_is_written_with_the_renewal_and_sooner_in_a_small_group(
    members: int, waits: float
) -> None:
    """People wait to read it, but 1,000 agents do not follow a restart by 1,000 writes."""
    me = agent("A", jitter=0.999)
    me, _ = steps(me, events.RoundSeen(round_lease(forming(0), "Z"), events.Source.READ))
    me, _ = steps(me, events.LeaseSeen(lease("A", "ready 0", 0)))
    all_ = tuple(Member(Pod(i, 0)) for i in range(members))
    big = replace(AB1, members=all_)
    me, _ = steps(me, events.RoundSeen(round_lease(big, "Z", 2), events.Source.WATCH))
    me, actions = steps(me, events.WorkersStarted(1, 10))
    assert not of(WriteState, actions)
    assert not of(WriteState, steps(me, events.Tick(), now=waits - 0.01)[1])
    _, actions = steps(me, events.Tick(), now=waits)
    assert [AgentState.from_json(w.state).phase for w in of(WriteState, actions)] == [
        AgentPhase.RUNNING
    ]


def test_the_name_of_the_lease_is_that_of_the_pod() -> None:
    assert joined("B'", AB1).who.name == name("B'") == "demo-1-1"
