"""What the operator remembers of a job from one pass to the next; lost with it, without harm."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from elasticjob.controller.plan import replace
from elasticjob.controller.snapshot import Heard, Recalled, Replacement
from elasticjob.wire.lease import AgentLease
from elasticjob.wire.member import Pod
from elasticjob.wire.round import Round


@dataclass
class Memory:
    """Of one job, by UID. The fields are described at Recalled."""

    job_uid: str
    marked: set[Pod] = field(default_factory=set)
    unborn: set[Pod] = field(default_factory=set)
    orphans: dict[Pod, AgentLease] = field(default_factory=dict)
    heard: dict[Pod, Heard] = field(default_factory=dict)
    listened_at: float | None = None
    replacements: dict[int, Replacement] = field(default_factory=dict)
    refused: str = ""
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
            refused=self.refused,
            deployed_at=self.deployed_at,
            since=dict(self.since),
        )

    def note_refused(self, why: str) -> None:
        """No pods can be made, maybe because something that they need is not there."""
        self.refused = why
        self.deployed_at = None

    def note_deployed(self, now: float) -> None:
        """All that the job's pods need is there."""
        self.refused = ""
        self.deployed_at = now

    def note_facts(self, facts: Iterable[str], now: float) -> None:
        """These hold now; what does not hold any more is forgotten."""
        self.since = {fact: self.since.get(fact, now) for fact in facts}

    def note_marked(self, lease: AgentLease) -> None:
        """This pod's Lease is `ended`."""
        self.marked.add(lease.pod)
        self.unborn.discard(lease.pod)
        self.orphans[lease.pod] = lease

    def note_made(self, pod: Pod, replaces: bool, now: float) -> None:
        """This pod was made."""
        self.refused = ""
        self.unborn.discard(pod)
        if replaces:
            before = self.replacements.get(pod.index)
            self.replacements[pod.index] = replace.recorded(before, now)

    def note_leases(self, leases: Iterable[AgentLease], living: Iterable[Pod], now: float) -> None:
        """All agent Leases of the job, as they are now."""
        found = {lease.pod: lease for lease in leases}
        alive = frozenset(living)
        self.orphans = {pod: lease for pod, lease in found.items() if pod not in alive}
        self.heard = {pod: self._heard(pod, found.get(pod), now) for pod in alive}
        self.listened_at = now

    def _heard(self, pod: Pod, lease: AgentLease | None, now: float) -> Heard:
        renewed = lease.renewed if lease else ""
        before = self.heard.get(pod)
        if before is None or before.renewed != renewed:
            return Heard(renewed, now)
        return Heard(renewed, before.at, before.looks + 1)
