"""The plan: what to do with a job now, as a pure function of a snapshot. Read `plan` first.

Each policy is a module and yields the actions that are due. An action that depends on another one
is planned in a later pass, from the API server's answers then: mark the Lease of an ended pod, read
the Round Lease again, then create the replacement (rule 9). `memory` is no policy: it keeps what
the operator remembers of a job from pass to pass.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from elasticjob.controller.observe.snapshot import Snapshot
from elasticjob.controller.plan import (
    desired,
    ended,
    first_round,
    job_over,
    leftovers,
    lost,
    missing,
    older_job,
    refused,
    repair,
    repeated,
    unwanted,
)
from elasticjob.controller.plan.actions import Action, Actions, Later, Mark, WriteRound

__all__ = ["Plan", "facts", "plan"]


@dataclass(frozen=True)
class Plan:
    """What to do now, and when to plan again."""

    actions: tuple[Action, ...] = ()  # in this order
    again_s: float | None = None  # at the latest; None: when something changes


def plan(snapshot: Snapshot) -> Plan:
    """Plan for one job: apply all policies that its state allows."""
    if snapshot.job.deleting:
        return Plan()  # without the Round Lease the agents freeze until they receive SIGTERM
    older = older_job.delete_group(snapshot)
    if older_job.delays_round(snapshot):
        return _plan(snapshot, older)
    if job_over.is_over(snapshot):
        return _plan(
            snapshot,
            older,
            job_over.delete_pods(snapshot),
            leftovers.delete_orphan_leases(snapshot),
        )
    if snapshot.lease is None:
        return _plan(snapshot, older, first_round.create_round(snapshot))
    if snapshot.excess:
        return _plan(snapshot, first_round.replace_round(snapshot))
    marks = [*ended.mark_ended_pods(snapshot), *lost.mark_lost_pods(snapshot)]
    return _plan(
        snapshot,
        older,
        marks,
        _after_marks(snapshot, marks, desired.write_desired(snapshot)),
        unwanted.delete_unwanted_pods(snapshot),
        lost.delete_lost_pods(snapshot),
        repair.ensure_prerequisites_again(snapshot),
        missing.create_missing_pods(snapshot),
        leftovers.delete_replaced_pods(snapshot),
        leftovers.delete_orphan_leases(snapshot),
    )


def facts(snapshot: Snapshot) -> frozenset[str]:
    """The facts whose duration the policies depend on; each policy declares its own."""
    return frozenset(
        {
            *unwanted.facts(snapshot),
            *lost.facts(snapshot),
            *repair.facts(snapshot),
            *leftovers.facts(snapshot),
        }
    )


def _after_marks(snapshot: Snapshot, marks: list[Action | Later], writes: Actions) -> Actions:
    """Make the holder role vacant only after its Lease is marked, not while a mark is
    refused."""
    is_held_up = any(
        isinstance(mark, Mark) and refused.wait_s(snapshot, mark) > 0 for mark in marks
    )
    for write in writes:
        if not is_held_up or not isinstance(write, WriteRound):
            yield write
        elif write.desired is not None:
            yield replace(write, clear_holder=False)


def _plan(snapshot: Snapshot, *policies: Iterable[Action | Later]) -> Plan:
    """The plan of these policies, without refused and repeated actions that have to wait."""
    due = (refused.delayed(snapshot, action) for policy in policies for action in policy)
    wanted = dict.fromkeys(repeated.delayed(snapshot, action) for action in due)
    waits = [action.after_s for action in wanted if isinstance(action, Later)]
    actions = tuple(action for action in wanted if not isinstance(action, Later))
    return Plan(actions, min(waits, default=None))
