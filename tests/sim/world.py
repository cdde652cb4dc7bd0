"""Simulate API server, agents and workers around the shipped agent_step, in virtual time.

One seed decides every latency and every choice, so that a test replays a failure by its seed.
Requests and deliveries take random times; a watch keeps its order; compare-and-swap is exact. The
world checks the invariants (docs/protocol.md) at every write of the round, every start of workers,
every mark and every creation or deletion of a pod (`checks.py`, `ledger.py`). The operator is in
`operator.py`, pods and users are in `cluster.py`.
"""

from __future__ import annotations

import heapq
import math
import random
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from tests.sim.api_server import AgentNetwork, Mirror
from tests.sim.checks import BrokenInvariantError, Checks
from tests.sim.cluster import COLLECTED_S, JOB, Cluster
from tests.sim.ledger import Ledger
from tests.sim.operator import Operator

from elasticjob.agent.api.calls import RequestAction
from elasticjob.api.v1alpha1 import ElasticJobStatus
from elasticjob.controller.observe.snapshot import Snapshot
from elasticjob.controller.plan.actions import Deletion, Mark
from elasticjob.rendezvous import agent_step, events, new_agent
from elasticjob.rendezvous.actions import (
    Action,
    CasRound,
    CreateLease,
    Exit,
    GetLease,
    Pulse,
    ReadRound,
    ReopenStream,
    Start,
    Stop,
    WriteState,
)
from elasticjob.rendezvous.budget import counted_failures
from elasticjob.rendezvous.state import Identity, Me
from elasticjob.wire.cause import Cause, CauseKind
from elasticjob.wire.desired import Desired
from elasticjob.wire.lease import AgentLease, RoundLease
from elasticjob.wire.member import Member, Pod
from elasticjob.wire.names import parse_pod_name, pod_name, round_lease_name
from elasticjob.wire.report import Report
from elasticjob.wire.round import Phase, Round

HEALED_S = 15.0  # within which the operator may still act on what it found before
EVICTION_S = 60.0  # when Kubernetes evicts the pods of a node that is gone
ANSWERED_S = 3.0  # within which a newer round answers the crash of an agent that works

# Of `desired`, without a field in the spec: the world has shorter ones than the product.
HURRIED = ("last_call_s", "startup_last_call_s", "cooldown_s", "reset_after_s", "api_grace_s")

DO: dict[type, str] = {
    ReadRound: "do_read_round",
    ReopenStream: "do_reopen_stream",
    CreateLease: "do_call",
    WriteState: "do_call",
    GetLease: "do_call",
    CasRound: "do_call",
    Pulse: "do_call",
    Start: "do_start",
    Stop: "do_stop",
    Exit: "do_exit",
}

__all__ = ["Agent", "BrokenInvariantError", "World"]


NO_LIMIT = 64  # the highest value, and more crashes than a history has


def spec_of(desired: Desired) -> dict[str, Any]:
    """The spec of the job whose `desired` this is."""
    return {
        "replicas": len(desired.wanted),
        "minReplicas": desired.min_members,
        "maxRestarts": desired.max_restarts,
        "maxStartRestarts": NO_LIMIT if (m := desired.max_start_restarts) is None else m,
        "stopGraceSeconds": int(desired.stop_grace_s),
        "crashGraceSeconds": int(desired.crash_grace_s),
    }


@dataclass(eq=False)
class Agent:
    """One incarnation of an agent: its state, its watch, its workers."""

    me: Me
    network: AgentNetwork = field(init=False)
    alive: bool = True
    node_is_dead: bool = False  # no kubelet reports how its pod ended, or ends it
    harmed_from: float = -math.inf  # when its current or last fault began
    harmed_until: float = -math.inf  # the end of its last fault or SIGTERM; inf: it lasts
    reads: bool = True  # its watch delivers
    writes: bool = True  # its requests arrive
    answers: bool = True  # their answers arrive
    slow_s: float = 0.0  # up to this much longer for each request and answer
    lag_s: float = 0.0  # by which its watch lags
    stuck: bool = False  # it can neither reap nor start workers
    running: int | None = None  # n of the workers that are alive
    reported: int | None = None  # the round of which a worker has written an error file
    stopping: bool = False  # these workers have received SIGTERM
    again_at: float | None = None  # when its next Tick is due
    tick: float | None = None

    def harm(self, now: float) -> None:
        """Begin a fault, which lasts until the agent is healed."""
        if now > self.harmed_until:
            self.harmed_from = now
        self.harmed_until = math.inf

    def succeed(self, before: Agent, now: float) -> None:
        """Restart in the pod of an agent. Its faults end, but others may have found it silent."""
        self.harmed_from = before.harmed_from
        self.harmed_until = min(before.harmed_until, now + HEALED_S)


