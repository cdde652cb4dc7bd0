"""What the operator remembers of a job from pass to pass; a restart loses it without harm."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from elasticjob.controller.observe.rounds import PastRound
from elasticjob.controller.observe.snapshot import (
    Performed,
    Recalled,
    Refusals,
    Renewal,
    ReplacedRound,
    Replacement,
    Restart,
    Snapshot,
)
from elasticjob.controller.plan import missing, refused, repeated
from elasticjob.controller.plan.actions import (
    ActionResults,
    CreatePod,
    EnsurePrerequisites,
    ReplaceRound,
    describe,
)
from elasticjob.controller.plan.restarts import uncounted
from elasticjob.wire import names
from elasticjob.wire.agent_state import AgentState
from elasticjob.wire.codec import LARGEST_SET
from elasticjob.wire.lease import AgentLease
from elasticjob.wire.member import Pod


@dataclass
class Memory:
    """The memory of one job. Recalled describes the fields that have no comment here."""

    job_uid: str
    marked: set[Pod] = field(default_factory=set)
    never_created: set[Pod] = field(default_factory=set)
    orphans: dict[Pod, AgentLease] = field(default_factory=dict)
    renewals: dict[Pod, Renewal] = field(default_factory=dict)
    leases_listed_at: float | None = None
    replacements: dict[int, Replacement] = field(default_factory=dict)
    refusals: Refusals = field(default_factory=Refusals)
    restarts: tuple[Restart, ...] = ()
    watched_at: float | None = None
    seen_n: int = 0  # the newest round in `restarts`
    prerequisites_at: float | None = None
    since: dict[str, float] = field(default_factory=dict)
    performed: dict[object, Performed] = field(default_factory=dict)
    replaced: ReplacedRound | None = None
    unreadable_leases: dict[str, str] = field(default_factory=dict)

    def recalled(self, rounds: Iterable[PastRound]) -> Recalled:
        """The frozen copy for a snapshot."""
        return Recalled(
            marked=frozenset(self.marked),
            never_created=frozenset(self.never_created),
            rounds=tuple(rounds),
            orphans=tuple(self.orphans.values()),
            renewals=dict(self.renewals),
            leases_listed_at=self.leases_listed_at,
            replacements=dict(self.replacements),
            refusals=self.refusals,
            restarts=self.restarts,
            watched_at=self.watched_at,
            prerequisites_at=self.prerequisites_at,
            since=dict(self.since),
            performed=self.performed,
            replaced=self.replaced,
            unreadable_leases=self.unreadable_leases,
        )

    def note_results(self, snapshot: Snapshot, results: ActionResults, now: float) -> None:
        """Note which actions for this snapshot were performed and which were refused."""
        self.performed = repeated.after(self.performed, results.done, now)
        known = dict(snapshot.refusals)
        for action in results.done:
            known.pop(describe(action), None)
        for action, why in results.refused.items():
            what, requested = describe(action), action not in results.postponed
            known[what] = refused.after_refusal(known.get(what), why, now, requested)
            if isinstance(action, CreatePod):
                self.never_created.add(action.pod)
            if (
                action == EnsurePrerequisites()
                or names.service_account_name(snapshot.job.name) in why
            ):
                self.prerequisites_at = None  # a prerequisite is missing
        self.never_created.update(action.pod for action in results.never_created)
        made = {action.pod for action in results.done if isinstance(action, CreatePod)}
        for action in results.done:
            if isinstance(action, ReplaceRound):
                self.replaced = ReplacedRound(action.fault, action.round.n)
        self.refusals = Refusals(known, snapshot.job.generation, snapshot.counted_by_quota | made)

    def note_pods(self, pods: Iterable[Pod]) -> None:
        """Note that these pods exist, also one that a seemingly failed request has created."""
        self.never_created.difference_update(pods)

    def note_prerequisites(self, now: float) -> None:
        """Note that all prerequisites of the job's pods exist."""
        self.prerequisites_at = now

    def note_facts(self, facts: Iterable[str], now: float) -> None:
        """Note that these facts apply now, and forget the others."""
        self.since = {fact: self.since.get(fact, now) for fact in facts}

    def note_rounds(self, rounds: Sequence[PastRound], now: float) -> None:
        """Note restarts among the last rounds, but not those before the first pass."""
        newest = max((round_.n for round_ in rounds), default=0)
        if self.watched_at is None:
            self.watched_at, self.seen_n = now, newest
        new = uncounted.of_rounds(rounds, self.seen_n, now)
        self.restarts = (*uncounted.recent(self.restarts, now), *new)[-uncounted.KEPT :]
        self.seen_n = max(self.seen_n, newest)

    def note_marked(self, lease: AgentLease) -> None:
        """Note that this Lease has the mark `ended`."""
        self.marked.add(lease.pod)
        self.never_created.discard(lease.pod)
        self.orphans[lease.pod] = _short(lease)

    def note_created(self, pod: Pod, replaces: bool, now: float) -> None:
        """Note that this pod was created."""
        self.never_created.discard(pod)
        if replaces:
            before = self.replacements.get(pod.index)
            self.replacements[pod.index] = missing.after_replacement(before, now)

    def note_leases(
        self, leases: Iterable[AgentLease], living: Iterable[Pod], judged: Iterable[Pod], now: float
    ) -> None:
        """Note the renewals in all agent Leases of the job, and the orphans among them.

        judged: the pods that the operator judges. Earlier renewals of other pods are dropped and do
        not count later: a pod that waits for its node has no Lease, a holder does not renew its
        own.
        """
        alive, judged = frozenset(living), frozenset(judged)
        found = self._note_orphans(leases, alive)
        before = {pod: renewal for pod, renewal in self.renewals.items() if pod in judged}
        self.renewals = {pod: _next_renewal(before.get(pod), found.get(pod), now) for pod in alive}
        self.leases_listed_at = now

    def note_listed(self, leases: Iterable[AgentLease], living: Iterable[Pod]) -> None:
        """Note which agent Leases exist at a resync; the operator judges agents without one.

        An earlier record that an agent has no Lease stays: it is what the operator judges by.
        """
        found = self._note_orphans(leases, frozenset(living))
        self.renewals = {
            pod: renewal
            for pod, renewal in self.renewals.items()
            if pod in found or not renewal.renew_time
        }

    def _note_orphans(
        self, leases: Iterable[AgentLease], alive: frozenset[Pod]
    ) -> dict[Pod, AgentLease]:
        """All agent Leases of the job by pod; remember those without a living pod."""
        found = {lease.pod: lease for lease in itertools.islice(leases, LARGEST_SET)}
        self.orphans = {pod: _short(x) for pod, x in found.items() if pod not in alive}
        return found


def _short(lease: AgentLease) -> AgentLease:
    """The Lease without the texts that its agent wrote, which no plan needs."""
    return replace(lease, state=AgentState(lease.state.phase, lease.state.n))


def _next_renewal(before: Renewal | None, lease: AgentLease | None, now: float) -> Renewal:
    renewed = lease.renew_time if lease else ""
    if before is None or before.renew_time != renewed:
        return Renewal(renewed, now)
    return Renewal(renewed, before.at, before.reads + 1)
