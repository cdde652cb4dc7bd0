"""Everything that a plan looks at, at one moment: job, Round, pods, and what is recalled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

from elasticjob.api.v1alpha1 import ElasticJobSpec
from elasticjob.controller.observe.parse import Job, PodSeen
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
class Heard:
    """The last renewal of an agent that was seen: empty if it has no Lease.

    at: when it was first seen (monotonic s). looks: how often since. An API server that was away
    makes every Lease old, but not looked at.
    """

    renew_time: str
    at: float
    looks: int = 1


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

    asked_at: when the API server was last asked for it; a pod can share the refusal of another one
    that it would have followed. 0: never.
    """

    why: str
    count: int
    at: float
    asked_at: float = 0.0


@dataclass(frozen=True)
class Refusals:
    """All refusals, by what was refused, as `described` words it.

    generation: which spec the job had at the last of them. pods: which pods existed then.
    """

    by_action: Mapping[str, Refusal] = field(default_factory=dict)
    generation: int = 0
    pods: frozenset[Pod] = frozenset()


@dataclass(frozen=True)
class Recalled:
    """What the operator remembers of a job while it runs; all of it can be lost without harm.

    marked: pods whose Lease is `ended`. unborn: reserved pods that do not exist and never had a
    Lease. rounds: the last rounds that were seen, oldest first. orphans: Leases of no living pod.
    heard: agents outside of the round, as of listened_at. refusals: what the API server refused.
    restarts: those of the last hour that no agent charged, as far as they were seen; watched_at:
    since when (monotonic s). deployed_at: when all that pods need was there last (monotonic s).
    since: of each fact that lasts, when it was first seen (monotonic s).
    """

    marked: frozenset[Pod] = frozenset()
    unborn: frozenset[Pod] = frozenset()
    rounds: tuple[Round, ...] = ()
    orphans: tuple[AgentLease, ...] = ()
    heard: Mapping[Pod, Heard] = field(default_factory=dict)
    listened_at: float | None = None
    replacements: Mapping[int, Replacement] = field(default_factory=dict)
    refusals: Refusals = Refusals()
    restarts: tuple[Restart, ...] = ()
    watched_at: float | None = None
    deployed_at: float | None = None
    since: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Snapshot:
    """Everything that a plan looks at.

    strangers: names that pods of an older job of this name still have. old_round: UID of the Round
    Lease of such a job. heartbeat_s: what T should be now. calm: how many restarts an
    hour that no budget counts are nothing to tell. now: monotonic; at: for people.
    """

    job: Job
    spec: ElasticJobSpec
    pods: tuple[PodSeen, ...]
    lease: RoundLease | None
    now: float
    at: datetime
    heartbeat_s: float
    calm: int
    agent_hash: str
    strangers: frozenset[str] = frozenset()
    old_round: str = ""
    recalled: Recalled = Recalled()

    @cached_property
    def living(self) -> dict[Pod, PodSeen]:
        """Pods whose agent may still do something."""
        return {p.pod: p for p in self.pods if p.living}

    @cached_property
    def by_pod(self) -> dict[Pod, PodSeen]:
        """All pods."""
        return {p.pod: p for p in self.pods}

    @cached_property
    def names(self) -> dict[str, PodSeen]:
        """All pods by name."""
        return {p.name: p for p in self.pods}

    @cached_property
    def existing(self) -> frozenset[Pod]:
        """Pods that a quota counts: not those whose containers have all ended."""
        return frozenset(p.pod for p in self.pods if not p.over)

    @cached_property
    def refusals(self) -> Mapping[str, Refusal]:
        """The refusals that still hold: all, unless the spec is another one or a pod is gone."""
        found = self.recalled.refusals
        holds = found.generation == self.job.generation and found.pods <= self.existing
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

    def current(self, index: int) -> Pod | None:
        """The newest pod of an index, whether it exists or not; None: there never was one."""
        following = self.next_generations.get(index, 0)
        return Pod(index, following - 1) if following else None

    def fresh(self, index: int) -> Pod:
        """The next pod of an index: one whose name was never used, by whatever job."""
        generation = self.next_generations.get(index, 0)
        while names.pod_name(self.job.name, index, generation) in self.strangers:
            generation += 1
        return Pod(index, generation)

    def is_member(self, pod_: Pod) -> bool:
        """Whether the Round names this pod."""
        return self.lease is not None and pod_ in self.lease.round.pods

    def holds(self, pod_: Pod) -> bool:
        """Whether this pod's agent is the holder."""
        return self.lease is not None and self.lease.holder == self.job.pod_name(pod_)

    def lasted_s(self, fact: str) -> float:
        """For how long this fact has been seen; 0 if it is new."""
        return self.now - self.recalled.since.get(fact, self.now)
