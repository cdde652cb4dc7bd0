"""Simulate API server, agents and workers around the shipped agent_step, in virtual time.

One seed decides every latency and every choice, so that a test replays a failure by its seed.
Requests and deliveries take random times; a watch keeps its order; compare-and-swap is exact. The
world checks the invariants (docs/protocol.md) at every write of the round, every start of workers
and every deletion of a pod. The operator is in tests/sim/operator.py.
"""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from tests.sim.api_server import NAMESPACE, AgentNetwork, Mirror
from tests.sim.operator import JOB, UID, Operator

from elasticjob.agent.api.calls import RequestAction
from elasticjob.controller.observe.rounds import past
from elasticjob.controller.plan.actions import Deletion
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
from elasticjob.wire.lease import AgentLease, JobIdentity, RoundLease
from elasticjob.wire.member import Pod
from elasticjob.wire.names import parse_pod_name, pod_name
from elasticjob.wire.report import Report
from elasticjob.wire.round import Phase, Round

HEALED_S = 15.0  # within which the operator may still act on what it found before
EVICTION_S = 60.0  # when Kubernetes evicts the pods of a node that is gone

PLANNED = (
    CauseKind.LEAVING,
    CauseKind.POD_DELETED,
    CauseKind.SCALED,
    CauseKind.SUSPENDED,
)

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


class BrokenInvariantError(AssertionError):
    """An invariant does not hold."""


@dataclass
class Agent:
    """One incarnation of an agent: its state, its watch, its workers."""

    me: Me
    network: AgentNetwork = field(init=False)
    alive: bool = True
    node_is_dead: bool = False  # no kubelet reports how its pod ended, or ends it
    harmed_until: float = -math.inf  # the end of its last fault or SIGTERM; inf: it lasts
    reads: bool = True  # its watch delivers
    writes: bool = True  # its requests arrive
    stuck: bool = False  # it can neither reap nor start workers
    running: int | None = None  # n of the workers that are alive
    again_at: float | None = None  # when its next Tick is due
    tick: float | None = None


