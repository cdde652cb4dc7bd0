"""The budget: which rounds are charged, what is spent, what a loss or a leaving strikes."""

from __future__ import annotations

from elasticjob.wire.charges import Charges
from elasticjob.wire.dataclasses import replace
from elasticjob.wire.desired import Desired
from elasticjob.wire.round import Round


def counted(charged: Charges, desired: Desired) -> int:
    """Spent of the budget: charged in the Round or by the operator, minus what it pardons."""
    ruled = frozenset(n for n in desired.charged if n > charged.forgiven)
    return len((charged.numbers | ruled) - desired.pardoned) + charged.older


def spent(round_: Round, desired: Desired) -> int:
    """Spent of the budget in this round."""
    return counted(round_.charged, desired)


def over_budget(round_: Round, desired: Desired) -> bool:
    """Whether one more charge would exceed the budget; maxRestarts 0: the first crash does."""
    return spent(round_, desired) + 1 > desired.max_restarts


def after_healthy(round_: Round, healthy_s: float, desired: Desired) -> Round:
    """The round without the charges that so long a time of running has paid off."""
    if healthy_s < desired.reset_after_s or not spent(round_, desired):
        return round_
    return replace(round_, charged=Charges(forgiven=round_.n), resets=round_.resets + 1)
