"""The Round before pods (rule 9)."""

from __future__ import annotations

from elasticjob.controller.plan import desire
from elasticjob.controller.plan.actions import Actions, Deploy, MakeRound
from elasticjob.controller.snapshot import Snapshot
from elasticjob.wire.round import Round

RETURN_N = 1000


def make_round(s: Snapshot) -> Actions:
    """A job that is new starts at round 0; one that lost its Round goes on far above it.

    Agents may have seen rounds that nobody else knows of: n must be above those too (I1).
    """
    yield Deploy()
    yield MakeRound(desire.desired(s), _first(s))


def _first(s: Snapshot) -> Round:
    if s.job.status.round is None and not s.recalled.rounds:
        return Round()
    last = s.recalled.rounds[-1] if s.recalled.rounds else _from_status(s)
    highest = max([s.job.status.round or 0, *(r.n for r in s.recalled.rounds)])
    return Round(n=RETURN_N + highest, charged=last.charged, starts=last.starts, resets=last.resets)


def _from_status(s: Snapshot) -> Round:
    status = s.job.status
    return Round(n=status.round or 0, starts=(status.restarts or 0) + 1)
