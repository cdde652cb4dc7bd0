"""The ledger accepts what docs/protocol.md allows, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.sim.ledger import Ledger, LedgerError

from elasticjob.wire.agent_state import AgentPhase, AgentState
from elasticjob.wire.cause import Cause, CauseKind
from elasticjob.wire.charges import Charges
from elasticjob.wire.desired import Desired
from elasticjob.wire.member import Member, Pod
from elasticjob.wire.round import Phase, Round

A, B = Pod(0, 0), Pod(1, 0)
DESIRED = Desired((A, B), max_restarts=3, heartbeat_s=1.0, reset_after_s=100.0)
pytestmark = pytest.mark.sim


def active(n: int, *charged: int, cause: Cause | None = None, members: str = "AB") -> Round:
    found = tuple(Member(pod) for pod, name in ((A, "A"), (B, "B")) if name in members)
    charges = Charges(frozenset(charged))
    return Round(n, Phase.ACTIVE, found, cause=cause, charged=charges, starts=n)


def ledger(*charged: int) -> Ledger:
    """Round 5 runs in A and B since time 0, with these charges; it is now 50."""
    made = Ledger("job")
    made.created(active(5, *charged), frozenset(), len(charged), {len(charged)}, 0.0)
    for pod in (A, B):
        made.received(pod, 5, 0.0)
        for at in range(50):
            made.lease_written(pod, AgentState(AgentPhase.RUNNING, 5), float(at), renews=True)
    return made


def cause(kind: CauseKind, pod: str = "B") -> Cause:
    return Cause(kind, f"job-{0 if pod == 'A' else 1}-0", n=5)


CRASH, ENDED, GONE = CauseKind.WORKER_FAILED, CauseKind.POD_ENDED, CauseKind.POD_DELETED


def test_forgiven_charges_of_the_operator_do_not_count_in_a_round_that_it_creates() -> None:
    made = Ledger("job")
    round_ = replace(active(2005), charged=Charges(frozenset({7}), forgiven=6))
    made.created(round_, frozenset({5, 8}), 2, {2}, 0.0)
    assert made.counted() == 2


def test_a_crash_is_charged_once() -> None:
    made = ledger(2)
    made.crashed(B, 5, 49.0, fatal=False)
    made.written(active(5, 2), active(6, 2, 6, cause=cause(CRASH)), DESIRED, B, 49.1)
    assert made.counted() == 2


@pytest.mark.parametrize("charged", [(2,), (6,), (2, 5, 6), ()])
def test_a_crash_that_is_charged_otherwise_is_found(charged: tuple[int, ...]) -> None:
    made = ledger(2)
    made.crashed(B, 5, 49.0, fatal=False)
    new = active(6, *charged, cause=cause(CRASH))
    with pytest.raises(LedgerError, match="I4"):
        made.written(active(5, 2), new, DESIRED, B, 49.1)


def test_a_crash_that_did_not_happen_is_found() -> None:
    with pytest.raises(LedgerError, match="did not happen"):
        ledger().written(active(5), active(6, 6, cause=cause(CRASH)), DESIRED, B, 49.1)


def test_a_loss_strikes_what_it_explains() -> None:
    """B was lost in round 3, and what failed after it failed because of that."""
    made = ledger(2, 4, 5)
    made.lives[B].said.clear()
    made.lease_written(B, AgentState(AgentPhase.RUNNING, 3), 1.0, renews=False)
    made.marked(B, excused=False, at=40.0)
    new = active(6, 2, 6, cause=cause(ENDED), members="A")
    made.written(active(5, 2, 4, 5), new, DESIRED, A, 49.1)
    assert sorted(made.incidents) == [2, 6]


@pytest.mark.parametrize("charged", [(2, 4, 6), (2, 4), (6,)])
def test_a_loss_that_strikes_otherwise_is_found(charged: tuple[int, ...]) -> None:
    made = ledger(2, 4)
    made.lives[B].said.clear()
    made.lease_written(B, AgentState(AgentPhase.RUNNING, 3), 1.0, renews=False)
    made.marked(B, excused=False, at=40.0)
    new = active(6, *charged, cause=cause(ENDED), members="A")
    with pytest.raises(LedgerError, match="I4"):
        made.written(active(5, 2, 4), new, DESIRED, A, 49.1)


def test_the_loss_of_an_agent_that_works_is_found() -> None:
    new = active(6, 6, cause=cause(CauseKind.POD_SILENT), members="A")
    with pytest.raises(LedgerError, match="I4"):
        ledger().written(active(5), new, DESIRED, A, 49.1)


def test_a_change_that_the_holder_may_not_have_seen_allows_both() -> None:
    """B's `leaving` was written a moment before the round: the holder may have known the mark."""
    for kind, charged in ((ENDED, (6,)), (CauseKind.LEAVING, ())):
        made = ledger()
        made.marked(B, excused=False, at=40.0)
        made.lease_written(B, AgentState(AgentPhase.RUNNING, 5, leaving=True), 48.9, renews=True)
        new = active(6, *charged, cause=cause(kind), members="A")
        made.written(active(5), new, DESIRED, A, 49.1)
        assert made.counted() == len(charged)


def test_a_departure_that_is_charged_or_strikes_is_found() -> None:
    for charged in ((2, 6), ()):
        made = ledger(2)
        made.marked(B, excused=True, at=40.0)
        new = active(6, *charged, cause=cause(GONE), members="A")
        with pytest.raises(LedgerError, match="I4"):
            made.written(active(5, 2), new, DESIRED, A, 49.1)


def test_a_healthy_time_forgives_and_a_shorter_one_does_not() -> None:
    forgiven = Charges(frozenset({6}), forgiven=5)
    for ran_s, is_right in ((100.0, True), (99.0, False)):
        made = ledger(2)
        made.crashed(B, 5, ran_s, fatal=False)
        new = replace(active(6, cause=cause(CRASH)), charged=forgiven)
        if is_right:
            made.written(active(5, 2), new, DESIRED, B, ran_s)
            assert made.counted() == 1
        else:
            with pytest.raises(LedgerError, match="forgiven"):
                made.written(active(5, 2), new, DESIRED, B, ran_s)


def test_a_round_over_the_budget_that_is_not_failed_is_found() -> None:
    made = ledger(2, 3, 4)
    made.marked(B, excused=False, at=40.0)
    new = active(6, 2, 3, 4, 6, cause=cause(ENDED), members="A")
    with pytest.raises(LedgerError, match="I6"):
        made.written(active(5, 2, 3, 4), new, DESIRED, A, 49.1)


def test_the_operator_charges_only_departures_without_an_excuse() -> None:
    made = ledger()
    made.lease_written(B, AgentState(AgentPhase.RUNNING, 5, leaving=True), 40.0, renews=True)
    new = active(6, cause=cause(CauseKind.LEAVING), members="A")
    made.written(active(5), new, DESIRED, A, 49.1)
    made.ended(B, excused=True)
    with pytest.raises(LedgerError, match="the operator charges 6"):
        made.operator_charges(frozenset({6}))
    made.ended(B, excused=False)
    made.operator_charges(frozenset({6}))
    assert made.counted() == 1
