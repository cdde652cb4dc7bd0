"""Simulate the operator: the shipped plan, status and memory, over simulated pods.

A pass takes a snapshot of the world, plans, and performs the actions a little later, as requests
take time. Passes repeat until there is no action. Versions, UIDs and names that are used once guard
the actions, as they guard the requests of the shipped operator.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from tests.support.jobs import elastic_job

from elasticjob.controller import plan as plans
from elasticjob.controller.observe import lasting, parse
from elasticjob.controller.observe.memory import Memory
from elasticjob.controller.observe.parse import ContainerState, Job, ObservedPod, WorkerContainer
from elasticjob.controller.observe.rounds import PastRound, past
from elasticjob.controller.observe.snapshot import Snapshot
from elasticjob.controller.plan import actions as a
from elasticjob.controller.plan import memory as memories
from elasticjob.controller.report import state, status
from elasticjob.wire.agent_state import AgentPhase, AgentState
from elasticjob.wire.desired import Desired
from elasticjob.wire.lease import AgentLease
from elasticjob.wire.member import Pod
from elasticjob.wire.names import parse_pod_name, pod_name

if TYPE_CHECKING:
    from tests.sim.world import Agent, World

JOB, UID = "job", "uid-of-job"
START = datetime(2026, 1, 1, tzinfo=UTC)
KEPT_ROUNDS = 64
RESYNC_S = 120.0  # ten minutes in a cluster, where T is five times as long


@dataclass(frozen=True)
class SimPod:
    """A pod as the API server has it. agent: in its container, once this runs."""

    seen: ObservedPod
    agent: Agent | None = None


class Operator:
    """The operator, and the pods of one job. up: whether the operator's process runs."""

    def __init__(self, world: World, desired: Desired) -> None:
        self.world = world
        self.up = True
        self.busy = False
        self.again_at = math.inf
        self.pods: dict[Pod, SimPod] = {}
        self.created = 0
        self.unschedulable: set[int] = set()  # indexes that no node accepts
        self.slow: dict[Pod, float] = {}
        self.rounds: deque[PastRound] = deque(maxlen=KEPT_ROUNDS)
        self.memory = Memory(UID)
        self.process = 0  # the number of restarts
        self.job = self._job(desired)
        world.after(RESYNC_S, self._resync)

    def _job(self, desired: Desired) -> Job:
        body = elastic_job(
            JOB,
            replicas=len(desired.wanted),
            minReplicas=desired.min_members,
            maxRestarts=desired.max_restarts,
            stopGraceSeconds=int(desired.stop_grace_s),
            crashGraceSeconds=int(desired.crash_grace_s),
        )
        body["metadata"] |= {"uid": UID, "resourceVersion": "1", "generation": 1}
        job = parse.job(body)
        assert job.spec is not None, job.faults
        return job

    def edit(self, **spec: Any) -> None:
        """Edit the spec, as a user does."""
        body = {**self.job.body, "spec": {**self.job.body["spec"], **spec}}
        self.job = replace(parse.job(body), status=self.job.status)
        self.pass_soon()

    def restart(self) -> None:
        """Start another process, whose memory is empty."""
        self.memory = Memory(UID)
        self.process += 1
        self.rounds = deque([past(self.world.lease.round)], maxlen=KEPT_ROUNDS)
        self.busy = False
        self.pass_soon()

    # ---- passes ------------------------------------------------------------------------------

    def round_changed(self, is_pulse: bool) -> None:
        """Deliver a version of the Round Lease. A pulse starts no pass."""
        newest = self.world.lease.round
        if not self.rounds or self.rounds[-1].n != newest.n:
            self.rounds.append(past(newest))
        if not is_pulse:
            self.pass_soon()

    def pass_soon(self) -> None:
        """Start a pass after a lag."""
        self.world.after(self.world.lag(), self._pass)

    def _resync(self) -> None:
        self.world.after(RESYNC_S, self._resync)
        if self.up:
            living = [pod for pod, sim in self.pods.items() if sim.seen.living]
            found = self.world.leases.values()
            self.memory = memories.after_resync(self.memory, self.memory, found, living, {})
            self._pass()

    def _pass(self) -> None:
        if not self.up or self.busy:
            return
        snapshot = self._snapshot()
        plan = plans.plan(snapshot)
        self.memory = plan.memory
        self.job = replace(self.job, status=status.of(snapshot, state.of(snapshot)))
        if plan.actions:
            self.busy = True
            process = self.process
            self.world.after(
                self.world.lag(), lambda: self._perform(snapshot, plan.actions, process)
            )
        elif plan.again_s is not None:
            self._again(plan.again_s)

    def _again(self, after_s: float) -> None:
        after_s = max(after_s, 0.001)  # rounding must not repeat a pass at the same time
        at = self.world.now + after_s
        if self.world.now < self.again_at <= at:
            return
        self.again_at = at
        self.world.after(after_s, self._pass)

    def _snapshot(self) -> Snapshot:
        world = self.world
        assert self.job.spec is not None
        return Snapshot(
            job=self.job,
            spec=self.job.spec,
            pods=tuple(pod.seen for pod in self.pods.values()),
            lease=world.lease,
            memory=self.memory,
            now=world.now,
            utc_now=START + timedelta(seconds=int(world.now)),
            heartbeat_s=world.lease.desired.heartbeat_s,
            uncounted_restarts_per_hour=12,
            agent_hash="0123456789",
            past_rounds=tuple(self.rounds),
        )

    def _perform(self, snapshot: Snapshot, actions: tuple[a.Action, ...], process: int) -> None:
        if process != self.process:
            return  # another process planned this
        self.busy = False
        if self.up:
            creations = tuple(x.pod for x in actions if isinstance(x, a.CreatePod))
            if creations:
                self.job = replace(
                    self.job, status=status.reserved(snapshot, creations, "0123456789")
                )
            results = a.ActionResults(done=list(actions))
            for action in actions:
                _DO[type(action)](self, action, results)
            self.memory = memories.after_actions(self.memory, snapshot, results, self.world.now)
        self._pass()

    # ---- actions -----------------------------------------------------------------------------

    def _mark(self, action: a.Mark, results: a.ActionResults) -> None:
        name = pod_name(JOB, action.pod.index, action.pod.generation)
        lease = self.world.leases.get(name)
        if lease is None and not action.create:
            results.unmarked.append(action.pod)
            return
        if lease is None:
            state = AgentState(AgentPhase.READY, self.world.lease.round.n)
            lease = AgentLease(name, action.pod, "", name, UID, "", "", state)
        if not lease.ended:
            self.world.note(f"operator marks {name}: {action.reason}")
            self.world.put_lease(replace(lease, ended=True, excused=action.excused), renews=False)
        results.marked.append(self.world.leases[name])

    def _write_round(self, action: a.WriteRound, results: a.ActionResults) -> None:
        world = self.world
        if world.lease.version != action.version:
            return
        if action.desired is not None:
            world.set_round(replace(world.lease, desired=action.desired))
        if action.clear_holder:
            world.put_round(None, "", "operator")

    def _delete_pod(self, action: a.DeletePod, results: a.ActionResults) -> None:
        pod = Pod(*parse_pod_name(action.name))
        if pod in self.pods and self.pods[pod].seen.uid == action.uid:
            self.world.note(f"operator deletes {action.name}: {action.why.value}")
            self.world.check_deletion(pod, action.why)
            self.delete(pod)

    def _delete_lease(self, action: a.DeleteLease, results: a.ActionResults) -> None:
        self.world.drop_lease(action.name)

    def _list_leases(self, action: a.ListLeases, results: a.ActionResults) -> None:
        judged = frozenset(pod.pod for pod in lasting.judged(self._snapshot()))
        found = tuple(self.world.leases.values())
        results.leases = a.LeaseList(found, {}, judged, self.world.now)

    def _create_pod(self, action: a.CreatePod, results: a.ActionResults) -> None:
        pod = action.pod
        if pod in self.pods:
            return
        self.created += 1
        name = pod_name(JOB, pod.index, pod.generation)
        seen = ObservedPod(
            name, f"pod-uid-{self.created}", pod, UID, self.job.template_hash, accepted=False,
            grace_s=float(self.world.desired.stop_grace_s + 5),
        )  # fmt: skip
        self._put(pod, SimPod(seen))
        self.world.after(self.world.lag(), lambda: self._schedule(pod))

    def _ensure_prerequisites(
        self, action: a.EnsurePrerequisites, results: a.ActionResults
    ) -> None:
        results.ensured_at = self.world.now

    # ---- scheduler and kubelets --------------------------------------------------------------

    def _put(self, pod: Pod, sim: SimPod | None) -> None:
        """Store and deliver a changed version of the pod; None: it is deleted."""
        if sim is not None and self.pods.get(pod) == sim:
            return
        if sim is None:
            self.pods.pop(pod, None)
        else:
            self.pods[pod] = sim
        self.pass_soon()

    def _schedule(self, pod: Pod) -> None:
        """Bind the pod to a node and start its agent. An unschedulable index waits."""
        sim = self.pods.get(pod)
        if sim is None or sim.agent is not None or sim.seen.deleting:
            return
        if pod.index in self.unschedulable:
            self._put(pod, replace(sim, seen=replace(sim.seen, unschedulable="no node takes it")))
            self.world.after(1.0, lambda: self._schedule(pod))
            return
        node = self.world.node_of(pod)
        running = replace(
            sim.seen,
            unschedulable="",
            node=node,
            accepted=True,
            container=WorkerContainer(ContainerState.RUNNING),
        )
        self._put(pod, SimPod(running, self.world.start_agent(pod, node)))

    def agent_ended(self, agent: Agent, code: int) -> None:
        """The kubelet reports how the container ended, or that a deleted pod is gone."""
        pod = agent.me.who.pod
        sim = self.pods.get(pod)
        if sim is None or sim.agent is not agent:
            return  # its pod is gone
        if sim.seen.deleting:
            self._put(pod, None)
            return
        ended = WorkerContainer(
            ContainerState.TERMINATED, "Error" if code else "Completed", exit_code=code
        )
        self._put(pod, replace(sim, seen=replace(sim.seen, container=ended, all_terminated=True)))

    def delete(self, pod: Pod) -> None:
        """Delete the pod, as kubectl or the operator does: SIGTERM, and SIGKILL after the grace."""
        sim = self.pods.get(pod)
        if sim is None or sim.seen.deleting:
            return
        if sim.agent is None or not sim.seen.living:
            self._put(pod, None)
            return
        self._put(pod, replace(sim, seen=replace(sim.seen, deleting=True)))
        self.world.terminate(sim.agent, sim.seen.grace_s)

    def delete_by_force(self, pod: Pod) -> None:
        """Delete the object at once; the kubelet ends the container a little later."""
        sim = self.pods.get(pod)
        self._put(pod, None)
        if sim is not None and sim.agent is not None:
            self.world.terminate(sim.agent, self.world.rng.choice([0.0, 2.0]))

    def evict(self, agent: Agent) -> None:
        """Evict the pod of a node that is gone: it is being deleted, and no kubelet ends it."""
        pod = agent.me.who.pod
        sim = self.pods.get(pod)
        if sim is not None and sim.agent is agent and not sim.seen.deleting:
            self._put(pod, replace(sim, seen=replace(sim.seen, deleting=True)))


_DO: dict[type, Callable[[Operator, Any, a.ActionResults], None]] = {
    a.EnsurePrerequisites: Operator._ensure_prerequisites,
    a.Mark: Operator._mark,
    a.WriteRound: Operator._write_round,
    a.DeletePod: Operator._delete_pod,
    a.DeleteLease: Operator._delete_lease,
    a.CreatePod: Operator._create_pod,
    a.ListLeases: Operator._list_leases,
}
