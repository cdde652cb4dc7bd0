"""The snapshot: everything that a plan depends on, at one moment. Times are monotonic seconds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

from elasticjob.api.v1alpha1 import ElasticJobSpec
from elasticjob.controller.observe import lasting
from elasticjob.controller.observe.memory import Memory, Refusal, Since
from elasticjob.controller.observe.parse import Job, ObservedPod
from elasticjob.controller.observe.pod_events import PodEvents
from elasticjob.controller.observe.rounds import ObservedRound, PastRound, past
from elasticjob.wire.codec import load_tagged, whole_number
from elasticjob.wire.lease import RoundLease
from elasticjob.wire.member import Pod, load_pods


@dataclass(frozen=True)
class Snapshot:
    """Everything that a plan depends on."""

    job: Job
    spec: ElasticJobSpec
    pods: tuple[ObservedPod, ...]
    lease: RoundLease | None
    memory: Memory  # before this snapshot
    now: float
    utc_now: datetime
    heartbeat_s: float  # the T that the job should have
    uncounted_restarts_per_hour: int  # more of them make the job Unstable
    agent_hash: str  # of this operator's agent
    older_pods: tuple[ObservedPod, ...] = ()  # of an older job of this name
    seen_round: ObservedRound | None = None  # the Round Lease, also that of an older job
    unreadable_pods: Mapping[str, str] = field(default_factory=dict)  # by name: why
    past_rounds: tuple[PastRound, ...] = ()  # the last rounds that were delivered, oldest first
    pulse_at: float | None = None  # when the watch delivered the pulse in `lease`, if it did
    pod_events: PodEvents | None = None  # of a pod that waits on its node; for reports only
    contact_since: float = -math.inf  # since when no request of the operator was without answer

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
        found = self.memory.refusals
        applies = (
            found.generation == self.job.generation  # clause 9-new-spec-ends-waits
            and found.pods <= self.counted_by_quota  # clause 9-end-of-pod-ends-waits
        )
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
        known = self.past_rounds
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
        used = [*self.by_pod, *self.memory.orphans]
        used += self.lease.round.pods if self.lease else ()
        found = {p.index: p.generation for p in reserved}
        for seen in used:
            found[seen.index] = max(found.get(seen.index, 0), seen.generation + 1)
        return found

    @cached_property
    def never_created(self) -> frozenset[Pod]:
        """Reserved pods that never existed, without a Lease: those that exist now are none, also
        one that a seemingly failed request has created."""
        return self.memory.never_created.difference(self.by_pod)

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

    def is_listed(self, pod_: Pod) -> bool:
        """Whether `desired` in the Round Lease lists this pod as wanted."""
        lowest = self._listed.get(pod_.index)
        return lowest is not None and lowest <= pod_.generation

    @cached_property
    def _listed(self) -> dict[int, int]:
        """The lowest wanted generation of each index, as `desired` in the Round Lease has it."""
        return {p.index: p.generation for p in self.lease.desired.wanted} if self.lease else {}

    # ---- instants ------------------------------------------------------------------------------

    @cached_property
    def since(self) -> dict[Since, float]:
        """When each condition that holds now began: now, if it is new. The next memory has these
        instants, and a policy reads no others: KeyError if a condition does not hold."""
        return {each: self.memory.since.get(each, self.now) for each in lasting.conditions(self)}

    @cached_property
    def same_pulse_at(self) -> float:
        """Since when the holder has sent no pulse, while the operator was not blind."""
        assert self.lease is not None
        at = self.pulse_at
        if at is None:
            at = self.memory.since.get(lasting.same_pulse(self.lease.renew_time), self.now)
        return max(at, self.contact_since)