@dataclass
class World:
    """The whole system, and the checks of its invariants."""

    seed: int
    desired: Desired
    latency_s: float = 0.05
    work_s: float | None = None  # workers finish after this time; None: never
    now: float = 0.0
    version: int = 1
    renewals: int = 0
    lease: RoundLease = field(init=False)
    leases: dict[str, AgentLease] = field(default_factory=dict)
    agents: dict[Pod, Agent] = field(default_factory=dict)
    delayed_from: int = 0  # the round of the last failure that was delayed
    starts_from: float = 0.0  # before this time no workers of that round or a later one start
    spread: int = 3  # nodes
    started: dict[tuple[int, int], Pod] = field(default_factory=dict)  # (n, index) -> pod
    finished: set[tuple[int, Pod]] = field(default_factory=set)
    history: list[Round] = field(default_factory=list)
    log: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self.queue: list[tuple[float, int, Callable[[], None]]] = []
        self.order = 0
        self.lease = RoundLease("1", "round-uid", UID, self.desired, Round())
        self.server = Mirror(self, JobIdentity(NAMESPACE, JOB, UID))
        self.server.put_round(self.lease)
        self.history = [self.lease.round]
        self.operator = Operator(self, self.desired)
        self.operator.rounds.append(past(self.lease.round))
        self.operator.pass_soon()

    # ---- time --------------------------------------------------------------------------------

    def after(self, delay_s: float, what: Callable[[], None]) -> None:
        self.order += 1
        heapq.heappush(self.queue, (self.now + delay_s, self.order, what))

    def lag(self) -> float:
        return self.rng.uniform(0.1, 1.0) * self.latency_s

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

    def start_agent(self, pod: Pod, node: str) -> Agent:
        """A node starts the agent of a pod."""
        name = pod_name(JOB, pod.index, pod.generation)
        who = Identity(
            pod, name, f"nonce-{name}-{self.rng.random()}", UID, node=node,
            address=f"10.0.{pod.generation}.{pod.index}", jitter=self.rng.random(),
        )  # fmt: skip
        self.note(f"{name} starts")
        agent = Agent(new_agent(who, self.now))
        agent.network = AgentNetwork(self, agent, self.server.job, who)
        self.agents[pod] = agent
        self.feed(agent, events.Tick())
        return agent

    def feed(self, agent: Agent, event: events.Event) -> None:
        if not agent.alive:
            return
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
        agent.harmed_until = math.inf

    def heal(self, agent: Agent) -> None:
        """End the fault: requests are answered, and the watch is opened again."""
        agent.writes = True
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
        n, pod = action.round.n, agent.me.who.pod
        if agent.running is not None:
            raise BrokenInvariantError(f"I2 {pod} starts {n} while {agent.running} is alive")
        other = self.started.get((n, pod.index))
        if other is not None:
            raise BrokenInvariantError(f"I2 round {n}, index {pod.index}: {other} and {pod}")
        if agent.me.leaving:
            raise BrokenInvariantError(f"I3 {pod} starts {n} while leaving")
        if n >= self.delayed_from and self.now < self.starts_from - 0.002:
            raise BrokenInvariantError(f"I4 {pod} starts {n} within the delay of the last failure")
        self.started[n, pod.index] = pod
        agent.running = n
        self.note(f"{agent.me.who.name} starts {n}")

        def exec_done() -> None:
            if agent.running == n:
                self.feed(agent, events.WorkersStarted(n, 10))
                if self.work_s is not None:
                    self.after(self.work_s, lambda: self.finish(agent, n))

        self.after(self.lag(), exec_done)

    def do_stop(self, agent: Agent, action: Stop) -> None:
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
        if not agent.alive or agent.running != n:
            return
        members = next(r for r in reversed(self.history) if r.n == n).pods
        if not all((n, p.index) in self.started for p in members):
            self.after(0.5, lambda: self.finish(agent, n))
            return
        self.finished.add((n, agent.me.who.pod))
        agent.running = None
        self.feed(agent, events.WorkerExited(n))

    def fail(self, agent: Agent, fatal: bool = False) -> None:
        """Let a worker fail."""
        n = agent.running
        if n is None or not agent.alive:
            return
        self.note(f"{agent.me.who.name} worker of {n} fails")
        after_ms = int((self.now - agent.me.round_at) * 1000)
        cause = Cause(
            CauseKind.WORKER_FAILED, agent.me.who.name, code=1, n=n, after_ms=max(0, after_ms)
        )
        self.feed(agent, events.WorkerExited(n, cause, fatal))

    def end(self, agent: Agent, reported: bool, code: int = 137) -> None:
        """End an agent and its workers. reported False: no kubelet reports it, as its node died."""
        if not agent.alive:
            return
        agent.alive, agent.running, agent.harmed_until = False, None, math.inf
        agent.network.end()
        agent.node_is_dead = agent.node_is_dead or not reported
        if agent.node_is_dead:
            self.after(EVICTION_S, lambda: self.operator.evict(agent))
        else:
            self.after(self.lag(), lambda: self.operator.agent_ended(agent, code))

    def end_node(self, node: str) -> list[Pod]:
        """End a node with all of its pods."""
        pods = [p for p, agent in self.agents.items() if agent.me.who.node == node and agent.alive]
        for pod in pods:
            self.end(self.agents[pod], reported=False)
        return pods

    # ---- the API server ----------------------------------------------------------------------

    def put_lease(self, lease: AgentLease, renews: bool = True) -> None:
        self.version += 1
        self.renewals += 1
        renewed = str(self.renewals) if renews else lease.renew_time
        lease = replace(lease, version=str(self.version), renew_time=renewed)
        self.leases[lease.name] = lease
        self.server.put_lease(lease)

    def drop_lease(self, name: str) -> None:
        if self.leases.pop(name, None) is None:
            return
        self.version += 1
        self.server.drop_lease(name, self.version)

    def pulse(self, report: Report | None) -> None:
        self.renewals += 1
        lease = replace(self.lease, renew_time=str(self.renewals), report=report)
        self.set_round(lease, is_pulse=report == self.lease.report)

    def put_round(
        self, next_: Round | None, holder: str | None, who: str, report: Report | None = None
    ) -> None:
        lease = replace(self.lease, report=report or self.lease.report)
        if next_ is not None:
            self.check_round(lease.round, next_)
            self.check_charges(lease.round, next_)
            self.history.append(next_)
            members = ",".join(f"{p.index}@{p.generation}" for p in sorted(next_.pods))
            charged = sorted(next_.charged.numbers)
            cause = next_.cause.kind.value if next_.cause else ""
            self.note(
                f"{who}: round {next_.n} {next_.phase.value} [{members}] charged {charged} {cause}"
                f" in {next_.delay_ms} ms"
            )
            lease = replace(lease, round=next_)
        if holder is not None:
            self.renewals += 1
            self.note(f"{who}: holder {holder or 'none'}")
            lease = replace(lease, holder=holder, renew_time=str(self.renewals))
        self.set_round(lease)

    def set_round(self, lease: RoundLease, is_pulse: bool = False) -> None:
        self.version += 1
        self.lease = replace(lease, version=str(self.version))
        self.server.put_round(self.lease)
        self.operator.round_changed(is_pulse)

    def check_round(self, old: Round, new: Round) -> None:
        if old.phase.is_terminal:
            raise BrokenInvariantError("I6 the job changes after its end")
        if new.n <= old.n:
            raise BrokenInvariantError(f"I1 {new.n} after {old.n}")
        if len({p.index for p in new.pods}) != len(new.pods):
            raise BrokenInvariantError("I2 two pods of one index in a round")
        if new.phase is Phase.SUCCEEDED and any((old.n, p) not in self.finished for p in old.pods):
            raise BrokenInvariantError("I6 Succeeded, but a member has not finished")
        if new.phase is Phase.ACTIVE and len(new.members) < self.lease.desired.min_members:
            raise BrokenInvariantError("rule 8: Active below min")

    def check_charges(self, old: Round, new: Round) -> None:
        """I4: a planned round strikes no charge and shortens no start delay."""
        kind = new.cause.kind if new.cause else None
        if kind in PLANNED and not old.charged.numbers <= new.charged.numbers:
            raise BrokenInvariantError(f"I4 {kind} strikes {old.charged} -> {new.charged}")
        if kind is CauseKind.SUSPENDED:
            self.starts_from = 0.0
        elif kind not in PLANNED and new.n != old.n and new.charged != old.charged:
            self.starts_from = max(self.starts_from, self.now + new.delay_ms / 1000)
            self.delayed_from = new.n

    # ---- the operator, users and nodes ---------------------------------------------------------

    def scale(self, replicas: int) -> None:
        """Scale the job, as kubectl scale does."""
        self.operator.edit(replicas=replicas)

    def operator_down(self, seconds: float) -> None:
        """Stop the operator for this time; its memory is lost."""

        def up() -> None:
            self.operator.up = True
            self.operator.restart()

        self.operator.up = False
        self.after(seconds, up)

    def check_deletion(self, pod: Pod, why: Deletion) -> None:
        """Check that the operator deletes no pod as silent whose agent works (F21)."""
        agent = self.operator.pods[pod].agent
        if why is Deletion.LOST and agent is not None and self.now > agent.harmed_until:
            raise BrokenInvariantError(f"the operator deletes {pod}, whose agent works: {why}")

    def terminate(self, agent: Agent, grace_s: float) -> None:
        """Send SIGTERM, and SIGKILL after the grace, unless the node is dead."""
        if agent.node_is_dead:
            return
        self.after(self.lag(), lambda: self.feed(agent, events.LeaveRequested()))
        agent.harmed_until = math.inf
        self.after(self.lag() + grace_s, lambda: self.end(agent, reported=True))

    # ---- observations ------------------------------------------------------------------------

    def live(self) -> set[Pod]:
        """The pods whose agents are alive, wanted and not leaving."""
        return {
            p for p, a in self.agents.items()
            if a.alive and not a.me.leaving and self.lease.desired.is_wanted(p)
        }  # fmt: skip

    def at_rest(self) -> bool:
        """I5: whether a round of exactly the live wanted agents runs, or the job is over."""
        round_ = self.lease.round
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
