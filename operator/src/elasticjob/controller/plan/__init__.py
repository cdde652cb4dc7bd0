"""The plan: what to do with a job now, as a pure function of a snapshot. Read `plan` first.

Each policy is a function of the snapshot, and yields the actions that are due, and the times after
which it has to run again. An action that depends on another one is planned in a later pass, from
the API server's answers then: mark the Lease of an ended pod, read the Round Lease again, then
create the replacement (rule 9). `memory` is no policy: it has the functions that make the next
record of what the operator remembers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from elasticjob.controller.observe.memory import Memory
from elasticjob.controller.observe.snapshot import Snapshot
from elasticjob.controller.plan import (
    desired,
    ended,
    first_round,
    job_over,
    leftovers,
    lost,
    memory,
    missing,
    older_job,
    refused,
    repair,
    repeated,
    unwanted,
)
from elasticjob.controller.plan.actions import Action, Actions, Later

__all__ = ["Plan", "plan"]

Policy = Callable[[Snapshot], Actions]

# The policies by the state of the job. The actions of a plan have the order of these tables.
WAITS: tuple[Policy, ...] = (older_job.delete_group,)
OVER: tuple[Policy, ...] = (
    older_job.delete_group,
    job_over.delete_pods,
    leftovers.delete_orphan_leases,
)
WITHOUT_ROUND: tuple[Policy, ...] = (first_round.create_round,)
WITH_FALSE_ROUND: tuple[Policy, ...] = (first_round.replace_round,)
RUNS: tuple[Policy, ...] = (
    older_job.delete_group,
    ended.mark_ended_pods,
    lost.mark_lost_pods,
    lost.list_leases,
    desired.write_desired,
    unwanted.delete_unwanted_pods,
    lost.delete_lost_pods,
    lost.delete_blamed_pods,
    repair.ensure_prerequisites_again,
    missing.create_missing_pods,
    leftovers.delete_replaced_pods,
    leftovers.delete_orphan_leases,
)


@dataclass(frozen=True)
class Plan:
    """What to do now, when to plan again, and what to remember."""

    actions: tuple[Action, ...]  # in this order
    again_s: float | None  # at the latest; None: when something changes
    memory: Memory


def plan(snapshot: Snapshot) -> Plan:
    """Plan for one job: apply all policies that its state allows."""
    planned = [action for policy in policies(snapshot) for action in policy(snapshot)]
    due = (refused.delayed(snapshot, each) for each in desired.after_marks(snapshot, planned))
    found = dict.fromkeys(repeated.delayed(snapshot, each) for each in due)
    waits = [each.after_s for each in found if isinstance(each, Later)]
    actions = tuple(each for each in found if not isinstance(each, Later))
    return Plan(actions, min(waits, default=None), memory.after_snapshot(snapshot))


def policies(snapshot: Snapshot) -> tuple[Policy, ...]:
    """The policies that the state of the job allows."""
    if snapshot.job.deleting:
        return ()  # without the Round Lease the agents freeze until they receive SIGTERM
    if older_job.delays_round(snapshot):
        return WAITS
    if job_over.is_over(snapshot):
        return OVER
    if snapshot.lease is None:
        return WITHOUT_ROUND
    if snapshot.excess:
        return WITH_FALSE_ROUND
    return RUNS
