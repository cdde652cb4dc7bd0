"""The Round Lease, which the operator creates before the first pods (rule 9)."""

from __future__ import annotations

from dataclasses import replace

from elasticjob.controller.observe.snapshot import Snapshot
from elasticjob.controller.plan import desired, refused
from elasticjob.controller.plan.actions import Actions, CreateRound, EnsurePrerequisites
from elasticjob.rendezvous import budget
from elasticjob.wire.charges import Charges
from elasticjob.wire.desired import Desired
from elasticjob.wire.round import Round

RETURN_N = 1000


def create_round(snapshot: Snapshot) -> Actions:
    """Create the Round Lease: at round 0 for a new job, else far above the last known round.

    Agents may have seen later rounds than the operator, and n must be above those, too (I1).
    """
    wanted = desired.desired(snapshot)
    creation = CreateRound(wanted, _first(snapshot, wanted))
    if refused.wait_s(snapshot, creation) <= 0:
        yield EnsurePrerequisites()
    yield creation


def _first(snapshot: Snapshot, wanted: Desired) -> Round:
    status, rounds = snapshot.job.status, snapshot.recalled.rounds
    if status.round is None and not rounds:
        return Round()
    last = rounds[-1] if rounds else Round()
    highest = max([status.round or 0, *(r.n for r in rounds)])
    started = (status.restarts or 0) + 1 if status.round else 0
    return Round(
        n=RETURN_N + highest,
        charged=_charged(last.charged, wanted, status.counted or 0),
        starts=max(last.starts, started),
        resets=last.resets,
    )


def _charged(known: Charges, wanted: Desired, counted: int) -> Charges:
    """The charges that are known by number, and the others that the status counts without one.

    A restarted operator knows no numbers, and its own charges were in the lost Round Lease.
    """
    missing = max(0, counted - budget.counted_failures(known, wanted))
    return replace(known, older=known.older + missing)
