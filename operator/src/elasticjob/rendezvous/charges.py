"""The budget: which rounds are charged, what is spent, what a loss or a leaving strikes."""

from __future__ import annotations

from elasticjob.wire.charges import NO_CHARGES, Charges
from elasticjob.wire.desired import Desired
from elasticjob.wire.round import Round


def counted(charged: Charges, desired: Desired) -> int:
    """Spent of the budget: charged in the Round or by the operator, minus what it pardons."""
    numbers = (charged.numbers | desired.charged) - desired.pardoned
    return len(numbers) + charged.older


def spent(round_: Round, desired: Desired) -> int:
    """Spent of the budget in this round."""
    return counted(round_.charged, desired)


def over_budget(round_: Round, desired: Desired) -> bool:
    """Whether one more charge would exceed the budget; maxRestarts 0: the first crash does."""
    return spent(round_, desired) + 1 > desired.max_restarts


def after_healthy(charged: Charges, healthy_s: float, desired: Desired) -> Charges:
    """The charges after a round that ran for so long: none, if that was long enough."""
    return NO_CHARGES if healthy_s >= desired.reset_after_s else charged
