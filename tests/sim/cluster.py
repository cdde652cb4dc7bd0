"""Simulate the objects of users, the scheduler, the kubelets and the garbage collection.

Pods are pending, wait for a node or an image, run, end, or get stuck; nodes die. Each change of an
object is delivered to the operator, as its watches do.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from tests.support.jobs import elastic_job, worker

from elasticjob.controller.observe import parse
from elasticjob.controller.observe.containers import ContainerState, WorkerContainer
from elasticjob.controller.observe.parse import Job, ObservedPod
from elasticjob.wire.member import Pod
from elasticjob.wire.names import pod_name

if TYPE_CHECKING:
    from tests.sim.world import Agent, World

JOB = "job"
COLLECTED_S = 1.0  # within which garbage collection deletes what a deleted object owned


@dataclass(frozen=True)
class SimPod:
    """A pod as the API server has it. agent: in its container, once this runs."""

    seen: ObservedPod
    agent: Agent | None = None


@dataclass
class Trouble:
    """What keeps pods from being created, starting or joining. Heals when faults stop."""

    quota: int | None = None  # pods
    unschedulable: set[int] = field(default_factory=set)  # indexes that no node accepts
    pulls_s: dict[int, float] = field(default_factory=dict)  # how long their images take
    dead_node: set[int] = field(default_factory=set)  # the scheduler chooses a dead node
    unreachable: set[int] = field(default_factory=set)  # agents that cannot reach the API server


class Cluster:
    """The job of one name, its pods, and what acts on them besides the operator."""

    def __init__(self, world: World, spec: dict[str, Any]) -> None:
        self.world = world
        self.trouble = Trouble()
        self.pods: dict[Pod, SimPod] = {}
        self.forced: set[str] = set()  # UIDs of pods that were deleted by force
        self.created = self.jobs = self.version = 0
        self.job: Job | None = None
        self.spec = spec
        self.create_job()

    # ---- the user's object -------------------------------------------------------------------

    def create_job(self) -> None:
        """Create the job, again after a deletion, once its name is free."""
        if self.job is not None:
            if self.job.deleting:
                self.world.after(1.0, self.create_job)
            return
        self.jobs += 1
        body = elastic_job(JOB, **self.spec)
        body["metadata"] |= {"uid": f"uid-{self.jobs}", "generation": 1}
        self._put_job(parse.job({**body, "status": {}}))

    def edit(self, **spec: Any) -> None:
        """Edit the spec, as a user does."""
        self.spec |= spec
        if self.job is not None and not self.job.deleting:
            body = {**self.job.body, "spec": {**self.job.body["spec"], **spec}}
            body["metadata"] = {**body["metadata"], "generation": self.job.generation + 1}
            self._put_job(replace(parse.job(body), status=self.job.status))

    def change_template(self) -> None:
        """Change the template, so that all pods are replaced."""
        container = worker(env=[{"name": "CHANGE", "value": str(self.version)}])
        self.edit(template={"spec": {"containers": [container]}})

    def write_status(self, job: Job, status: Any) -> Job | None:
        """Write the status of this version of the job; None: a conflict."""
        if self.job is None or self.job.version != job.version:
            return None
        if status == self.job.status:
            return self.job
        self._put_job(replace(self.job, status=status))
        return self.job

    def delete_job(self, how: str) -> None:
        """Delete the job: `background`, `foreground`, or `orphan`, which leaves what it owns."""
        if self.job is None or self.job.deleting:
            return
        uid = self.job.uid
        if how == "foreground":
            meta = {**self.job.body["metadata"], "deletionTimestamp": "now"}
            self._put_job(replace(self.job, body={**self.job.body, "metadata": meta}))
        else:
            self._put_job(None)
        if how == "orphan":
            return  # pods and Round Lease have the label of the job, and no owner
        self.world.after(self.world.rng.uniform(0, COLLECTED_S), lambda: self._collect(uid))

    def is_owned(self, uid: str) -> bool:
        """Whether the job that owns an object still exists."""
        return self.job is not None and self.job.uid == uid and not self.job.deleting

    def _collect(self, uid: str) -> None:
        """Delete what a deleted job owned, then the job."""
        self.world.delete_round(uid)
        own = [pod for pod, sim in self.pods.items() if sim.seen.job_uid == uid]
        for pod in own:
            self.delete(pod)
        if self.job is not None and self.job.uid == uid and self.job.deleting:
            if own:
                self.world.after(COLLECTED_S, lambda: self._collect(uid))
            else:
                self._put_job(None)

    def _put_job(self, job: Job | None) -> None:
        if job is not None:
            self.version += 1
            meta = {**job.body["metadata"], "resourceVersion": str(self.version)}
            job = replace(job, body={**job.body, "metadata": meta})
        self.job = job
        self.world.operator.deliver_job(job)

    # ---- pods --------------------------------------------------------------------------------

    def create_pod(self, job: Job, pod: Pod) -> str:
        """Create a pod for the operator. Returns why it is refused, or nothing."""
        quota = self.trouble.quota
        if quota is not None and len(self.pods) >= quota:
            return f"exceeded quota: pods={quota}"
        self.created += 1
        name = pod_name(JOB, pod.index, pod.generation)
        uid = f"pod-uid-{self.created}"
        spec = job.spec
        assert spec is not None
        grace_s = float(spec.stop_grace_seconds + 5)
        seen = ObservedPod(
            name, uid, pod, job.uid, job.template_hash, accepted=False, grace_s=grace_s
        )
        self.world.checks.ledger.pod_created(pod)
        self._put(pod, SimPod(seen))
        self.world.after(self.world.lag(), lambda: self._schedule(pod, uid))
        if not self.is_owned(job.uid):
            self.world.after(self.world.rng.uniform(0, COLLECTED_S), lambda: self.delete(pod))
        return ""

    def _put(self, pod: Pod, sim: SimPod | None) -> None:
        """Store and deliver a changed version of the pod; None: it is deleted."""
        if sim is not None and self.pods.get(pod) == sim:
            return
        if sim is None:
            self.pods.pop(pod, None)
        else:
            self.pods[pod] = sim
        self.world.operator.deliver_pod(pod, sim.seen if sim else None)

    def _change(self, pod: Pod, **seen: Any) -> SimPod:
        sim = self.pods[pod]
        changed = replace(sim, seen=replace(sim.seen, **seen))
        self._put(pod, changed)
        return changed

    def _starting(self, pod: Pod, uid: str) -> SimPod | None:
        """The pod, if it is the same one and has not started."""
        sim = self.pods.get(pod)
        is_same = sim is not None and sim.seen.uid == uid
        return sim if is_same and sim and not sim.agent and not sim.seen.deleting else None

    def _schedule(self, pod: Pod, uid: str) -> None:
        """Bind the pod to a node. An unschedulable index waits."""
        if self._starting(pod, uid) is None:
            return
        if pod.index in self.trouble.unschedulable:
            self._change(pod, unschedulable="no node takes it")
            self.world.after(1.0, lambda: self._schedule(pod, uid))
            return
        self._change(pod, unschedulable="", node=self.world.node_of(pod))
        if pod.index in self.trouble.dead_node:
            self.trouble.dead_node.discard(pod.index)
            return  # no kubelet accepts it
        self.world.after(self.world.lag(), lambda: self._accept(pod, uid))

    def _accept(self, pod: Pod, uid: str) -> None:
        if self._starting(pod, uid) is None:
            return
        self._change(pod, accepted=True)
        pull_s = self.trouble.pulls_s.pop(pod.index, 0.0)
        self.world.after(pull_s + self.world.lag(), lambda: self._start(pod, uid))

    def _start(self, pod: Pod, uid: str) -> None:
        if (sim := self._starting(pod, uid)) is None:
            return
        running = replace(sim.seen, container=WorkerContainer(ContainerState.RUNNING))
        agent = self.world.start_agent(pod, sim.seen.node, sim.seen.job_uid)
        if pod.index in self.trouble.unreachable:
            self.trouble.unreachable.discard(pod.index)
            self.world.cut(agent)
        self._put(pod, SimPod(running, agent))

    def restart_agent(self, pod: Pod) -> None:
        """Start another incarnation in the same pod: the runtime has lost its state."""
        sim = self.pods.get(pod)
        if sim is None or sim.agent is None or not sim.agent.alive or sim.seen.deleting:
            return
        before = sim.agent
        before.alive, before.running = False, None
        before.network.end()
        agent = self.world.start_agent(pod, sim.seen.node, sim.seen.job_uid)
        agent.succeed(before, self.world.now)
        self.pods[pod] = replace(sim, agent=agent)

    # ---- ends --------------------------------------------------------------------------------

    def agent_ended(self, agent: Agent, code: int) -> None:
        """The kubelet reports how the container ended, or that a deleted pod is gone."""
        pod = agent.me.who.pod
        sim = self.pods.get(pod)
        if sim is None or sim.agent is not agent:
            return  # its pod is gone
        self.world.note_end(agent, sim.seen.excused)
        if sim.seen.deleting:
            self._put(pod, None)
            return
        ended = WorkerContainer(
            ContainerState.TERMINATED, "Error" if code else "Completed", exit_code=code
        )
        self._change(pod, container=ended, all_terminated=True)

    def delete(self, pod: Pod, disrupted: bool = False) -> None:
        """Delete the pod, as kubectl or the operator does: SIGTERM, and SIGKILL after the grace."""
        sim = self.pods.get(pod)
        if sim is None or sim.seen.deleting:
            return
        is_stuck = bool(sim.seen.node) and not sim.seen.accepted
        if (sim.agent is None and not is_stuck) or not sim.seen.living:
            self._put(pod, None)
            return
        self._change(pod, deleting=True, disrupted=disrupted)
        if sim.agent is not None:
            self.world.terminate(sim.agent, sim.seen.grace_s)

    def delete_by_force(self, pod: Pod) -> None:
        """Delete the object at once; the kubelet ends the container a little later."""
        sim = self.pods.get(pod)
        if sim is None:
            return
        self.forced.add(sim.seen.uid)
        self._put(pod, None)
        if sim.agent is not None:
            self.world.terminate(sim.agent, self.world.rng.choice([0.0, 2.0]))

    def evict(self, agent: Agent) -> None:
        """Evict the pod of a node that is gone: it is being deleted, and no kubelet ends it."""
        pod = agent.me.who.pod
        sim = self.pods.get(pod)
        if sim is not None and sim.agent is agent and not sim.seen.deleting:
            self._change(pod, deleting=True)

    def heal(self) -> None:
        """End all trouble, and remove pods of dead nodes, as an administrator does."""
        self.trouble = Trouble()
        for pod, sim in list(self.pods.items()):
            is_dead = sim.agent is not None and sim.agent.node_is_dead
            if sim.seen.deleting and (is_dead or not sim.seen.accepted):
                self.delete_by_force(pod)
