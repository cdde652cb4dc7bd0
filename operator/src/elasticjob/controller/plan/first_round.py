"""The Round Lease, which the operator creates before the first pods (rule 9)."""

from __future__ import annotations

from dataclasses import replace

from elasticjob.controller.observe.rounds import PastRound
from elasticjob.controller.observe.snapshot import Snapshot
from elasticjob.controller.plan import desired, refused
from elasticjob.controller.plan.actions import (
    Actions,
    CreateRound,
    EnsurePrerequisites,
    ReplaceRound,
)
from elasticjob.rendezvous import budget
from elasticjob.rendezvous.now import Now
from elasticjob.wire.charges import Charges
from elasticjob.wire.desired import Desired
from elasticjob.wire.round import Phase, Round

RETURN_N = 1000


def create_round(snapshot: Snapshot, now: Now) -> Actions:
    """Create the Round Lease: at round 0 for a new job, else far above the last known round.

    Agents may have seen later rounds than the operator, and n must be above those, too (I1).
    """
    wanted = desired.desired(snapshot, now)
    creation = CreateRound(wanted, _first(snapshot, wanted))
    if refused.may_try(snapshot, creation, now):
        yield EnsurePrerequisites()
    yield creation


def replace_round(snapshot: Snapshot, now: Now) -> Actions:
    """Replace a round whose members the operator has not created by one that agents follow.

    Only a fault in an agent or another client writes such a round. Its members cannot join, and
    what it costs is not limited. The new one is Forming and above all known ones (I1), as after the
    Round Lease was lost; all agents that live join again, and no failure is counted (I4).
    """
    assert snapshot.lease is not None
    wanted = desired.desired(snapshot, now)
    round_ = _first(snapshot, wanted)
    yield ReplaceRound(snapshot.lease.version, wanted, round_, snapshot.excess)


def _first(snapshot: Snapshot, wanted: Desired) -> Round:
    status, rounds = snapshot.job.status, snapshot.past_rounds
    is_new = status.round is None and not status.generations  # no pod was ever created
    if is_new and not rounds and snapshot.lease is None:
        return Round()
    last = rounds[-1] if rounds else PastRound(0, Phase.FORMING)
    highest = max(
        0,
        snapshot.lease.round.n if snapshot.lease else 0,  # clause 9-above-false-round
        status.round or 0,  # clause 9-above-status
        max((r.n for r in rounds), default=0),  # clause 9-above-seen-rounds
    )
    started = (status.restarts or 0) + 1 if status.round else 0
    return Round(
        n=RETURN_N + highest,
        charged=_charged(last.charged, wanted, status.counted or 0),
        starts=max(last.starts, started),
        resets=last.resets,
        trained=last.trained or status.progress is not None,
    )


def _charged(known: Charges, wanted: Desired, counted: int) -> Charges:
    """The charges that are known by number, and the others that the status counts without one.

    A restarted operator knows no numbers, and its own charges were in the lost Round Lease.
    """
    missing = max(0, counted - budget.counted_failures(known, wanted))
    return replace(known, older=known.older + missing)
