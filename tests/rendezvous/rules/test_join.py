"""Rule 2: read the Round Lease consistently, then create the Lease as `ready n`."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.support.protocol import (
    active,
    agent,
    ended,
    forming,
    lease,
    name,
    of,
    round_lease,
    state,
    steps,
)

from elasticjob.rendezvous import events
from elasticjob.rendezvous.actions import CreateLease, Exit, GetLease, ReadRound, Start
from elasticjob.rendezvous.rules.join import own_state
from elasticjob.rendezvous.state import Stage, setup_failure
from elasticjob.wire.agent_state import AgentPhase, AgentState
from elasticjob.wire.round import Phase, Round

READ, WATCH = events.Source.READ, events.Source.WATCH


def read(round_: Round, holder: str = "Z", version: int = 1) -> events.RoundSeen:
    return events.RoundSeen(round_lease(round_, holder, version), READ)


def test_first_a_consistent_read_then_the_lease_then_joined() -> None:
    me, actions = steps(agent(), events.Tick())
    assert (me.stage, actions) == (Stage.READING, [ReadRound()])
    me, actions = steps(me, read(forming(4)))
    assert me.stage is Stage.CREATING
    (create,) = actions
    assert (create.state, me.phase, me.n) == (own_state(me).to_json(), AgentPhase.READY, 4)
    me, actions = steps(me, events.LeaseSeen(lease("A", "ready 4", 7)))
    assert (me.stage, me.own_version, actions) == (Stage.JOINED, "7", [])


def test_each_request_is_sent_once() -> None:
    me, _ = steps(agent(), events.Tick())
    assert steps(me, events.Tick())[1] == []
    me, _ = steps(me, read(forming(0)))
    assert steps(me, events.Tick(), events.Tick())[1] == []


def test_what_a_watch_brings_is_no_consistent_read() -> None:
    me, _ = steps(agent(), events.Tick())
    me, actions = steps(me, events.RoundSeen(round_lease(forming(4), "Z"), WATCH))
    assert (me.stage, actions) == (Stage.READING, [])


def test_another_jobs_round_is_ignored() -> None:
    me, _ = steps(agent(), events.Tick())
    other = replace(round_lease(forming(4), "Z"), job_uid="uid-2")
    assert steps(me, events.RoundSeen(other, READ)) == (me, [])


def test_creations_of_a_whole_job_are_spread() -> None:
    """N/400 s."""
    wanted = " ".join(chr(ord("A") + i) for i in range(20))
    me = agent(jitter=0.5)
    seen = events.RoundSeen(round_lease(forming(0), "Z", wanted=wanted), READ)
    me, actions = steps(me, events.Tick(), seen, now=10.0)
    assert actions == [ReadRound()]
    me, actions = steps(me, events.Tick(), now=10.0 + 20 / 400 * 0.5)
    assert len(of(CreateLease, actions)) == 1


# ---- a name is used once -------------------------------------------------------------------------


def test_another_incarnations_lease_ends_it() -> None:
    """F2, F7, V6: it ran a rank under this name, or finished."""
    me, _ = steps(agent(), events.Tick(), read(forming(1)))
    found = replace(lease("A", "done 1", 7), nonce="nonce-of-another")
    me, actions = steps(me, events.LeaseSeen(found, by_get=True))
    assert actions == [
        setup_failure("the Lease of this pod belongs to another incarnation of the agent")
    ]
    assert me.stage is Stage.EXITED


def test_my_own_lease_is_mine_as_it_stands() -> None:
    """V11: the create was applied, its answer was lost, and the round names the pod since."""
    me, _ = steps(agent(), events.Tick(), read(forming(0)))
    me, _ = steps(me, events.RoundSeen(round_lease(active(1, "A B"), "Z", 2), WATCH))
    me, actions = steps(me, events.LeaseSeen(lease("A", "ready 0", 1), by_get=True))
    assert actions == [Start(active(1, "A B"))]
    assert (me.phase, me.n) == (AgentPhase.READY, 0)


def test_if_the_round_names_the_pod_its_lease_is_read_first() -> None:
    me, actions = steps(agent(), events.Tick(), read(active(1, "A B")))
    assert (me.stage, actions[-1]) == (Stage.CHECKING, GetLease(name("A")))


@pytest.mark.parametrize("phase", [Phase.SUCCEEDED, Phase.FAILED])
def test_a_terminal_round_ends_it_before_it_joins(phase: Phase) -> None:
    _, actions = steps(agent("C"), events.Tick(), read(ended(active(1, "A B"), phase)))
    assert [(e.code, e.reason.split(";")[0]) for e in of(Exit, actions)] == [
        (0, "the job succeeded" if phase is Phase.SUCCEEDED else "the job failed")
    ]
    assert not of(CreateLease, actions)


def test_named_and_no_lease_ends_it() -> None:
    """V13: a user deleted the Lease, and the agent restarted."""
    me, _ = steps(agent(), events.Tick(), read(active(1, "A B")))
    me, actions = steps(me, events.LeaseGone(name("A"), by_get=True))
    assert [e.code for e in of(Exit, actions)] == [75]
    assert "the round names this pod" in actions[0].reason


def test_named_and_another_incarnations_lease_ends_it() -> None:
    me, _ = steps(agent(), events.Tick(), read(active(1, "A B")))
    found = replace(lease("A", "running 1", 7), nonce="nonce-of-another")
    _, actions = steps(me, events.LeaseSeen(found, by_get=True))
    assert [e.code for e in of(Exit, actions)] == [75]


def test_a_get_without_an_answer_is_repeated() -> None:
    me, _ = steps(agent(), events.Tick(), read(active(1, "A B")))
    me, actions = steps(me, events.GetFailed(name("A")), now=1.0)
    assert actions == []
    assert steps(me, events.Tick(), now=1.4)[1] == []
    assert steps(me, events.Tick(), now=1.5)[1] == [GetLease(name("A"))]


def test_named_by_its_index_only_is_not_named() -> None:
    me, _ = steps(agent("A'"), events.Tick(), read(active(1, "A B")))
    assert me.stage is Stage.CREATING


def test_an_ended_lease_ends_it() -> None:
    """The operator created the Lease of a pod that it gave up before it had one."""
    me, _ = steps(agent(), events.Tick(), read(forming(0)))
    made = replace(lease("A", "ready 0 ended"), nonce="")
    _, actions = steps(me, events.LeaseSeen(made, by_get=True))
    assert actions == [setup_failure("the Lease of this pod is marked as ended by the operator")]


# ---- gone later ----------------------------------------------------------------------------------


def test_a_lease_that_was_deleted_is_created_again_with_the_current_state() -> None:
    """V7."""
    me, _ = steps(agent(), events.Tick(), read(forming(0)), events.LeaseSeen(lease("A", "ready 0")))
    me, _ = steps(me, events.RoundSeen(round_lease(active(1, "A"), "Z", 2), WATCH))
    me, _ = steps(me, events.WorkersStarted(1, 10))
    me, actions = steps(me, events.LeaseGone(name("A")))
    (create,) = actions
    assert AgentState.from_json(create.state).phase is AgentPhase.RUNNING
    assert AgentState.from_json(create.state).n == 1
    me, actions = steps(me, events.LeaseSeen(lease("A", "running 1", 9)))
    assert (me.stage, me.own_version, actions) == (Stage.JOINED, "9", [])
    assert me.run is not None
    assert me.run.alive


def test_while_its_lease_is_gone_it_writes_nothing_else() -> None:
    me, _ = steps(
        agent(), events.Tick(), read(active(1, "B")), events.LeaseSeen(lease("A", "ready 1"))
    )
    me, _ = steps(me, events.LeaseGone(name("A")))
    assert steps(me, events.Tick(), now=99.0)[1] == []


# ---- own_state -----------------------------------------------------------------------------------


def test_a_lease_contains_identity_and_progress() -> None:
    me = agent("B", pod_uid="uid-b", workers=8, role="actor", port_base=23000)
    assert own_state(me) == state(
        "ready 0", "B", pod_uid="uid-b", workers=8, role="actor", port_base=23000
    )
