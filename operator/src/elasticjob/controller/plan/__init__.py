"""The plan: what to do with a job now, as a pure function of a snapshot. Read `plan` first.

Each policy is a function of the snapshot and the time, and yields the actions that are due. It
compares the time by `now.has_come` alone, which also records when the next plan is due. An action
that depends on another one is planned in a later pass, from the API server's answers then: mark the
Lease of an ended pod, read the Round Lease again, then create the replacement (rule 9). `memory` is
no policy: it has the functions that make the next record of what the operator remembers.
"""

from __future__ import annotations

import math
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
from elasticjob.controller.plan.actions import Action, Actions
from elasticjob.rendezvous.now import Now

__all__ = ["Plan", "plan"]

Policy = Callable[[Snapshot, Now], Actions]

# The policies by the state of the job. The actions of a plan have the order of these tables.
WAITS: tuple[Policy, ...] = (
    older_job.delete_group,  # clause 9-delete-older-job
)
OVER: tuple[Policy, ...] = (
    older_job.delete_group,
    job_over.delete_pods,  # clause 9-clean-pods
    leftovers.delete_orphan_leases,  # clause 9-delete-orphans-at-the-end
)
WITHOUT_ROUND: tuple[Policy, ...] = (
    first_round.create_round,  # clause 9-create-round
)
WITH_FALSE_ROUND: tuple[Policy, ...] = (
    first_round.replace_round,  # clause 9-replace-round
)
RUNS: tuple[Policy, ...] = (
    older_job.delete_group,
    ended.mark_ended_pods,  # clause 9-mark-ended
    lost.mark_lost_pods,  # clause 9-mark-lost
    lost.await_pulse,  # clause 9-await-pulse
    lost.list_leases,  # clause 9-list-leases
    desired.write_desired,  # clause 9-write-desired
    unwanted.delete_unwanted_pods,  # clause 9-delete-unwanted
    lost.delete_lost_pods,  # clause 9-delete-lost
    lost.delete_blamed_pods,  # clause 9-delete-blamed
    repair.ensure_prerequisites_again,  # clause 9-ensure-again
    missing.create_missing_pods,  # clause 9-create-missing
    leftovers.delete_replaced_pods,  # clause 9-delete-replaced
    leftovers.delete_orphan_leases,  # clause 9-delete-orphans
)


@dataclass(frozen=True)
class Plan:
    """What to do now, when to plan again, and what to remember."""

    actions: tuple[Action, ...]  # in this order
    again_s: float | None  # at the latest; None: when something changes
    memory: Memory


def plan(snapshot: Snapshot) -> Plan:
    """Plan for one job: apply all policies that its state allows."""
    now = Now(snapshot.now)
    planned = [action for policy in policies(snapshot) for action in policy(snapshot, now)]
    due = dict.fromkeys(
        action
        for action in desired.after_marks(snapshot, planned, now)
        if refused.may_try(snapshot, action, now)  # clause 9-refused-waits
        and repeated.may_repeat(snapshot, action, now)  # clause 9-repeated-waits
    )
    again_s = now.again_at - snapshot.now if now.again_at < math.inf else None
    return Plan(tuple(due), again_s, memory.after_snapshot(snapshot))


def policies(snapshot: Snapshot) -> tuple[Policy, ...]:
    """The policies that the state of the job allows."""
    if snapshot.job.deleting:  # clause 9-not-while-deleted
        return ()  # without the Round Lease the agents freeze until they receive SIGTERM
    if older_job.delays_round(snapshot):  # clause 9-waits-for-older-job
        return WAITS
    if job_over.is_over(snapshot):  # clause 9-over
        return OVER
    if snapshot.lease is None:
        return WITHOUT_ROUND
    if snapshot.excess:  # clause 9-excess
        return WITH_FALSE_ROUND
    return RUNS
