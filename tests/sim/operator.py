"""Simulate one process of the operator: the shipped plan, status and memory.

As in controller/reconcile.py, a pass plans from a cache that lags. If this plan has actions, the
pass reads the job, then the Round Lease, then the pods, plans again, and performs the actions one
by one; each request takes time. Versions, UIDs and names that are used once guard the actions. The
process may end between any two requests, and its last request may arrive late.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from tests.sim.cluster import JOB

from elasticjob.api.v1alpha1 import ElasticJobStatus
from elasticjob.controller import plan as plans
from elasticjob.controller.observe import lasting
from elasticjob.controller.observe.memory import Memory
from elasticjob.controller.observe.parse import Job, ObservedPod
from elasticjob.controller.observe.rounds import MEMBERS, ObservedRound, PastRound, Reserved, past
from elasticjob.controller.observe.snapshot import Snapshot
from elasticjob.controller.plan import actions as a
from elasticjob.controller.plan import memory as memories
from elasticjob.controller.report import state, status
from elasticjob.controller.watch.pulses import Pulse
from elasticjob.wire.agent_state import AgentPhase, AgentState
from elasticjob.wire.lease import AgentLease, RoundLease
from elasticjob.wire.member import Pod, dump_pods
from elasticjob.wire.names import parse_pod_name, pod_name

if TYPE_CHECKING:
    from tests.sim.world import World

START = datetime(2026, 1, 1, tzinfo=UTC)
KEPT_ROUNDS = 64
RESYNC_S = 120.0  # ten minutes in a cluster, where T is five times as long
ITERATIONS = 5  # as in controller/reconcile.py
SOON_S = 0.1
RETRY_S = 0.2  # after a conflict
AGENT_HASH = "0123456789"


class ConflictError(Exception):
    """The object has another version, so the pass ends."""


@dataclass
class Objects:
    """The objects of the job's name, as watches or reads have shown them."""

    job: Job | None = None
    lease: RoundLease | None = None
    pods: dict[Pod, ObservedPod] = field(default_factory=dict)


@dataclass
class Acts:
    """The actions of one plan that are still to be performed."""

    snapshot: Snapshot
    left: list[a.Action]
    iterations: int
    results: a.ActionResults = field(default_factory=a.ActionResults)
    reserved: bool = False


