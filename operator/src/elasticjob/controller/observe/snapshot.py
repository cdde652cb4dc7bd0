"""Everything that a plan looks at, at one moment: job, Round, pods, and what is recalled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

from elasticjob.api.v1alpha1 import ElasticJobSpec
from elasticjob.controller.observe.parse import Job, ObservedPod
from elasticjob.wire import names
from elasticjob.wire.cause import CauseKind
from elasticjob.wire.codec import load_tagged
from elasticjob.wire.lease import AgentLease, RoundLease
from elasticjob.wire.member import Pod, load_pods
from elasticjob.wire.round import Round


@dataclass(frozen=True)
class Replacement:
    """How often an index was replaced in a row without a plan, and when last (monotonic s)."""

    count: int
    at: float


@dataclass(frozen=True)
class Renewal:
    """The last renewal of an agent that was seen: empty if it has no Lease.

    at: when it was first seen (monotonic s). looks: how often since. An API server that was away
    makes every Lease old, but not looked at.
    """

    renew_time: str
    at: float
    reads: int = 1


@dataclass(frozen=True)
class Restart:
    """A round that started the workers again, and why; at: when it was seen (monotonic s).

    number: what it is charged under, if the operator should rule so.
    """

    number: int
    kind: CauseKind
    at: float


@dataclass(frozen=True)
class Refusal:
    """Why the API server refused something, how often in a row, and when last (monotonic s).

    requested_at: when it was last requested; a pod can share the refusal of another one that it
    would have followed. 0: never.
    """

    why: str
    count: int
    at: float
    requested_at: float = 0.0


@dataclass(frozen=True)
class Refusals:
    """All refusals, by what was refused, as `describe` words it.

    generation: which spec the job had at the last of them. pods: which pods existed then.
    """

    by_action: Mapping[str, Refusal] = field(default_factory=dict)
    generation: int = 0
    pods: frozenset[Pod] = frozenset()


@dataclass(frozen=True)
class Recalled:
    """What the operator remembers of a job while it runs; all of it can be lost without harm.

    marked: pods whose Lease is `ended`. never_created: reserved pods that never existed and have no
    Lease. rounds: the last rounds that were seen, oldest first. orphans: Leases of no living pod.
    renewals: the last renewal of each agent, as of leases_listed_at. refusals: what was refused.
    restarts: those of the last hour that no agent charged, as far as they were seen; watched_at:
    since when (monotonic s). prerequisites_at: when all that pods need existed last (monotonic s).
    since: of each fact that lasts, when it was first seen (monotonic s).
    """

    marked: frozenset[Pod] = frozenset()
    never_created: frozenset[Pod] = frozenset()
    rounds: tuple[Round, ...] = ()
    orphans: tuple[AgentLease, ...] = ()
    renewals: Mapping[Pod, Renewal] = field(default_factory=dict)
    leases_listed_at: float | None = None
    replacements: Mapping[int, Replacement] = field(default_factory=dict)
    refusals: Refusals = Refusals()
    restarts: tuple[Restart, ...] = ()
    watched_at: float | None = None
    prerequisites_at: float | None = None
    since: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Snapshot:
    """Everything that a plan looks at.

    taken_names: names that pods of an older job of this name still have. older_round_uid: UID of
    the Round Lease of such a job. heartbeat_s: what T should be now. uncounted_restarts_per_hour:
    how many of them make no job Unstable. now: monotonic; at: for people.
    """

    job: Job
    spec: ElasticJobSpec
    pods: tuple[ObservedPod, ...]
    lease: RoundLease | None
    now: float
    utc_now: datetime
    heartbeat_s: float
    uncounted_restarts_per_hour: int
    agent_hash: str
    taken_names: frozenset[str] = frozenset()
    older_round_uid: str = ""
    recalled: Recalled = Recalled()

    @cached_property
    def living(self) -> dict[Pod, ObservedPod]:
        """Pods whose agent may still do something."""
        return {p.pod: p for p in self.pods if p.living}

    @cached_property
    def by_pod(self) -> dict[Pod, ObservedPod]:
        """All pods."""
        return {p.pod: p for p in self.pods}

    @cached_property
    def by_name(self) -> dict[str, ObservedPod]:
        """All pods by name."""
        return {p.name: p for p in self.pods}

    @cached_property
    def counted_by_quota(self) -> frozenset[Pod]:
        """Pods that a quota counts: not those whose containers have all ended."""
        return frozenset(p.pod for p in self.pods if not p.all_terminated)

    @cached_property
    def refusals(self) -> Mapping[str, Refusal]:
        """The refusals that still hold: all, unless the spec is another one or a pod is gone."""
        found = self.recalled.refusals
        holds = found.generation == self.job.generation and found.pods <= self.counted_by_quota
        return found.by_action if holds else {}

    @property
    def indexes(self) -> range:
        """The indexes that the spec asks for."""
        return range(self.spec.replicas)

    @cached_property
    def next_generations(self) -> dict[int, int]:
        """For each index that ever had a pod, the lowest generation that is surely unused."""
        reserved = load_pods(self.job.status.generations or "", "status.generations")
        used = [*self.by_pod, *(orphan.pod for orphan in self.recalled.orphans)]
        used += self.lease.round.pods if self.lease else ()
        found = {p.index: p.generation for p in reserved}
        for seen in used:
            found[seen.index] = max(found.get(seen.index, 0), seen.generation + 1)
        return found

    @cached_property
    def blamed(self) -> dict[int, int]:
        """How many failures were blamed on the present pod of an index."""
        pairs = load_tagged(self.job.status.blamed or "", "x", "status.blamed")
        return {index: int(count) for index, count in pairs if count.isdigit()}

    def newest_pod(self, index: int) -> Pod | None:
        """The newest pod of an index, whether it exists or not; None: there never was one."""
        following = self.next_generations.get(index, 0)
        return Pod(index, following - 1) if following else None

    def next_pod(self, index: int) -> Pod:
        """The next pod of an index: one whose name was never used, by whatever job."""
        generation = self.next_generations.get(index, 0)
        while names.pod_name(self.job.name, index, generation) in self.taken_names:
            generation += 1
        return Pod(index, generation)

    def is_member(self, pod_: Pod) -> bool:
        """Whether the Round names this pod."""
        return self.lease is not None and pod_ in self.lease.round.pods

    def is_holder(self, pod_: Pod) -> bool:
        """Whether this pod's agent is the holder."""
        return self.lease is not None and self.lease.holder == self.job.pod_name(pod_)

    def lasted_s(self, fact: str) -> float:
        """For how long this fact has been seen; 0 if it is new."""
        return self.now - self.recalled.since.get(fact, self.now)
