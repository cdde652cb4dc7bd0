"""The budget: how many counted failures it has used, and when they are forgiven."""

from __future__ import annotations

from elasticjob.wire.charges import Charges
from elasticjob.wire.dataclasses import replace
from elasticjob.wire.desired import Desired
from elasticjob.wire.round import Round


def counted_failures(charged: Charges, desired: Desired) -> int:
    """The failures counted against the budget: charged by agents or the operator, not pardoned."""
    by_operator = frozenset(n for n in desired.charged if n > charged.forgiven)
    return len((charged.numbers | by_operator) - desired.pardoned) + charged.older


def is_budget_spent(round_: Round, desired: Desired) -> bool:
    """Whether the budget has no charge left. With maxRestarts 0 it is spent from the start."""
    return counted_failures(round_.charged, desired) + 1 > desired.max_restarts


def forgive_if_healthy(round_: Round, healthy_s: float, desired: Desired) -> Round:
    """The round without charges if it ran for resetAfterSeconds, else the same round."""
    if healthy_s < desired.reset_after_s or not counted_failures(round_.charged, desired):
        return round_
    return replace(round_, charged=Charges(forgiven=round_.n), resets=round_.resets + 1)
