"""The invariants I1 to I4 and I6 (docs/protocol.md), at the transitions that could break them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.model.tables import Env, Wire
from tests.support import first_cause

from elasticjob.rendezvous.budget import counted_failures
from elasticjob.wire.cause import CauseKind
from elasticjob.wire.lease import RoundLease
from elasticjob.wire.round import Phase, Round

if TYPE_CHECKING:
    from tests.model.machine import Machine, State

PLANNED = (CauseKind.LEAVING, CauseKind.POD_DELETED, CauseKind.SCALED, CauseKind.SUSPENDED)


def start(env: Env, wire: Wire, n: int) -> str:
    """I2 and I3, when an agent starts the workers of a round."""
    if (n, wire.pod.index) in env.started:
        return f"I2: round {n} runs twice on index {wire.pod.index}"
    if wire.workers is not None and wire.workers[1] != "done":
        return f"I2: the workers of {wire.workers[0]} are alive when {n} starts"
    if n < wire.seen_n:
        return f"I3: starts {n} after it has received {wire.seen_n}"
    return "I3: a leaving agent starts a round" if wire.leaving else ""


def write(machine: Machine, state: State, new: Round) -> str:
    """I1, I2, I4 and I6, when a round is written."""
    lease = machine.round(state)
    old = lease.round
    if old.phase.is_terminal:
        return "I6: the job changes after its end"
    if new.n == old.n:
        return first_cause.fault(old, new)
    if new.n < old.n:
        return f"I1: {new.n} after {old.n}"
    if len({pod.index for pod in new.pods}) < len(new.members):
        return "I2: two pods of one index in a round"
    if (new.phase is Phase.FORMING) != (not new.members) and not new.phase.is_terminal:
        return "rule 1: a Forming round with members, or an Active one without"
    if new.phase is Phase.ACTIVE and len(new.members) < lease.desired.min_members:
        return "rule 8: Active below min"
    return _end(machine, state, old, new) or _charges(machine, state, old, new)


def _end(machine: Machine, state: State, old: Round, new: Round) -> str:
    if new.phase is Phase.SUCCEEDED:
        done = machine.env(state).finished
        if not all((old.n, pod) in done for pod in old.pods):
            return "I6: Succeeded, but a member has not finished"
    if new.phase is Phase.FAILED:
        fatal = new.cause is not None and new.cause.kind is CauseKind.START_FAILED
        desired = machine.round(state).desired
        spent = max(
            counted_failures(old.charged, desired) + 1, counted_failures(new.charged, desired)
        )
        if not fatal and spent <= desired.max_restarts:
            return "I6: Failed within the budget"
    return ""


def _charges(machine: Machine, state: State, old: Round, new: Round) -> str:
    env = machine.env(state)
    kind = new.cause.kind if new.cause is not None else None
    before, after = old.charged.numbers, new.charged.numbers
    if many := _too_many(env, after | machine.round(state).desired.charged):
        return many
    if kind in PLANNED and new.phase is not Phase.FAILED and before - after:
        return "I4: a departure strikes a charge"
    if kind in PLANNED and after - before:
        return "I4: a departure is charged"
    if kind in (CauseKind.WORKER_FAILED, CauseKind.WORKER_SIGNALED) and new.phase is Phase.ACTIVE:
        assert new.cause is not None
        if after - before != {new.n} and after != before:
            return "I4: a crash strikes a charge"
        if after != before and new.cause.n != old.n:
            return "I4: a crash that a newer round answers is charged"
    return ""


def _too_many(env: Env, charged: frozenset[int]) -> str:
    if len(charged) > env.may_charge:
        return f"I4: {len(charged)} charges after {env.may_charge} failures"
    return ""


def desired(machine: Machine, state: list[int], new: RoundLease) -> str:
    """I4, when the operator writes its part of the Round Lease."""
    return _too_many(machine.env_of(state), new.round.charged.numbers | new.desired.charged)


def rest(machine: Machine, state: State) -> str:
    """I4, when all is as the user wants it and time passes."""
    lease, must = machine.round(state), machine.env(state).must_charge
    counted = counted_failures(lease.round.charged, lease.desired)
    return f"I4: {counted} of {must} failures are counted" if counted < must else ""
