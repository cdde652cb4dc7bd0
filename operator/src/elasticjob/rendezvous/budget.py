"""The budgets: how many counted failures they have used, and when these are forgiven."""

from __future__ import annotations

from collections.abc import Iterable

from elasticjob.rendezvous import timing
from elasticjob.wire.cause import Cause
from elasticjob.wire.charges import Charges
from elasticjob.wire.dataclasses import replace
from elasticjob.wire.desired import Desired
from elasticjob.wire.report import Report
from elasticjob.wire.round import Round


def counted_failures(charged: Charges, desired: Desired) -> int:
    """The failures counted against the budget: charged by agents or the operator, not pardoned."""
    by_operator = frozenset(n for n in desired.charged if n > charged.forgiven)
    return len((charged.numbers | by_operator) - desired.pardoned) + charged.older


def start_failures(charged: Charges, desired: Desired) -> int:
    """The crashes before the job had trained."""
    return len(charged.at_start - desired.pardoned)


def is_budget_spent(round_: Round, desired: Desired) -> bool:
    """Rule 4: whether a crash in this round is one too many; the first one, if a limit is 0."""
    if counted_failures(round_.charged, desired) + 1 > desired.max_restarts:
        return True
    most = desired.max_start_restarts
    if round_.trained or most is None:  # clause 4-trained
        return False
    return start_failures(round_.charged, desired) + 1 > most  # clause 4-start-budget


def with_training(round_: Round, report: Report | None, failures: Iterable[Cause | None]) -> Round:
    """The round, marked as trained if the report says so, or if a worker that failed had run for a
    minute by then. No clock of a reader decides, so that all readers agree."""
    has_trained = report is not None and (report.trained or report.progress is not None)
    ran_ms = max((f.after_ms or 0 for f in failures if f), default=0) - round_.delay_ms
    if round_.trained or not (has_trained or ran_ms >= timing.TRAINED_MS):
        return round_
    return replace(round_, trained=True)


def forgive_if_healthy(round_: Round, healthy_s: float, desired: Desired) -> Round:
    """The round without charges if it ran for resetAfterSeconds, else the same round."""
    if healthy_s < desired.reset_after_s or not counted_failures(round_.charged, desired):
        return round_
    return replace(round_, charged=Charges(forgiven=round_.n), resets=round_.resets + 1)
