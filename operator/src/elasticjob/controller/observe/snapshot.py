"""The snapshot: everything that a plan depends on, at one moment. Times are monotonic seconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

from elasticjob.api.v1alpha1 import ElasticJobSpec
from elasticjob.controller.observe.parse import Job, ObservedPod
from elasticjob.controller.observe.rounds import ObservedRound, PastRound, past
from elasticjob.wire.cause import CauseKind
from elasticjob.wire.codec import load_tagged, whole_number
from elasticjob.wire.lease import AgentLease, RoundLease
from elasticjob.wire.member import Pod, load_pods


@dataclass(frozen=True)
class Replacement:
    """The unplanned replacements of an index."""

    count: int  # in a row
    at: float  # of the last one


@dataclass(frozen=True)
class Renewal:
    """The last renewal of an agent Lease that the operator has seen.

    Reads are counted because every Lease gets old, but is not read, while the API server is away.
    """

    renew_time: str  # empty: the agent has no Lease
    at: float  # when the operator saw it first
    reads: int = 1  # since then, the first included


@dataclass(frozen=True)
class Restart:
    """A round that started the workers again."""

    number: int  # the number of the charge, if the operator decides to count it
    kind: CauseKind
    at: float  # when the operator saw it


@dataclass(frozen=True)
class Refusal:
    """The refusals of one action in a row by the API server."""

    why: str
    count: int
    at: float  # of the last one
    requested_at: float = 0.0  # of the last request: a pod shares refusals of others; 0: never


@dataclass(frozen=True)
class Refusals:
    """The refusals of all actions, and the state in which they were refused."""

    by_action: Mapping[str, Refusal] = field(default_factory=dict)  # by actions.describe
    generation: int = 0  # of the spec
    pods: frozenset[Pod] = frozenset()  # that a quota counted


@dataclass(frozen=True)
class Performed:
    """The last times that an action was performed."""

    count: int  # in a row
    at: float  # of the last one


@dataclass(frozen=True)
class ReplacedRound:
    """A round that the operator replaced."""

    fault: str  # why
    n: int  # the number of the round in its place


@dataclass(frozen=True)
class Recalled:
    """What the operator remembers of a job from pass to pass. It can be lost without harm."""

    marked: frozenset[Pod] = frozenset()  # pods whose Lease has the mark `ended`
    never_created: frozenset[Pod] = frozenset()  # reserved pods that never existed, without a Lease
    rounds: tuple[PastRound, ...] = ()  # the last rounds, oldest first
    orphans: tuple[AgentLease, ...] = ()  # Leases without a living pod
    renewals: Mapping[Pod, Renewal] = field(default_factory=dict)
    leases_listed_at: float | None = None  # when the renewals were read
    replacements: Mapping[int, Replacement] = field(default_factory=dict)  # by index
    refusals: Refusals = Refusals()
    performed: Mapping[object, Performed] = field(default_factory=dict)  # by action
    replaced: ReplacedRound | None = None  # the last round that the operator replaced
    unreadable_leases: Mapping[str, str] = field(default_factory=dict)  # by name: why
    restarts: tuple[Restart, ...] = ()  # of the last hour, if no agent has charged them
    watched_at: float | None = None  # since when the restarts are known
    prerequisites_at: float | None = None  # when all that pods need existed last
    since: Mapping[str, float] = field(default_factory=dict)  # the first time of each lasting fact


@dataclass(frozen=True)
class Snapshot:
    """Everything that a plan depends on."""

    job: Job
    spec: ElasticJobSpec
    pods: tuple[ObservedPod, ...]
    lease: RoundLease | None
    now: float
    utc_now: datetime
    heartbeat_s: float  # the T that the job should have
    uncounted_restarts_per_hour: int  # more of them make the job Unstable
    agent_hash: str  # of this operator's agent
    older_pods: tuple[ObservedPod, ...] = ()  # of an older job of this name
    seen_round: ObservedRound | None = None  # the Round Lease, also that of an older job
    unreadable_pods: Mapping[str, str] = field(default_factory=dict)  # by name: why
    recalled: Recalled = Recalled()

    @cached_property
    def living(self) -> dict[Pod, ObservedPod]:
        """Pods whose agent may still run."""
        return {p.pod: p for p in self.pods if p.living}

    @cached_property
    def by_pod(self) -> dict[Pod, ObservedPod]:
        """All pods by index and generation."""
        return {p.pod: p for p in self.pods}

    @cached_property
    def by_name(self) -> dict[str, ObservedPod]:
        """All pods by name."""
        return {p.name: p for p in self.pods}

    @cached_property
    def counted_by_quota(self) -> frozenset[Pod]:
        """Pods that a quota of pods counts: those with a container that has not ended."""
        return frozenset(p.pod for p in self.pods if not p.all_terminated)

    @cached_property
    def refusals(self) -> Mapping[str, Refusal]:
        """The refusals that still apply: none after a change of the spec or the end of a pod."""
        found = self.recalled.refusals
        applies = found.generation == self.job.generation and found.pods <= self.counted_by_quota
        return found.by_action if applies else {}

    @property
    def older_round(self) -> ObservedRound | None:
        """The Round Lease of an older job of this name."""
        found = self.seen_round
        return found if found is not None and found.job_uid != self.job.uid else None

    @property
    def excess(self) -> str:
        """Why the members of the current round are ignored; empty if they are not."""
        return self.seen_round.excess if self.seen_round and not self.older_round else ""

    @cached_property
    def rounds(self) -> tuple[PastRound, ...]:
        """The last rounds and the current one, oldest first."""
        known = self.recalled.rounds
        if self.lease is None or (known and known[-1].n == self.lease.round.n):
            return known
        return (*known, past(self.lease.round))

    @property
    def indexes(self) -> range:
        """The indexes that the spec requests."""
        return range(self.spec.replicas)

    @cached_property
    def next_generations(self) -> dict[int, int]:
        """The lowest generation that no pod has used, for each index that ever had a pod."""
        reserved = load_pods(self.job.status.generations or "", "status.generations")
        used = [*self.by_pod, *(orphan.pod for orphan in self.recalled.orphans)]
        used += self.lease.round.pods if self.lease else ()
        found = {p.index: p.generation for p in reserved}
        for seen in used:
            found[seen.index] = max(found.get(seen.index, 0), seen.generation + 1)
        return found

    @cached_property
    def blamed(self) -> dict[int, int]:
        """The number of failures that the newest pod of an index is blamed for, by index."""
        pairs = load_tagged(self.job.status.blamed or "", "x", "status.blamed")
        return {index: n for index, count in pairs if (n := whole_number(count)) is not None}

    def newest_pod(self, index: int) -> Pod | None:
        """The newest pod of an index, whether it still exists or not; None if it never had one."""
        following = self.next_generations.get(index, 0)
        return Pod(index, following - 1) if following else None

    def next_pod(self, index: int) -> Pod:
        """The next pod of an index, with a name that no pod of this or an older job has used."""
        generation, taken = self.next_generations.get(index, 0), {p.pod for p in self.older_pods}
        while Pod(index, generation) in taken:
            generation += 1
        return Pod(index, generation)

    def is_member(self, pod_: Pod) -> bool:
        """Whether the current round names this pod."""
        return self.lease is not None and pod_ in self.lease.round.pods

    def is_holder(self, pod_: Pod) -> bool:
        """Whether this pod's agent is the holder."""
        return self.lease is not None and self.lease.holder == self.job.pod_name(pod_)

    def lasted_s(self, fact: str) -> float:
        """How long this fact has lasted; 0 if it is new."""
        return self.now - self.recalled.since.get(fact, self.now)