class Operator:
    """One process of the operator. up: whether it runs; late_s: of its last request."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.up = True
        self.late_s: float | None = None
        self.lag_s = 0.0  # of its watches
        self.busy = self.again = False
        self.again_at = math.inf
        self.seen = Objects()
        self.delivers_at = dict.fromkeys(("job", "round", "pods"), 0.0)
        self.pulse: Pulse | None = None  # the last one that its watch has delivered
        self.memory = Memory("")
        self.rounds: deque[PastRound] = deque(maxlen=KEPT_ROUNDS)
        self.rounds_of = ""
        self.since = world.now

    def start(self) -> None:
        """List everything, and begin to work."""
        self.seen = self._live()
        self._keep_round()
        self.world.after(RESYNC_S, self._resync)
        self.pass_soon()

    def end(self, late_s: float | None = None) -> None:
        """End the process. late_s: its request under way still arrives, this much later."""
        self.up, self.late_s = False, late_s

    # ---- watches -----------------------------------------------------------------------------

    def _deliver(self, what: str, change: Callable[[], bool]) -> None:
        """Deliver a change in the order of its watch."""
        at = max(self.delivers_at[what], self.world.now + self.world.lag() + self.lag_s)
        self.delivers_at[what] = at

        def arrive() -> None:
            if self.up and change():
                self.pass_soon()

        self.world.after(at - self.world.now, arrive)

    def deliver_job(self, job: Job | None) -> None:
        """Deliver a version of the job, or its end."""

        def change() -> bool:
            before = self.seen.job
            if job is not None and before is not None and int(job.version) < int(before.version):
                return False
            self.seen.job = job
            return before is None or job is None or before.body != job.body

        self._deliver("job", change)

    def deliver_pod(self, pod: Pod, seen: ObservedPod | None) -> None:
        """Deliver a version of a pod, or its end."""

        def change() -> bool:
            if seen is None:
                self.seen.pods.pop(pod, None)
            else:
                self.seen.pods[pod] = seen
            return True

        self._deliver("pods", change)

    def deliver_round(self, lease: RoundLease | None, is_pulse: bool) -> None:
        """Deliver a version of the Round Lease, or its end. A pulse starts no pass."""

        def change() -> bool:
            if lease is not None and (not self.pulse or lease.renew_time != self.pulse.renew_time):
                self.pulse = Pulse(lease.renew_time, int(lease.version), self.world.now)
            self._note_round(lease)
            return not is_pulse

        self._deliver("round", change)

    def _note_round(self, lease: RoundLease | None) -> None:
        """Take in a version of the Round Lease, unless it is older than the last one."""
        before = self.seen.lease
        if lease is None or before is None or int(lease.version) >= int(before.version):
            self.seen.lease = lease
            self._keep_round()

    def _keep_round(self) -> None:
        """Keep the record of a round that names only pods that were reserved."""
        found = self._observed(self.seen)
        if found is None or found.lease is None or found.excess:
            return
        if self.rounds_of != found.job_uid:
            self.rounds_of = found.job_uid
            self.rounds.clear()
        if not self.rounds or self.rounds[-1].n != found.lease.round.n:
            self.rounds.append(past(found.lease.round, found.members))

    def _resync(self) -> None:
        """List all objects, and note the Leases without a pod."""
        if not self.up:
            return
        self.world.after(RESYNC_S, self._resync)
        self.seen = self._live()
        self._keep_round()
        job = self.seen.job
        if job is not None and job.uid == self.memory.job_uid:
            living = [pod for pod, seen in self.seen.pods.items() if seen.living]
            found = self.world.leases_of(job.uid)
            self.memory = memories.after_resync(self.memory, self.memory, found, living, {})
        self.pass_soon()

    def _live(self) -> Objects:
        cluster = self.world.cluster
        pods = {pod: sim.seen for pod, sim in cluster.pods.items()}
        return Objects(cluster.job, self.world.stored_round(), pods)

    # ---- passes ------------------------------------------------------------------------------

    def pass_soon(self) -> None:
        """Start a pass, or another one after the current one."""
        if self.up and self.busy:
            self.again = True
        elif self.up:
            self.busy = True
            self.world.after(0.001, self._pass)

    def _pass(self) -> None:
        if not self.up:
            return
        if self.seen.job is None:
            self._ends(None)
            return
        snapshot = self._snapshot(self.seen)
        plan = self._plan(snapshot)
        if plan.actions:
            self._read(ITERATIONS)
        else:
            self._report(snapshot, plan.again_s)

    def _plan(self, snapshot: Snapshot) -> plans.Plan:
        plan = plans.plan(snapshot)
        self.memory = plan.memory
        return plan

    def _read(self, iterations: int) -> None:
        """Read the job, its Round Lease, then the pods; then plan and act."""
        found = Objects()

        def read_job() -> None:
            self.seen.job = found.job = self.world.cluster.job
            self._then(read_round)

        def read_round() -> None:
            found.lease = self.world.stored_round()
            self._then(read_pods)

        def read_pods() -> None:
            found.pods = self._live().pods
            if found.lease is not None:
                self._note_round(found.lease)
            self._act(found, iterations)

        self._then(read_job)

    def _act(self, found: Objects, iterations: int) -> None:
        if found.job is None:
            self.seen.job = None
            self._ends(SOON_S)
            return
        snapshot = self._snapshot(found)
        plan = self._plan(snapshot)
        if not iterations or not plan.actions:
            self._report(snapshot, SOON_S if plan.actions else plan.again_s)
            return
        pods_last = sorted(plan.actions, key=lambda each: isinstance(each, a.CreatePod))
        self._next(Acts(snapshot, pods_last, iterations - 1))

    def _next(self, acts: Acts) -> None:
        """Perform the next action; after the last one read again."""
        if not acts.left:
            self._note(acts)
            self._read(acts.iterations)
        else:
            self._then(lambda: self._do(acts), last=True)

    def _do(self, acts: Acts) -> None:
        action = acts.left.pop(0)
        try:
            why = _DO[type(action)](self, acts, action)
        except ConflictError:
            self._note(acts)
            self._ends(RETRY_S * (1 - 0.5 * self.world.rng.random()))
            return
        if why:
            acts.results.refused[action] = why
            postponed = [x for x in acts.left if isinstance(x, a.CreatePod)]
            acts.results.postponed = frozenset(postponed)
            acts.results.refused |= dict.fromkeys(postponed, why)
            acts.left = [x for x in acts.left if x not in postponed]
        elif action not in acts.results.refused:
            acts.results.done.append(action)
        if self.up:
            self._next(acts)

    def _note(self, acts: Acts) -> None:
        now = self.world.now
        self.memory = memories.after_actions(self.memory, acts.snapshot, acts.results, now)

    def _then(self, step: Callable[[], None], last: bool = False) -> None:
        """Send a request. last: one that still arrives if the process ends meanwhile."""

        def arrive() -> None:
            if self.up:
                step()
            elif last and self.late_s is not None:
                late_s, self.late_s = self.late_s, None
                self.world.after(late_s, step)

        self.world.after(self.world.lag(), arrive)

    def _report(self, snapshot: Snapshot, again_s: float | None) -> None:
        """Write the status, if it has changed."""
        new = status.of(snapshot, state.of(snapshot))
        if snapshot.job.deleting or new == snapshot.job.status:
            self._ends(again_s)
            return

        def write() -> None:
            written = self.world.cluster.write_status(snapshot.job, new)
            if written is not None:
                self.seen.job = written
                self.world.check_status(snapshot, new)
            self._ends(again_s if written is not None else RETRY_S)

        self._then(write)

    def _ends(self, again_s: float | None) -> None:
        self.busy = False
        if not self.up:
            return
        if self.again:
            self.again = False
            self.pass_soon()
        elif again_s is not None:
            self._again(again_s)

    def _again(self, after_s: float) -> None:
        after_s = max(after_s, 0.001)  # rounding must not repeat a pass at the same time
        at = self.world.now + after_s
        if self.world.now < self.again_at <= at:
            return
        self.again_at = at
        self.world.after(after_s, self.pass_soon)

    # ---- snapshots ---------------------------------------------------------------------------

    def _observed(self, objects: Objects) -> ObservedRound | None:
        """The Round Lease, bounded by the pods that are reserved, as observe/rounds.py reads it."""
        job, lease = objects.job, objects.lease
        if lease is None or job is None:
            return None
        if lease.job_uid != job.uid:
            return ObservedRound(lease.uid, int(lease.version), lease.job_uid)
        members = dump_pods(lease.round.pods)
        known = Reserved(job.uid, job.status.generations or "", lambda: set(objects.pods))
        excess = known.fault(members, MEMBERS) if members else ""
        if excess and not lease.round.phase.is_terminal:
            lease, members = replace(lease, round=replace(lease.round, members=())), ""
            return ObservedRound(lease.uid, int(lease.version), job.uid, lease, excess=excess)
        return ObservedRound(lease.uid, int(lease.version), job.uid, lease, members)

    def _snapshot(self, objects: Objects) -> Snapshot:
        job = objects.job
        assert job is not None
        assert job.spec is not None, job.faults
        seen = self._observed(objects)
        lease = seen.lease if seen is not None and seen.job_uid == job.uid else None
        lease, pulse_at = self._newest_pulse(lease)
        pods = objects.pods.values()
        return Snapshot(
            job=job,
            spec=job.spec,
            pods=tuple(pod for pod in pods if pod.job_uid == job.uid),
            lease=lease,
            memory=self.memory if self.memory.job_uid == job.uid else Memory(job.uid),
            now=self.world.now,
            utc_now=START + timedelta(seconds=int(self.world.now)),
            heartbeat_s=self.world.desired.heartbeat_s,
            uncounted_restarts_per_hour=12,
            agent_hash=AGENT_HASH,
            older_pods=tuple(pod for pod in pods if pod.job_uid != job.uid),
            seen_round=seen,
            past_rounds=tuple(self.rounds) if self.rounds_of == job.uid else (),
            pulse_at=pulse_at,
            contact_since=self.since,
        )

    def _newest_pulse(self, lease: RoundLease | None) -> tuple[RoundLease | None, float | None]:
        """The Round Lease with the last pulse that was delivered, as controller/watch/cache.py."""
        if lease is None or self.pulse is None:
            return lease, None
        if self.pulse.renew_time == lease.renew_time:
            return lease, self.pulse.at
        if self.pulse.version < int(lease.version):
            return lease, None
        return replace(lease, renew_time=self.pulse.renew_time), self.pulse.at

    # ---- actions: each returns why it was refused, or nothing --------------------------------

    def _ensure_prerequisites(self, acts: Acts, action: a.EnsurePrerequisites) -> str:
        acts.results.ensured_at = self.world.now
        return ""

    def _create_round(self, acts: Acts, action: a.CreateRound) -> str:
        job = acts.snapshot.job
        self._reserve(acts, status.with_round(acts.snapshot, action.round))
        self.world.create_round(job.uid, action.desired, action.round)
        return ""

    def _delete_round(self, acts: Acts, action: a.DeleteRound) -> str:
        lease = self.world.stored_round()
        if lease is not None and lease.uid == action.uid:
            self.world.delete_round(lease.job_uid)
        return ""

    def _mark(self, acts: Acts, action: a.Mark) -> str:
        world, job_uid = self.world, acts.snapshot.job.uid
        name = pod_name(JOB, action.pod.index, action.pod.generation)
        lease = world.leases.get(name)
        if lease is not None and lease.job_uid != job_uid:
            world.drop_lease(name)
            lease = None
        if lease is None and not action.create:
            acts.results.unmarked.append(action.pod)
            return ""
        if lease is None:
            assert acts.snapshot.lease is not None
            marked = AgentState(AgentPhase.READY, acts.snapshot.lease.round.n)
            lease = AgentLease(name, action.pod, "", name, job_uid, "", "", marked)
        if not lease.ended:
            world.check_mark(action)
            world.note(f"operator marks {name}: {action.reason}{' excused' * action.excused}")
            lease = replace(lease, ended=True, excused=action.excused)
            assert acts.snapshot.lease is not None
            world.put_lease(lease, renews=False, owner=acts.snapshot.lease.uid)
        acts.results.marked.append(world.leases[name])
        return ""

    def _write_round(self, acts: Acts, action: a.WriteRound) -> str:
        world = self.world
        lease = self._guarded(action.version)
        if action.desired is not None and action.desired != lease.desired:
            world.write_desired(action.desired)
        if action.clear_holder:
            world.put_round(None, "", "operator")
        return ""

    def _replace_round(self, acts: Acts, action: a.ReplaceRound) -> str:
        self._reserve(acts, status.with_round(acts.snapshot, action.round))
        self._guarded(action.version)
        self.world.replace_round(action.desired, action.round)
        return ""

    def _guarded(self, version: str) -> RoundLease:
        lease = self.world.stored_round()
        if lease is None or lease.version != version:
            raise ConflictError
        return lease

    def _delete_pod(self, acts: Acts, action: a.DeletePod) -> str:
        pod, cluster = Pod(*parse_pod_name(action.name)), self.world.cluster
        if pod in cluster.pods and cluster.pods[pod].seen.uid == action.uid:
            self.world.note(f"operator deletes {action.name}: {action.why.value}")
            self.world.check_deletion(pod, action.why)
            cluster.delete(pod)
        return ""

    def _delete_lease(self, acts: Acts, action: a.DeleteLease) -> str:
        self.world.drop_lease(action.name, action.uid)
        return ""

    def _list_leases(self, acts: Acts, action: a.ListLeases) -> str:
        judged = frozenset(pod.pod for pod in lasting.judged(acts.snapshot))
        found = tuple(self.world.leases_of(acts.snapshot.job.uid))
        acts.results.leases = a.LeaseList(found, {}, judged, self.world.now)
        return ""

    def _create_pod(self, acts: Acts, action: a.CreatePod) -> str:
        cluster, job = self.world.cluster, acts.snapshot.job
        if not acts.reserved:
            pods = [action.pod, *(x.pod for x in acts.left if isinstance(x, a.CreatePod))]
            self._reserve(acts, status.with_pods(acts.snapshot, tuple(pods), AGENT_HASH))
            acts.reserved = True
        if action.pod in cluster.pods:
            return ""
        self.world.check_creation(action.pod, job.uid)
        return cluster.create_pod(job, action.pod)

    def _reserve(self, acts: Acts, wanted: ElasticJobStatus) -> None:
        """Write what is about to be created into the status, so that nothing is used twice."""
        job = acts.snapshot.job
        if status.patch(job.status, wanted):
            written = self.world.cluster.write_status(job, wanted)
            if written is None:
                raise ConflictError
            self.seen.job = written
            acts.results.reserved = True


_DO: dict[type, Callable[[Operator, Acts, Any], str]] = {
    a.EnsurePrerequisites: Operator._ensure_prerequisites,
    a.CreateRound: Operator._create_round,
    a.DeleteRound: Operator._delete_round,
    a.Mark: Operator._mark,
    a.WriteRound: Operator._write_round,
    a.ReplaceRound: Operator._replace_round,
    a.DeletePod: Operator._delete_pod,
    a.DeleteLease: Operator._delete_lease,
    a.CreatePod: Operator._create_pod,
    a.ListLeases: Operator._list_leases,
}
