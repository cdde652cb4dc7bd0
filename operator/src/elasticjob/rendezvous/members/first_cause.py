"""Which of two failures of a round came first.

Each pod measures its failure from the delivery of the round, with its own clock. So the difference
of two such times is wrong by the difference of the two deliveries, and no clocks are compared.
"""

from __future__ import annotations

from collections.abc import Iterable

from elasticjob.rendezvous import timing
from elasticjob.rendezvous.members.judge import Case
from elasticjob.wire.cause import Cause
from elasticjob.wire.lease import RoundLease
from elasticjob.wire.member import Pod

_UNKNOWN = 1 << 62


def after_ms(cause: Cause) -> int:
    """The time of a failure in ms since its round began; of an unknown time, the latest."""
    return cause.after_ms if cause.after_ms is not None else _UNKNOWN


def is_before(one: Cause, other: Cause) -> bool:
    """Whether the first of two failures in one pod came before the second."""
    return after_ms(one) < after_ms(other)


def precedes_published(failure: Cause, lease: RoundLease) -> bool:
    """Rule 4: whether this failure came before the cause of the newest round, which answers another
    failure of the same round, by more than the error of the comparison. Only failures have a time:
    neither a lost pod nor a departure is replaced."""
    published = lease.round.cause
    if published is None or published.after_ms is None:
        return False
    if published.n != failure.n:  # clause 4-first-of-its-round
        return False
    error_ms = timing.cause_error_ms(len(lease.round.members))
    return after_ms(failure) + error_ms < after_ms(published)  # clause 4-first-by-more-than-error


def first_cause(case: Case, pods: Iterable[Pod]) -> Cause | None:
    """Rule 8: the first failure of the round that one of these members has reported, or None."""
    found = {pod: cause for pod in sorted(pods) for cause in [_cause(case, pod)] if cause}
    return min(found.values(), key=after_ms, default=None)


def _cause(case: Case, pod: Pod) -> Cause | None:
    """The failure of a member in this round. The view may have the holder's own Lease late."""
    lease = case.lease(pod)
    cause = lease.state.cause if lease else None
    cause = case.own_cause if pod == case.view.own and case.own_cause else cause
    return cause if cause and cause.n in (None, case.round.n) else None
