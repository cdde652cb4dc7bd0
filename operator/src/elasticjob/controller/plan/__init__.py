"""What shall happen to a job, from everything that is known of it. Pure; the story is `plan`.

One policy per module. Each yields the actions that it wants now; what must come after something
else is planned in a later pass, from what the API server says then: mark an ended pod first, then
read the Round again, then make its next generation (rule 9).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass

from elasticjob.controller.observe.snapshot import Snapshot
from elasticjob.controller.plan import (
    desired,
    ended,
    first_round,
    job_over,
    leftovers,
    lost,
    refused,
    repair,
    replace,
    unwanted,
)
from elasticjob.controller.plan.actions import (
    Action,
    Actions,
    DeleteRound,
    Later,
    Mark,
    WriteRound,
)

__all__ = ["Plan", "facts", "plan"]


@dataclass(frozen=True)
class Plan:
    """What to do now, in this order, and after how many seconds to plan again at the latest."""

    actions: tuple[Action, ...] = ()
    again_s: float | None = None


def plan(snapshot: Snapshot) -> Plan:
    """What shall happen to this job now."""
    if snapshot.job.deleting:
        return Plan()  # the Round goes first, and the agents freeze until they are told to leave
    if snapshot.older_round_uid:
        return _plan(snapshot, [DeleteRound(snapshot.older_round_uid)])
    if job_over.is_over(snapshot):
        return _plan(
            snapshot, job_over.delete_pods(snapshot), leftovers.delete_orphan_leases(snapshot)
        )
    if snapshot.lease is None:
        return _plan(snapshot, first_round.create_round(snapshot))
    marks = [*ended.mark_ended_pods(snapshot), *lost.mark_lost_pods(snapshot)]
    return _plan(
        snapshot,
        marks,
        _after_marks(snapshot, marks, desired.write_desired(snapshot)),
        unwanted.delete_unwanted_pods(snapshot),
        lost.delete_lost_pods(snapshot),
        repair.ensure_prerequisites_again(snapshot),
        replace.create_missing_pods(snapshot),
        leftovers.delete_replaced_pods(snapshot),
        leftovers.delete_orphan_leases(snapshot),
    )


def facts(snapshot: Snapshot) -> frozenset[str]:
    """What policies want to know the age of."""
    return frozenset(
        {
            *unwanted.facts(snapshot),
            *lost.facts(snapshot),
            *repair.facts(snapshot),
            *leftovers.facts(snapshot),
        }
    )


def _after_marks(snapshot: Snapshot, marks: list[Action | Later], writes: Actions) -> Actions:
    """The holder is cleared after its Lease is marked: while a mark is refused, that waits."""
    is_held_up = any(
        isinstance(mark, Mark) and refused.wait_s(snapshot, mark) > 0 for mark in marks
    )
    for write in writes:
        if not is_held_up or not isinstance(write, WriteRound):
            yield write
        elif write.desired is not None:
            yield dataclasses.replace(write, clear_holder=False)


def _plan(snapshot: Snapshot, *policies: Iterable[Action | Later]) -> Plan:
    """What was refused is left out until its time has come."""
    asked = (refused.delayed(snapshot, action) for policy in policies for action in policy)
    wanted = dict.fromkeys(asked)
    waits = [action.after_s for action in wanted if isinstance(action, Later)]
    actions = tuple(action for action in wanted if not isinstance(action, Later))
    return Plan(actions, min(waits, default=None))
