"""The next memory of a job: after a snapshot, after actions, and after a resync.

Each function returns the next record and changes none.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import replace

from elasticjob.controller.observe.memory import (
    Memory,
    Refusal,
    Refusals,
    Renewal,
    ReplacedRound,
    Replacement,
)
from elasticjob.controller.observe.snapshot import Snapshot
from elasticjob.controller.plan import missing, refused, repeated
from elasticjob.controller.plan.actions import (
    ActionResults,
    CreatePod,
    DeleteLease,
    EnsurePrerequisites,
    LeaseList,
    ReplaceRound,
    describe,
)
from elasticjob.controller.plan.restarts import uncounted
from elasticjob.wire import names
from elasticjob.wire.agent_state import AgentState
from elasticjob.wire.codec import LARGEST_SET
from elasticjob.wire.lease import AgentLease
from elasticjob.wire.member import Pod


def after_snapshot(snapshot: Snapshot) -> Memory:
    """The memory after this snapshot: durations, pods that exist, and restarts.

    The first snapshot of a job notes no restarts: they may be old.
    """
    memory, newest = snapshot.memory, max((r.n for r in snapshot.past_rounds), default=0)
    first = memory.watched_at is None
    return replace(
        memory,
        never_created=snapshot.never_created,
        created=_created(snapshot),
        restarts=uncounted.restarts(snapshot),
        watched_at=snapshot.now if first else memory.watched_at,
        seen_n=max(memory.seen_n, newest),
        since=snapshot.since,
    )


def after_actions(memory: Memory, snapshot: Snapshot, results: ActionResults, now: float) -> Memory:
    """The memory after actions for this snapshot, of which some may be refused."""
    memory = _after_marks(memory, results)
    if results.leases is not None:
        memory = _after_list(memory, snapshot, results.leases)
    made = [action for action in results.done if isinstance(action, CreatePod)]
    replaced = [action for action in results.done if isinstance(action, ReplaceRound)]
    deleted = {action.uid for action in results.done if isinstance(action, DeleteLease)}
    unmade = {action.pod for action in results.refused if isinstance(action, CreatePod)}
    unmade.update(action.pod for action in results.never_created)
    return replace(
        memory,
        never_created=memory.never_created.difference(a.pod for a in made) | unmade,
        orphans={pod: x for pod, x in memory.orphans.items() if x.uid not in deleted},
        replacements=_replacements(memory, made, now),
        refusals=_refusals(snapshot, results, now),
        performed=repeated.after(memory.performed, results.done, now),
        replaced=_replaced(replaced[-1]) if replaced else memory.replaced,
        prerequisites_at=_prerequisites_at(memory, snapshot, results),
    )


def after_resync(
    memory: Memory,
    before: Memory,
    leases: Iterable[AgentLease],
    living: Iterable[Pod],
    unreadable: Mapping[str, str],
) -> Memory:
    """The memory after a resync has listed the agent Leases; the operator judges agents without
    one.

    before: the memory when the list began. What was noted since then stays, as the list may be
    older. An earlier record that an agent has no Lease stays, too: the operator judges by it.
    """
    found, alive = _by_pod(leases), frozenset(living)
    newer = {p: x for p, x in memory.orphans.items() if before.orphans.get(p) != x}
    renewals = {
        pod: renewal
        for pod, renewal in memory.renewals.items()
        if pod in found or not renewal.renew_time or before.renewals.get(pod) != renewal
    }
    return replace(
        memory,
        orphans=_orphans(found, alive) | newer,
        renewals=renewals,
        unreadable_leases=unreadable,
    )


def _created(snapshot: Snapshot) -> frozenset[Pod]:
    """The newest pods of their indexes that a snapshot had. Such a pod may be gone before it has a
    Lease, which its agent may still create. One that no snapshot had may only be late."""
    seen = snapshot.memory.created.union(snapshot.by_pod)
    return frozenset(pod for pod in seen if pod == snapshot.newest_pod(pod.index))


def _after_marks(memory: Memory, results: ActionResults) -> Memory:
    """Marked Leases. A name that another owner's pod or Lease has counts as one, so that the next
    generation is created."""
    marked = {lease.pod: _short(lease) for lease in results.marked}
    gone = marked.keys() | set(results.taken)
    return replace(
        memory,
        marked=memory.marked | gone,
        never_created=(memory.never_created | set(results.unmarked)) - gone,
        orphans={**memory.orphans, **marked},
    )


def _after_list(memory: Memory, snapshot: Snapshot, listed: LeaseList) -> Memory:
    """The renewals in all agent Leases of the job, and the orphans among them.

    Earlier renewals of pods that the operator does not judge are dropped and do not count later: a
    pod that waits for its node has no Lease, a holder does not renew its own.
    """
    found, alive = _by_pod(listed.found), frozenset(snapshot.living)
    renewals = {
        pod: _next_renewal(
            memory.renewals.get(pod) if pod in listed.judged else None, found.get(pod), listed.at
        )
        for pod in alive
    }
    return replace(
        memory,
        orphans=_orphans(found, alive),
        renewals=renewals,
        leases_listed_at=listed.at,
        unreadable_leases=listed.unreadable,
    )


def _refusals(snapshot: Snapshot, results: ActionResults, now: float) -> Refusals:
    known: dict[str, Refusal] = dict(snapshot.refusals)
    for action in results.done:
        known.pop(describe(action), None)
    for refused_, why in results.refused.items():
        what, requested = describe(refused_), refused_ not in results.postponed
        known[what] = refused.after_refusal(known.get(what), why, now, requested)
    made = {action.pod for action in results.done if isinstance(action, CreatePod)}
    return Refusals(known, snapshot.job.generation, snapshot.counted_by_quota | made)


def _prerequisites_at(memory: Memory, snapshot: Snapshot, results: ActionResults) -> float | None:
    """When all prerequisites existed last; None if a refusal shows that one is missing."""
    account = names.service_account_name(snapshot.job.name)
    if any(
        what == EnsurePrerequisites() or account in why for what, why in results.refused.items()
    ):
        return None
    return memory.prerequisites_at if results.ensured_at is None else results.ensured_at


def _replacements(memory: Memory, made: list[CreatePod], now: float) -> dict[int, Replacement]:
    found = dict(memory.replacements)
    for creation in made:
        if creation.replaces:
            index = creation.pod.index
            found[index] = missing.after_replacement(found.get(index), now)
    return found


def _replaced(action: ReplaceRound) -> ReplacedRound:
    return ReplacedRound(action.fault, action.round.n)


def _by_pod(leases: Iterable[AgentLease]) -> dict[Pod, AgentLease]:
    """All agent Leases of the job by pod."""
    return {lease.pod: lease for lease in itertools.islice(leases, LARGEST_SET)}


def _orphans(found: Mapping[Pod, AgentLease], alive: frozenset[Pod]) -> dict[Pod, AgentLease]:
    return {pod: _short(lease) for pod, lease in found.items() if pod not in alive}


def _short(lease: AgentLease) -> AgentLease:
    """The Lease without the texts that its agent wrote, which no plan needs."""
    return replace(lease, state=AgentState(lease.state.phase, lease.state.n))


def _next_renewal(before: Renewal | None, lease: AgentLease | None, now: float) -> Renewal:
    renewed = lease.renew_time if lease else ""
    if before is None or before.renew_time != renewed:
        return Renewal(renewed, now)
    return Renewal(renewed, before.at, before.reads + 1)