@dataclass
class World:
    """The whole system, and the checks of its invariants."""

    seed: int
    desired: Desired
    latency_s: float = 0.05
    is_noisy: bool = True  # latencies are random
    work_s: float | None = None  # workers finish after this time; None: never
    peers_fail: float = 0.0  # the probability that workers fail when those of a member are gone
    now: float = 0.0
    version: int = 1
    renewals: int = 0
    lease: RoundLease = field(init=False)  # the newest version; of a deleted one the last
    exists: bool = False  # the Round Lease
    leases: dict[str, AgentLease] = field(default_factory=dict)
    owners: dict[str, str] = field(default_factory=dict)  # agent Lease -> UID of its Round Lease
    agents: dict[Pod, Agent] = field(default_factory=dict)
    spread: int = 3  # nodes
    log: list[str] = field(default_factory=list)
    rounds: int = 0  # written with a new n
    checked: Counter[str] = field(default_factory=Counter)  # checks, by what they check

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self.queue: list[tuple[float, int, Callable[[], None]]] = []
        self.order = 0
        self.down_until = 0.0
        self.slack_s = 1.0
        self.lease = RoundLease("1", "", "", self.desired, Round())
        self.server = Mirror(self)
        self.checks = Checks(self, "")
        self.operator = Operator(self)
        self.cluster = Cluster(self, spec_of(self.desired))
        self.operator.start()

    @property
    def history(self) -> list[Round]:
        """The rounds of the current job."""
        return self.checks.history

    # ---- time --------------------------------------------------------------------------------

    def after(self, delay_s: float, what: Callable[[], None]) -> None:
        self.order += 1
        heapq.heappush(self.queue, (self.now + delay_s, self.order, what))

    def lag(self, agent: Agent | None = None) -> float:
        if not self.is_noisy:
            return 0.5 * self.latency_s + (agent.slow_s if agent else 0.0)
        lag_s = self.rng.uniform(0.1, 1.0) * self.latency_s
        return lag_s + agent.slow_s * self.rng.random() if agent and agent.slow_s else lag_s

    def run(self, until: float) -> None:
        """Let everything happen that is due before `until`. Raises BrokenInvariantError."""
        while self.queue and self.queue[0][0] <= until:
            at, _, what = heapq.heappop(self.queue)
            self.now = max(self.now, at)
            what()
        self.now = until

    def note(self, text: str) -> None:
        self.log.append(f"{self.now:8.3f} {text}")

    # ---- agents ------------------------------------------------------------------------------

    def node_of(self, pod: Pod) -> str:
        """The node of a pod. Each replacement has a new node."""
        if pod.generation == 0:
            return f"node-{pod.index % self.spread}"
        return f"node-of-{pod.index}-{pod.generation}"

    def start_agent(self, pod: Pod, node: str, job_uid: str) -> Agent:
        """A node starts the agent of a pod."""
        name = pod_name(JOB, pod.index, pod.generation)
        who = Identity(
            pod, name, f"nonce-{name}-{self.rng.random()}", job_uid, node=node,
            address=f"10.0.{pod.generation % 256}.{pod.index}", jitter=self.rng.random(),
        )  # fmt: skip
        self.note(f"{name} starts")
        agent = Agent(new_agent(who, self.now))
        agent.network = AgentNetwork(self, agent, self.server.identity(job_uid), who)
        self.agents[pod] = agent
        self.feed(agent, events.Tick())
        return agent

    def feed(self, agent: Agent, event: events.Event) -> None:
        if not agent.alive:
            return
        if isinstance(event, events.RoundSeen):
            self.checks.received(agent, event.lease)
        agent.me, actions, agent.again_at = agent_step(agent.me, event, self.now)
        for action in actions:
            self.perform(agent, action)
        self.schedule_tick(agent)

    def schedule_tick(self, agent: Agent) -> None:
        at = agent.again_at
        if at is None or (agent.tick is not None and self.now < agent.tick <= at):
            return
        agent.tick = at

        def tick() -> None:
            if agent.tick == at:
                agent.tick = None
                self.feed(agent, events.Tick())

        self.after(at - self.now, tick)

    def perform(self, agent: Agent, action: Action) -> None:
        handler: Callable[[Agent, Any], None] = getattr(self, DO[type(action)])
        handler(agent, action)

    def do_call(self, agent: Agent, action: RequestAction) -> None:
        assert agent.me.lease is not None
        agent.network.api.call(action, agent.me.lease)

    @property
    def timeout_s(self) -> float:
        """The time after which an agent gives up a request without an answer."""
        return min(2.0, self.desired.heartbeat_s)

    def cut(self, agent: Agent) -> None:
        """Cut the network: requests get no answer, and the watch delivers nothing."""
        agent.reads = agent.writes = False
        agent.harm(self.now)

    def heal(self, agent: Agent) -> None:
        """End the fault: requests are answered, and the watch is opened again."""
        if not agent.alive:
            return
        agent.writes = agent.answers = True
        agent.slow_s = agent.lag_s = 0.0
        if agent.harmed_until == math.inf and not agent.stuck:
            agent.harmed_until = self.now + HEALED_S
        if not agent.reads:
            agent.reads = True
            agent.network.cut()

    def do_read_round(self, agent: Agent, action: ReadRound) -> None:
        agent.network.api.reopen(wide=False)

    def do_reopen_stream(self, agent: Agent, action: ReopenStream) -> None:
        if not agent.reads:
            agent.network.darken()
            agent.reads = True  # a fresh connection
        agent.network.api.reopen(action.wide)

    def do_start(self, agent: Agent, action: Start) -> None:
        if agent.stuck:
            return
        n = action.round.n
        self.checks.check_start(agent, n)
        agent.running, agent.stopping = n, False
        self.note(f"{agent.me.who.name} starts {n}")

        def exec_done() -> None:
            if agent.running == n:
                self.feed(agent, events.WorkersStarted(n, 10))
                if self.work_s is not None:
                    self.after(self.work_s, lambda: self.finish(agent, n))

        self.after(self.lag(), exec_done)

    def do_stop(self, agent: Agent, action: Stop) -> None:
        agent.stopping = True
        if agent.stuck:
            return

        def reaped() -> None:
            if not agent.alive:
                return
            agent.running = None
            self.feed(agent, events.WorkersReaped(action.n))

        self.after(self.lag() * 2, reaped)

    def do_exit(self, agent: Agent, action: Exit) -> None:
        self.note(f"{agent.me.who.name} exits {action.code}: {action.reason}")
        self.end(agent, reported=True, code=action.code)

    # ---- workers -----------------------------------------------------------------------------

    def finish(self, agent: Agent, n: int) -> None:
        """Let all workers of an agent exit with 0, once all members have started the round."""
        if not agent.alive or not self.history or self.history[-1].n != n:
            return
        if not all((n, p.index) in self.checks.started for p in self.members_of(n)):
            self.after(0.5, lambda: self.finish(agent, n))
            return
        if agent.running != n or agent.stopping or agent.reported == n:
            return
        self.checks.finished.add((n, agent.me.who.pod))
        agent.running = None
        self.feed(agent, events.WorkerExited(n))

    def members_of(self, n: int) -> frozenset[Pod]:
        """The members of a round."""
        return next(r for r in reversed(self.history) if r.n == n).pods

    def fail(self, agent: Agent, fatal: bool = False) -> None:
        """Let a worker fail and exit."""
        n = agent.running
        if n is not None and agent.alive and not agent.stopping:
            self.checks.ledger.crashed(agent.me.who.pod, n, self.now, fatal)
            self._exit(agent, n, self._failure(agent, n), fatal)

    def report(self, agent: Agent) -> None:
        """Let a worker write an error file, and exit later, or not in time."""
        n = agent.running
        if n is None or not agent.alive or agent.stopping:
            return
        self.note(f"{agent.me.who.name} worker of {n} reports an exception")
        self.checks.ledger.crashed(agent.me.who.pod, n, self.now, fatal=False)
        cause, grace_s = self._failure(agent, n), self.lease.desired.crash_grace_s
        agent.reported = n
        self.after(grace_s + ANSWERED_S, lambda: self.checks.check_answered(agent, n))
        self.after(self.rng.uniform(0, 2 * grace_s), lambda: self._exit(agent, n, cause))
        self.feed(agent, events.FailureNoticed(n, replace(cause, code=None)))

    def _failure(self, agent: Agent, n: int) -> Cause:
        name, after_ms = agent.me.who.name, int((self.now - agent.me.round_at) * 1000)
        return Cause(CauseKind.WORKER_FAILED, name, code=1, n=n, after_ms=max(0, after_ms))

    def _exit(self, agent: Agent, n: int, cause: Cause, fatal: bool = False) -> None:
        if agent.running != n or not agent.alive or agent.stopping:
            return
        self.note(f"{agent.me.who.name} worker of {n} fails")
        self.after(ANSWERED_S, lambda: self.checks.check_answered(agent, n))
        self.feed(agent, events.WorkerExited(n, cause, fatal))

    def fail_peers(self, n: int | None) -> None:
        """Workers of a round may fail when those of one member are gone."""
        if n is not None and self.rng.random() < self.peers_fail:
            self.fail_all(n, 4.0)

    def fail_all(self, n: int, within_s: float) -> None:
        """Let a worker of each member of a round fail within this time, unless it has ended."""

        def fail(agent: Agent) -> None:
            if agent.running == n:
                self.fail(agent)

        for agent in self.agents.values():
            if agent.running == n:
                self.after(self.rng.uniform(0, within_s), partial(fail, agent))

    def end(self, agent: Agent, reported: bool, code: int = 137) -> None:
        """End an agent and its workers. reported False: no kubelet reports it, as its node died."""
        if not agent.alive:
            return
        self.fail_peers(agent.running)
        agent.alive, agent.running = False, None
        agent.harm(self.now)
        agent.network.end()
        agent.node_is_dead = agent.node_is_dead or not reported
        if agent.node_is_dead:
            self.after(EVICTION_S, lambda: self.cluster.evict(agent))
        else:
            self.after(self.lag(), lambda: self.cluster.agent_ended(agent, code))

    def end_node(self, node: str) -> list[Pod]:
        """End a node with all of its pods."""
        pods = [p for p, agent in self.agents.items() if agent.me.who.node == node and agent.alive]
        for pod in pods:
            self.end(self.agents[pod], reported=False)
        return pods

    # ---- the API server ----------------------------------------------------------------------

    def stored_round(self) -> RoundLease | None:
        """The Round Lease as the API server has it."""
        return self.lease if self.exists else None

    def leases_of(self, job_uid: str) -> Iterable[AgentLease]:
        """The agent Leases of a job."""
        return [lease for lease in self.leases.values() if lease.job_uid == job_uid]

    def put_lease(self, lease: AgentLease, renews: bool = True, owner: str | None = None) -> None:
        """Store a version of an agent Lease. owner: the UID of its Round Lease, if it is new or
        gets another owner."""
        self.version += 1
        self.renewals += 1
        renewed = str(self.renewals) if renews else lease.renew_time
        if owner is not None:
            self.owners[lease.name] = owner
        if lease.name not in self.leases:
            assert owner is not None
            lease = replace(lease, uid=f"lease-{self.version}")
            if not self.exists or owner != self.lease.uid:
                self._collect_leases(owner)
        lease = replace(lease, version=str(self.version), renew_time=renewed)
        self.leases[lease.name] = lease
        self._ledger_of(lease.job_uid).lease_written(lease.pod, lease.state, self.now, renews)
        if lease.ended:
            self._ledger_of(lease.job_uid).marked(lease.pod, lease.excused, self.now)
        self.server.put_lease(lease)

    def drop_lease(self, name: str, uid: str | None = None) -> None:
        lease = self.leases.get(name)
        if lease is None or (uid is not None and lease.uid != uid):
            return
        del self.leases[name]
        self._ledger_of(lease.job_uid).lease_deleted(lease.pod, self.now)
        self.version += 1
        self.server.drop(name, self.version)

    def pulse(self, report: Report | None, writer: Pod) -> None:
        """The holder has written its pulse."""
        self.renewals += 1
        self.checks.ledger.pulsed(writer, self.now)
        lease = replace(self.lease, renew_time=str(self.renewals), report=report)
        self.set_round(lease, is_pulse=report == self.lease.report)

    def _ledger_of(self, job_uid: str) -> Ledger:
        """The ledger of a job; of an older one a ledger that is thrown away."""
        return self.checks.ledger if self.checks.job_uid == job_uid else Ledger(JOB)

    def _collect_leases(self, round_uid: str) -> None:
        """Delete the agent Leases of a Round Lease that is gone, a little later."""

        def collect() -> None:
            for name in [n for n in self.leases if self.owners[n] == round_uid]:
                self.drop_lease(name)

        self.after(self.rng.uniform(0, COLLECTED_S), collect)

    def put_round(
        self,
        next_: Round | None,
        holder: str | None,
        who: str,
        writer: Pod | None = None,
        report: Report | None = None,
    ) -> None:
        """An agent writes a round or a holder, or the operator makes the role vacant."""
        lease = replace(self.lease, report=report or self.lease.report)
        if next_ is not None:
            assert writer is not None
            self.checks.check_round(lease, next_, writer)
            self.note_round(who, next_)
            lease = replace(lease, round=next_)
        if holder is not None:
            self.renewals += 1
            self.note(f"{who}: holder {holder or 'none'}")
            lease = replace(lease, holder=holder, renew_time=str(self.renewals))
            if writer is not None and holder:
                self.checks.ledger.pulsed(writer, self.now)
                if self.lease.holder:
                    before = Pod(*parse_pod_name(self.lease.holder))
                    self.checks.ledger.replaced(before, self.now)
        self.set_round(lease)

    def note_round(self, who: str, round_: Round) -> None:
        """Log a new round, and count it."""
        self.rounds += 1
        members = ",".join(f"{p.index}@{p.generation}" for p in sorted(round_.pods))
        charged = sorted(round_.charged.numbers)
        cause = round_.cause.kind.value if round_.cause else ""
        self.note(
            f"{who}: round {round_.n} {round_.phase.value} [{members}] charged {charged} {cause}"
            f" in {round_.delay_ms} ms"
        )

    def set_round(self, lease: RoundLease, is_pulse: bool = False) -> None:
        self.version += 1
        self.lease = replace(lease, version=str(self.version))
        self.server.put_round(self.lease)
        self.operator.deliver_round(self.lease, is_pulse)

    # ---- the Round Lease, by operator and users ------------------------------------------------

    def create_round(self, job_uid: str, desired: Desired, round_: Round) -> None:
        """Create the Round Lease of a job; one of this name that exists stays."""
        if self.exists:
            return
        held = {name: getattr(self.desired, name) for name in HURRIED}
        if self.checks.job_uid != job_uid:
            self.checks = Checks(self, job_uid)
            self.checks.ledger.slack_s = self.slack_s
        lease = RoundLease("", f"round-{self.version}", job_uid, replace(desired, **held), round_)
        self.checks.check_created(self.lease, lease, is_replaced=False)
        self.exists = True
        self.note_round("operator creates", round_)
        self.set_round(lease)
        if not self.cluster.is_owned(job_uid):
            self.after(self.rng.uniform(0, COLLECTED_S), lambda: self.delete_round(job_uid))

    def replace_round(self, desired: Desired, round_: Round) -> None:
        """The operator replaces a round that names pods which it has not reserved."""
        lease = replace(self.lease, desired=desired, round=round_, report=None)
        self.checks.check_created(self.lease, lease, is_replaced=True)
        self.note_round("operator replaces", round_)
        self.set_round(lease)

    def write_desired(self, desired: Desired) -> None:
        """The operator writes another `desired`."""
        self.checks.check_desired(desired)
        self.set_round(replace(self.lease, desired=desired))

    def delete_round(self, job_uid: str) -> None:
        """Delete the Round Lease of a job, as a user or the garbage collection does."""
        if not self.exists or self.lease.job_uid != job_uid:
            return
        self.note("the Round Lease is deleted")
        self.exists = False
        self.version += 1
        self.server.drop(round_lease_name(JOB), self.version)
        self.operator.deliver_round(None, is_pulse=False)
        self._collect_leases(self.lease.uid)

    def forge_round(self) -> None:
        """Code in a worker writes a round that names a pod which was never reserved."""
        round_ = self.lease.round
        if not self.exists or round_.phase.is_terminal:
            return
        members = (*round_.members, Member(Pod(900, 0)))
        forged = replace(round_, n=round_.n + 1, members=members)
        self.checks.check_forged(forged)
        self.note_round("a worker", forged)
        self.set_round(replace(self.lease, round=forged))

    # ---- the operator, users and nodes ---------------------------------------------------------

    def scale(self, replicas: int) -> None:
        """Scale the job, as kubectl scale does."""
        self.cluster.edit(replicas=replicas)

    def widen(self, slack_s: float) -> None:
        """From now on what a writer saw last may be this old when its write arrives."""
        self.slack_s = max(self.slack_s, slack_s)
        self.checks.ledger.slack_s = self.slack_s

    def operator_down(self, seconds: float, late_s: float | None = None) -> None:
        """End the operator's process, and start another one after this time."""
        self.operator.end(late_s)
        self.down_until = max(self.down_until, self.now + seconds)
        self.after(seconds, self._start_operator)

    def _start_operator(self) -> None:
        if not self.operator.up and self.now >= self.down_until - 1e-6:
            self.operator = Operator(self)
            self.operator.start()

    def heal_all(self) -> None:
        """End what faults have left, as nodes and networks are repaired."""
        self.cluster.heal()
        self.cluster.edit(suspend=False)
        if self.cluster.job is None:
            self.cluster.create_job()

    def note_end(self, agent: Agent, excused: bool) -> None:
        """The kubelet has reported the end of a container."""
        self._ledger_of(agent.me.who.job_uid).ended(agent.me.who.pod, excused)

    def check_mark(self, action: Mark) -> None:
        self.checks.check_mark(action)

    def check_deletion(self, pod: Pod, why: Deletion) -> None:
        self.checks.check_deletion(pod, why)

    def check_creation(self, pod: Pod, job_uid: str) -> None:
        self.checks.check_creation(pod, job_uid)

    def check_status(self, snapshot: Snapshot, new: ElasticJobStatus) -> None:
        self.checks.check_status(snapshot, new)

    def terminate(self, agent: Agent, grace_s: float) -> None:
        """Send SIGTERM, and SIGKILL after the grace, unless the node is dead."""
        if agent.node_is_dead:
            return
        self.after(self.lag(), lambda: self.feed(agent, events.LeaveRequested()))
        agent.harm(self.now)
        self.after(self.lag() + grace_s, lambda: self.end(agent, reported=True))

    # ---- observations ------------------------------------------------------------------------

    def live(self) -> set[Pod]:
        """The pods whose agents are alive, wanted and not leaving."""
        return {
            p for p, a in self.agents.items()
            if a.alive and not a.me.leaving and self.lease.desired.is_wanted(p)
            and a.me.who.job_uid == self.lease.job_uid
        }  # fmt: skip

    def at_rest(self) -> bool:
        """I5: whether a round of exactly the live wanted agents runs, or the job is over."""
        round_, job = self.lease.round, self.cluster.job
        if job is not None and job.status.completion_time is not None:
            return True
        if not self.exists or job is None or self.lease.job_uid != job.uid:
            return False
        if round_.phase.is_terminal:
            return True
        live = self.live()
        if len(live) < max(1, self.lease.desired.min_members):
            return round_.phase is Phase.FORMING
        running = {p for p, a in self.agents.items() if a.running == round_.n}
        return round_.phase is Phase.ACTIVE and set(round_.pods) == live == running

    def counted_failures(self) -> int:
        return counted_failures(self.lease.round.charged, self.lease.desired)

    def holder(self) -> Agent | None:
        name = self.lease.holder
        return self.agents.get(Pod(*parse_pod_name(name))) if name else None
