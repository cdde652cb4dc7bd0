"""What the operator remembers of a job from one pass to the next; lost with it, without harm."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from elasticjob.controller.observe.snapshot import (
    Heard,
    Recalled,
    Refusals,
    Replacement,
    Restart,
    Snapshot,
)
from elasticjob.controller.plan import refused, replace, uncounted
from elasticjob.controller.plan.actions import Deploy, MakePod, Outcome, described
from elasticjob.wire import names
from elasticjob.wire.lease import AgentLease
from elasticjob.wire.member import Pod
from elasticjob.wire.round import Round


@dataclass
class Memory:
    """Of one job, by UID. The fields are described at Recalled.

    seen_n: the newest round that was looked at.
    """

    job_uid: str
    marked: set[Pod] = field(default_factory=set)
    unborn: set[Pod] = field(default_factory=set)
    orphans: dict[Pod, AgentLease] = field(default_factory=dict)
    heard: dict[Pod, Heard] = field(default_factory=dict)
    listened_at: float | None = None
    replacements: dict[int, Replacement] = field(default_factory=dict)
    refusals: Refusals = field(default_factory=Refusals)
    restarts: tuple[Restart, ...] = ()
    watched_at: float | None = None
    seen_n: int = 0
    deployed_at: float | None = None
    since: dict[str, float] = field(default_factory=dict)

    def recalled(self, rounds: Iterable[Round]) -> Recalled:
        """As a plan looks at it."""
        return Recalled(
            marked=frozenset(self.marked),
            unborn=frozenset(self.unborn),
            rounds=tuple(rounds),
            orphans=tuple(self.orphans.values()),
            heard=dict(self.heard),
            listened_at=self.listened_at,
            replacements=dict(self.replacements),
            refusals=self.refusals,
            restarts=self.restarts,
            watched_at=self.watched_at,
            deployed_at=self.deployed_at,
            since=dict(self.since),
        )

    def note_outcome(self, snapshot: Snapshot, outcome: Outcome, now: float) -> None:
        """What the API server did and what it refused, of what was planned for this snapshot."""
        known = dict(snapshot.refusals)
        for action in outcome.done:
            known.pop(described(action), None)
        for action, why in outcome.refused.items():
            what, asked = described(action), action not in outcome.put_off
            known[what] = refused.recorded(known.get(what), why, now, asked)
            if isinstance(action, MakePod):
                self.unborn.add(action.pod)
            if action == Deploy() or names.service_account_name(snapshot.job.name) in why:
                self.deployed_at = None  # something that pods need is not there
        made = {action.pod for action in outcome.done if isinstance(action, MakePod)}
        self.refusals = Refusals(known, snapshot.job.generation, snapshot.existing | made)

    def note_pods(self, pods: Iterable[Pod]) -> None:
        """These pods exist: also one that was made by a request that seemed to fail."""
        self.unborn.difference_update(pods)

    def note_deployed(self, now: float) -> None:
        """All that the job's pods need is there."""
        self.deployed_at = now

    def note_facts(self, facts: Iterable[str], now: float) -> None:
        """These hold now; what does not hold any more is forgotten."""
        self.since = {fact: self.since.get(fact, now) for fact in facts}

    def note_rounds(self, rounds: Sequence[Round], now: float) -> None:
        """The last rounds of the job. When those before the first look began is not known."""
        newest = max((round_.n for round_ in rounds), default=0)
        if self.watched_at is None:
            self.watched_at, self.seen_n = now, newest
        new = uncounted.of_rounds(rounds, self.seen_n, now)
        self.restarts = (*uncounted.recent(self.restarts, now), *new)
        self.seen_n = max(self.seen_n, newest)

    def note_marked(self, lease: AgentLease) -> None:
        """This pod's Lease is `ended`."""
        self.marked.add(lease.pod)
        self.unborn.discard(lease.pod)
        self.orphans[lease.pod] = lease

    def note_made(self, pod: Pod, replaces: bool, now: float) -> None:
        """This pod was made."""
        self.unborn.discard(pod)
        if replaces:
            before = self.replacements.get(pod.index)
            self.replacements[pod.index] = replace.recorded(before, now)

    def note_leases(
        self,
        leases: Iterable[AgentLease],
        living: Iterable[Pod],
        judged: Iterable[Pod],
        now: float,
    ) -> None:
        """All agent Leases of the job, as they are now. judged: the pods that the operator judges.

        What was seen of the others does not count against them once they are judged here: a pod
        that waits for its node has no Lease, and a holder does not renew its own.
        """
        alive, judged = frozenset(living), frozenset(judged)
        found = self._note_orphans(leases, alive)
        before = {pod: heard for pod, heard in self.heard.items() if pod in judged}
        self.heard = {pod: _heard(before.get(pod), found.get(pod), now) for pod in alive}
        self.listened_at = now

    def note_listed(self, leases: Iterable[AgentLease], living: Iterable[Pod]) -> None:
        """All agent Leases of the job at a resync. An agent whose Lease is gone is not known to
        have one any more, so that the operator judges it."""
        found = self._note_orphans(leases, frozenset(living))
        self.heard = {pod: heard for pod, heard in self.heard.items() if pod in found}

    def _note_orphans(
        self, leases: Iterable[AgentLease], alive: frozenset[Pod]
    ) -> dict[Pod, AgentLease]:
        """All agent Leases of the job by pod; those of no living pod are remembered."""
        found = {lease.pod: lease for lease in leases}
        self.orphans = {pod: lease for pod, lease in found.items() if pod not in alive}
        return found


def _heard(before: Heard | None, lease: AgentLease | None, now: float) -> Heard:
    renewed = lease.renew_time if lease else ""
    if before is None or before.renew_time != renewed:
        return Heard(renewed, now)
    return Heard(renewed, before.at, before.looks + 1)
