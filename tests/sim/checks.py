"""The invariants of docs/protocol.md, checked at every write of a round and every start of workers,
and what the operator must not do, at every mark, creation and deletion.

All of this is about one job; the next job of its name has its own checks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.sim.cluster import JOB
from tests.sim.ledger import PLANNED, Ledger, LedgerError
from tests.support import first_cause

from elasticjob.api.v1alpha1 import ElasticJobStatus
from elasticjob.controller.observe.snapshot import Snapshot
from elasticjob.controller.plan.actions import Deletion, Mark
from elasticjob.wire.cause import CauseKind
from elasticjob.wire.desired import Desired
from elasticjob.wire.lease import RoundLease
from elasticjob.wire.member import Pod
from elasticjob.wire.names import pod_name
from elasticjob.wire.round import Phase, Round

if TYPE_CHECKING:
    from tests.sim.world import Agent, World

START_ROUNDING_S = 0.002


class BrokenInvariantError(AssertionError):
    """An invariant does not hold."""


class Checks:
    """The checks of one job."""

    def __init__(self, world: World, job_uid: str) -> None:
        self.world = world
        self.job_uid = job_uid
        self.ledger = Ledger(JOB)
        self.history: list[Round] = []
        self.highest_n = -1
        self.operator_n = 0  # the last round that the operator wrote
        self.started: dict[tuple[int, int], Pod] = {}  # (n, index) -> pod
        self.finished: set[tuple[int, Pod]] = set()
        self.delayed_from = 0  # the round of the last failure that was delayed
        self.starts_from = 0.0  # before this time no workers of that round or a later one start
        self.counts: list[tuple[float, int]] = []  # counted failures, and since when

    # ---- rounds ------------------------------------------------------------------------------

    def received(self, agent: Agent, lease: RoundLease) -> None:
        """An agent has received a version of the Round Lease."""
        if lease.job_uid == self.job_uid and agent.me.who.job_uid == self.job_uid:
            self.ledger.received(agent.me.who.pod, lease.round.n, self.world.now)

    def check_round(self, lease: RoundLease, new: Round, writer: Pod) -> None:
        """I1, I2, I4, I6: an agent replaces the round."""
        old = lease.round
        self.world.checked["round"] += 1
        if old.phase.is_terminal:
            raise BrokenInvariantError("I6 the job changes after its end")
        if new.n == old.n:
            self._check_cause(old, new)
            return
        self._check_number(new)
        if len({p.index for p in new.pods}) != len(new.pods):
            raise BrokenInvariantError("I2 two pods of one index in a round")
        if new.phase is Phase.SUCCEEDED and any((old.n, p) not in self.finished for p in old.pods):
            raise BrokenInvariantError("I6 Succeeded, but a member has not finished")
        is_small = len(new.members) < lease.desired.min_members and new.members != old.members
        if new.phase is Phase.ACTIVE and is_small:
            raise BrokenInvariantError("rule 8: Active below min")
        self._check_planned(old, new)
        try:
            cut_off_s = self._cut_off_s(writer)
            self.ledger.written(old, new, lease.desired, writer, self.world.now, cut_off_s)
        except LedgerError as error:
            raise BrokenInvariantError(str(error)) from error
        self._record(new)

    def _check_cause(self, old: Round, new: Round) -> None:
        """Rule 4: an agent replaces the cause of the round by an earlier failure."""
        self.world.checked["first cause"] += 1
        if fault := first_cause.fault(old, new):
            raise BrokenInvariantError(fault)

    def _cut_off_s(self, writer: Pod) -> float:
        """How long ago the fault of an agent began that may not have received all since."""
        agent, now = self.world.agents[writer], self.world.now
        return now - agent.harmed_from if now <= agent.harmed_until else 0.0

    def _check_number(self, new: Round) -> None:
        if new.n <= self.highest_n and self.ledger.lives:  # else no agent has received one
            raise BrokenInvariantError(f"I1 {new.n} after {self.highest_n}")
        self.highest_n = new.n

    def _record(self, new: Round) -> None:
        self.history.append(new)
        self.counts.append((self.world.now, self.ledger.counted()))

    def _check_planned(self, old: Round, new: Round) -> None:
        """I4: a planned round strikes no charge and shortens no start delay."""
        kind = new.cause.kind if new.cause else None
        is_forgiven = new.resets > old.resets
        if kind in PLANNED and not is_forgiven and not old.charged.numbers <= new.charged.numbers:
            raise BrokenInvariantError(f"I4 {kind} strikes {old.charged} -> {new.charged}")
        if kind is CauseKind.SUSPENDED:
            self.starts_from = 0.0
        elif kind not in PLANNED and new.n != old.n and new.charged != old.charged:
            self.starts_from = max(self.starts_from, self.world.now + new.delay_ms / 1000)
            self.delayed_from = new.n

    def check_created(self, old: RoundLease, new: RoundLease, is_replaced: bool) -> None:
        """I1, I4: the operator creates the Round Lease again, or replaces a round in it."""
        self.world.checked["round of the operator"] += 1
        if is_replaced or self._is_known():
            self._check_number(new.round)
        self.highest_n = self.operator_n = new.round.n
        counted = count(new.round, new.desired)
        try:
            if is_replaced:
                self.ledger.operator_charges(new.desired.charged)
            departed = self.ledger.check_departures(new.desired.charged)
            known = self._known_counts() if self.history else {0}
            allowed = known | {counted + departed for counted in known}
            self.ledger.created(new.round, new.desired.charged, counted, allowed, self.world.now)
        except LedgerError as error:
            raise BrokenInvariantError(str(error)) from error
        self.starts_from = 0.0
        self._record(new.round)

    def _is_known(self) -> bool:
        """Whether the status has the last round that the operator wrote, so that the operator will
        number higher. A known limit: one that ends before it writes this status, just as a user
        deletes the Round Lease, leaves no record of it. Agents start no lower round then."""
        job = self.world.cluster.job
        return job is not None and (job.status.round or 0) >= self.operator_n

    def _known_counts(self) -> set[int]:
        """The counts that the operator may know of a Round Lease that is gone.

        It remembers the rounds that its watch has delivered, and a new process knows the status.
        So each count counts that was right after the last status was written.
        """
        job = self.world.cluster.job
        known = job.status.counted or 0 if job is not None else 0
        since = [i for i, (_, counted) in enumerate(self.counts) if counted == known]
        return {
            known,
            self.ledger.counted(),
            *(counted for _, counted in self.counts[since[-1] if since else 0 :]),
        }

    def check_forged(self, round_: Round) -> None:
        """Record a round that no agent has written."""
        self.ledger.written_at[round_.n] = self.world.now
        self.highest_n = round_.n
        self.history.append(round_)

    def check_desired(self, new: Desired) -> None:
        """I4: the operator charges only departures without an excuse."""
        try:
            self.ledger.operator_charges(new.charged)
        except LedgerError as error:
            raise BrokenInvariantError(str(error)) from error

    # ---- workers -----------------------------------------------------------------------------

    def check_start(self, agent: Agent, n: int) -> None:
        """I2, I3, I4: an agent starts workers."""
        self.world.checked["start"] += 1
        pod, world = agent.me.who.pod, self.world
        if agent.running is not None:
            raise BrokenInvariantError(f"I2 {pod} starts {n} while {agent.running} is alive")
        if agent.me.who.job_uid != self.job_uid:
            raise BrokenInvariantError(f"{pod} of an older job starts {n}")
        for other in world.agents.values():
            is_older = other.me.who.job_uid != self.job_uid
            if other.running is not None and is_older and self._has_object(other):
                raise BrokenInvariantError(f"two groups: {other.me.who.name} runs, too")
        first = self.started.get((n, pod.index))
        if first is not None:
            raise BrokenInvariantError(f"I2 round {n}, index {pod.index}: {first} and {pod}")
        if agent.me.leaving:
            raise BrokenInvariantError(f"I3 {pod} starts {n} while leaving")
        if n < max(self.ledger.life(pod).received, default=0):
            raise BrokenInvariantError(f"I3 {pod} starts {n}, and has received a later round")
        if n >= self.delayed_from and world.now < self.starts_from - START_ROUNDING_S:
            raise BrokenInvariantError(f"I4 {pod} starts {n} within the delay of the last failure")
        self.started[n, pod.index] = pod

    def _has_object(self, agent: Agent) -> bool:
        """Whether the agent's pod exists: a user may delete it by force while it runs."""
        sim = self.world.cluster.pods.get(agent.me.who.pod)
        return sim is not None and sim.agent is agent

    def check_answered(self, agent: Agent, n: int) -> None:
        """Rule 4: the crash of an agent that works has made a newer round, or is reported."""
        world = self.world
        if not agent.alive or agent.me.leaving or world.now <= agent.harmed_until:
            return
        if agent.me.who.job_uid != self.job_uid or not world.exists or agent.me.frozen:
            return
        if world.lease.round.n == n and agent.me.phase.value != "failed":
            raise BrokenInvariantError(f"rule 4: no round answers the crash of {agent.me.who.pod}")

    # ---- the operator ------------------------------------------------------------------------

    def check_mark(self, action: Mark) -> None:
        """The operator marks a Lease as ended only if this is so, or gives a pod up."""
        self.world.checked["mark"] += 1
        sim = self.world.cluster.pods.get(action.pod)
        if sim is None:
            return
        if action.reason != "given up" and sim.seen.living:
            raise BrokenInvariantError(f"the operator marks {action.pod} as ended, which lives")
        agent = sim.agent
        if action.reason == "given up" and agent and self.world.now > agent.harmed_until:
            raise BrokenInvariantError(f"the operator gives up {action.pod}, whose agent works")
        is_end = action.reason != "given up"  # else the round without this pod has counted it
        if is_end and action.excused != sim.seen.excused:
            raise BrokenInvariantError(f"I4 the mark of {action.pod} excuses: {action.excused}")

    def check_deletion(self, pod: Pod, why: Deletion) -> None:
        """The operator deletes no pod as silent whose agent works (F21). A late request of an
        earlier operator may create a pod after its replacement: that one is deleted."""
        self.world.checked["deletion"] += 1
        pods = self.world.cluster.pods
        agent, newest = pods[pod].agent, max(p for p in pods if p.index == pod.index)
        if why is not Deletion.LOST or agent is None or pod != newest:
            return
        if self.world.now > agent.harmed_until:
            raise BrokenInvariantError(f"the operator deletes {pod}, whose agent works: {why}")

    def check_creation(self, pod: Pod, job_uid: str) -> None:
        """The operator creates no second pod of an index that may take part, and no pod of a job
        while those of an older one may run."""
        self.world.checked["creation"] += 1
        for other, sim in self.world.cluster.pods.items():
            agent = sim.agent
            if agent is None or not agent.alive or not sim.seen.living:
                continue
            if sim.seen.job_uid != job_uid:
                raise BrokenInvariantError(f"{pod} is created while {other} of an older job runs")
            if other.index == pod.index and self._takes_part(other) and self._takes_part(pod):
                raise BrokenInvariantError(f"{pod} is created while {other} runs unmarked")

    def _takes_part(self, pod: Pod) -> bool:
        """Whether agents can take this pod for a member, the holder, or a wanted one: the Round
        Lease names it, and its own Lease is not marked."""
        lease, name = self.world.lease, pod_name(JOB, pod.index, pod.generation)
        own = self.world.leases.get(name)
        if own is not None and own.ended:
            return False
        wanted = {p.index: p.generation for p in lease.desired.wanted}
        is_wanted = wanted.get(pod.index, pod.generation + 1) <= pod.generation
        return pod in lease.round.pods or lease.holder == name or is_wanted

    def check_status(self, snapshot: Snapshot, new: ElasticJobStatus) -> None:
        """COUNTED is the count of the round that the operator has read."""
        lease = snapshot.lease
        if lease is None or lease.job_uid != self.job_uid:
            return
        self.world.checked["status"] += 1
        if new.counted != count(lease.round, lease.desired):
            raise BrokenInvariantError(f"COUNTED is {new.counted}")

    # ---- the end -----------------------------------------------------------------------------

    def check_end(self) -> None:
        """When faults have stopped: round, status and ledger agree."""
        lease, job = self.world.lease, self.world.cluster.job
        assert job is not None
        counted = self.ledger.counted()
        if not self.world.exists:
            return  # the job was over before
        if counted != count(lease.round, lease.desired) or counted != job.status.counted:
            raise BrokenInvariantError(f"I4 COUNTED is {job.status.counted}, expected {counted}")


def count(round_: Round, desired: Desired) -> int:
    """The failures that a round and the operator count."""
    by_operator = {n for n in desired.charged if n > round_.charged.forgiven}
    return len(round_.charged.numbers | by_operator) + round_.charged.older
