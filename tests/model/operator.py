"""The transitions of the operator: its shipped plan, and its actions one by one.

A pass is several transitions: the operator reads and plans, then the API server performs the next
action, with the guards of controller/act/execute.py. After a conflict the pass ends. A plan without
actions changes what the operator remembers, or nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.model import checks, core, process
from tests.model.process import (
    COMPLETED,
    DELETING,
    FAILED,
    GRACE_S,
    RUNS,
    Ages,
    Objects,
    Process,
    Reserve,
    lease_name,
    pod_of,
)
from tests.model.records import lease_uids, lease_versions
from tests.model.tables import NO_TIME
from tests.support.jobs import elastic_job
from tests.support.protocol import JOB, letter, node

from elasticjob.controller import plan as plans
from elasticjob.controller.observe import lasting, parse
from elasticjob.controller.observe.containers import ContainerState, WorkerContainer
from elasticjob.controller.observe.memory import Memory
from elasticjob.controller.observe.parse import Job, ObservedPod
from elasticjob.controller.observe.rounds import PastRound, past
from elasticjob.controller.observe.snapshot import Snapshot
from elasticjob.controller.plan import actions as a
from elasticjob.controller.plan import memory as memories
from elasticjob.controller.report import status
from elasticjob.rendezvous import events
from elasticjob.rendezvous.actions import CasRound
from elasticjob.wire import names
from elasticjob.wire.agent_state import AgentPhase, AgentState
from elasticjob.wire.lease import AgentLease, RoundLease
from elasticjob.wire.member import Pod, dump_pods, load_pods

if TYPE_CHECKING:
    from tests.model.machine import Machine, Next, State

OBJECTS, PROCESS = 3, 4  # their places in a state
UTC_NOW = datetime(2026, 1, 1, tzinfo=UTC)
AGENT_HASH = "0123456789"

Made = list[int]


class Planned(NamedTuple):
    """A plan. Writes of the Round Lease have no version."""

    memory: Memory
    actions: tuple[Any, ...]
    again_s: float | None
    judged: frozenset[Pod]


class Operator:
    """The operator of a machine."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        desired = machine.desired
        self.desired = desired
        self.ages = Ages(desired.heartbeat_s, desired.stop_grace_s)
        self._planned: dict[tuple[int, int, int], Planned] = {}
        self._unversioned: dict[int, int] = {}
        self._passes: dict[tuple[int, int, int], int] = {}
        self._acts: dict[tuple[int, ...], Act] = {}
        self._read: dict[tuple[int, int], int] = {}
        self._noted: dict[tuple[int, ...], tuple[int, ...]] = {}
        self._aged: dict[tuple[int, float], int] = {}
        self.job = cache(self._job)

    # ---- parts -------------------------------------------------------------------------------

    def first(self) -> Made:
        """The parts of the operator before the agents start: it has created their pods."""
        wanted = self.desired.wanted
        generations = dump_pods(Pod(each.index, each.generation + 1) for each in wanted)
        objects = Objects(len(wanted), False, generations, tuple((each, RUNS) for each in wanted))
        return [self.machine.tables.env(objects), self._part(process.started())]

    def objects(self, state: State | Made) -> Objects:
        """The job and its pods."""
        found: Objects = self.machine.tables.parts[state[OBJECTS]]
        return found

    def process(self, state: State | Made) -> Process | None:
        """The operator's process, if it runs."""
        found: Process = self.machine.tables.parts[state[PROCESS]]
        return found if isinstance(found, Process) else None

    def put_objects(self, state: Made, objects: Objects) -> Made:
        """Change the job or its pods."""
        state[OBJECTS] = self.machine.tables.env(objects)
        return state

    def _kept(self, memory: Memory, objects: Objects, n: int) -> Memory:
        return process.kept(memory, objects, n) if self.machine.bounds.forgets else memory

    def _kept_rounds(
        self, rounds: tuple[PastRound, ...], lease: RoundLease, objects: Objects, memory: Memory
    ) -> tuple[PastRound, ...]:
        if not self.machine.bounds.forgets:
            return rounds
        return process.kept_rounds(rounds, lease, objects, memory)

    def _part(self, found: Process) -> int:
        return self.machine.tables.record(self.ages.aged(found))

    def _put(self, state: State | Made, found: Process) -> Made:
        made = list(state)
        made[PROCESS] = self._part(found)
        return made

    # ---- transitions -------------------------------------------------------------------------

    def moves(self, state: State) -> Iterator[Next]:
        """What the operator does next, if anything. It returns at any time."""
        if self.machine.env(state).away != NO_TIME:
            yield self.machine.returned(self._put(state, process.started()))
            return
        found = self.process(state)
        if found is None or self.machine.is_over(state):
            return
        if found.left:
            yield from self._act(state, found)
            return
        reads = found.read is None and not self.machine.bounds.reduced
        if reads and self._planned_for(state, found).actions:
            key = state[PROCESS], state[0]
            if key not in self._read:
                self._read[key] = self._part(replace(found, read=self.machine.round(state)))
            made = list(state)
            made[PROCESS] = self._read[key]
            yield self.machine.next(("read",), made)
            return
        made = self._plan(state, found)
        if made[PROCESS] != state[PROCESS]:
            next_ = self.machine.next(("plan",), made)
            if next_.state != state:
                yield next_

    def acts_alone(self, state: State) -> bool:
        """Whether the next action is about pods alone, which no agent reads (README.md)."""
        found = self.process(state)
        if found is None or not found.left or self.machine.is_over(state):
            return False
        return isinstance(found.left[0], (Reserve, a.CreatePod, a.DeletePod))

    def again_s(self, state: State) -> float | None:
        """The time until a pass is due, if no pass is now."""
        found = self.process(state)
        if found is None or self.machine.is_over(state):
            return None
        return self._planned_for(state, found).again_s

    def later(self, state: Made, by_s: float) -> None:
        """Let time pass in a state that is being made."""
        key = state[PROCESS], by_s
        if key not in self._aged:
            found = self.process(state)
            aged = state[PROCESS]
            if found is not None:
                aged = self.machine.tables.record(self.ages.aged(found, by_s))
            self._aged[key] = aged
        state[PROCESS] = self._aged[key]

    def ended(self, state: Made, pod: Pod, code: int) -> None:
        """The kubelet reports how a container ended, or that a deleted pod is gone."""
        objects = self.objects(state)
        life = objects.life(pod)
        if life in (RUNS, DELETING):
            end = FAILED if code else COMPLETED
            self.put_objects(state, objects.with_pod(pod, end if life == RUNS else ""))

    def is_content(self, state: State, live: Collection[Pod]) -> bool:
        """Whether the Round Lease has what the user wants, and each wanted index a living agent,
        unless its next generation is out of bounds."""
        objects = self.objects(state)
        indexes = () if objects.suspend else range(objects.replicas)
        if {pod.index for pod in self.machine.round(state).desired.wanted} != set(indexes):
            return False
        reserved = {p.index: p.generation for p in load_pods(objects.generations, "generations")}
        used_up = {i for i, next_ in reserved.items() if next_ >= self.machine.bounds.generations}
        return set(indexes) - used_up <= {pod.index for pod in live}

    # ---- what its watches deliver ------------------------------------------------------------

    def noted(self, state: Made, before: int) -> Iterator[Made]:
        """The operator after a write of the Round Lease. before: the version that was replaced.

        Its watch delivers pulses at once. A round that is replaced was delivered before, or is
        never: a read or a new watch shows the next one. Both happen if plans can differ.
        """
        key = (state[PROCESS], state[OBJECTS], before, state[0])
        found = self._noted.get(key)
        if found is None:
            found = self._noted[key] = tuple(self._after_write(state, before))
        for part in found:
            made = list(state)
            made[PROCESS] = part
            yield made

    def _after_write(self, state: Made, before: int) -> Iterator[int]:
        known = self.process(state)
        if known is None or before == state[0]:
            yield state[PROCESS]
            return
        old: RoundLease = self.machine.tables.parts[before]
        new: RoundLease = self.machine.tables.parts[state[0]]
        if old.renew_time != new.renew_time:
            known = replace(known, pulse_at=0.0)
        options = [known.rounds]
        if old.round.n != new.round.n:
            options.append((*known.rounds, past(old.round)))
        objects = self.objects(state)
        for read in self._reads(state, before, known):
            for rounds in {self._kept_rounds(x, new, objects, known.memory) for x in options}:
                yield self._part(replace(known, rounds=rounds, read=read))

    def _reads(self, state: Made, before: int, known: Process) -> Iterator[RoundLease | None]:
        """What the operator may have read when the Round Lease is written.

        A read is a transition of the whole search. If no write comes between it and the plan, they
        are one transition of a reduced one, as the read commutes with all but writes.
        """
        yield known.read
        if known.left or known.read is not None or not self.machine.bounds.reduced:
            return
        earlier = (before, *state[1:])
        if self._planned_for(earlier, known).actions:
            yield self.machine.tables.parts[before]

    # ---- plans -------------------------------------------------------------------------------

    def _plan(self, state: State, found: Process) -> Made:
        """The state after a plan, whose actions are still to be performed."""
        key = (state[0], state[OBJECTS], state[PROCESS])
        part = self._passes.get(key)
        if part is None:
            part = self._passes[key] = self._part(self._after_plan(state, found))
        made = list(state)
        made[PROCESS] = part
        return made

    def _after_plan(self, state: State, found: Process) -> Process:
        objects = self.objects(state)
        lease = self.machine.round(state) if found.read is None else found.read
        planned = self._planned_for(state, found)
        memory = self._kept(planned.memory, objects, lease.round.n)
        left = tuple(
            replace(x, version=lease.version) if isinstance(x, a.WriteRound) else x
            for x in planned.actions
        )
        creates = any(isinstance(x, a.Mark) and x.create for x in left)
        lists = any(isinstance(x, a.ListLeases) for x in left)
        return Process(
            memory,
            self._kept_rounds(found.rounds, self.machine.round(state), objects, memory),
            found.pulse_at,
            None,
            left,
            objects if left else None,
            lease.round.n if creates else 0,
            planned.judged if lists else frozenset(),
        )

    def _planned_for(self, state: State, found: Process) -> Planned:
        tables = self.machine.tables
        at = state[0] if found.read is None else tables.record(found.read)
        lease = self._unversioned.get(at)
        if lease is None:
            plain = replace(tables.parts[at], version="", renew_time="")
            lease = self._unversioned[at] = tables.record(plain)
        key = (lease, state[OBJECTS], state[PROCESS])
        planned = self._planned.get(key)
        if planned is None:
            self.machine.stats["plans"] += 1
            snapshot = self.snapshot(tables.parts[lease], self.objects(state), found)
            planned = self._planned[key] = self._make_plan(snapshot)
        return planned

    def _make_plan(self, snapshot: Snapshot) -> Planned:
        plan = plans.plan(snapshot)
        most = self.machine.bounds.generations
        done = [
            x
            for x in plan.actions
            if not isinstance(x, a.EnsurePrerequisites)
            and not (isinstance(x, a.CreatePod) and x.pod.generation >= most)
        ]
        pods = tuple(x for x in done if isinstance(x, a.CreatePod))
        others = [x for x in done if not isinstance(x, a.CreatePod)]
        if pods:
            reserved = status.with_pods(snapshot, tuple(x.pod for x in pods), AGENT_HASH)
            if reserved.generations != snapshot.job.status.generations:
                others.append(Reserve(reserved.generations or ""))
        judged = frozenset(pod.pod for pod in lasting.judged(snapshot))
        again_s = None if plan.again_s is None else round(plan.again_s, 6)
        return Planned(plan.memory, (*others, *pods), again_s, judged)

    def snapshot(self, lease: RoundLease | None, objects: Objects, found: Process) -> Snapshot:
        """The snapshot of a pass."""
        job = self.job(*objects.job)
        assert job.spec is not None, job.faults
        return Snapshot(
            job=job,
            spec=job.spec,
            pods=tuple(_observed(pod, life, job) for pod, life in objects.pods),
            lease=lease,
            memory=found.memory,
            now=0.0,
            utc_now=UTC_NOW,
            heartbeat_s=self.desired.heartbeat_s,
            uncounted_restarts_per_hour=12,
            agent_hash=AGENT_HASH,
            past_rounds=found.rounds,
            pulse_at=found.pulse_at,
        )

    def _job(self, replicas: int, suspend: bool, generations: str) -> Job:
        desired = self.desired
        body = elastic_job(
            JOB.name,
            replicas=replicas,
            minReplicas=desired.min_members,
            maxRestarts=desired.max_restarts,
            stopGraceSeconds=int(desired.stop_grace_s),
            crashGraceSeconds=int(desired.crash_grace_s),
            suspend=suspend,
        )
        return parse.job({**body, "status": {"generations": generations}})

    # ---- actions -----------------------------------------------------------------------------

    def _act(self, state: State, found: Process) -> Iterator[Next]:
        """The API server performs the next action of the plan."""
        machine = self.machine
        act = self._effect(state, found)
        made = list(state)
        made[0], made[1], made[OBJECTS], made[PROCESS] = act.parts
        for change in act.changes:
            machine.broadcast(made, change)
        for pod in act.deleted:
            machine.terminate(made, pod, GRACE_S)
        for pod in act.started:
            made = machine.with_agent(made, pod)
        if act.step == ("conflict",):
            yield machine.next(act.step, made)
            return
        for after in self.noted(made, state[0]):
            yield machine.next(act.step, after, broken=act.broken)

    def _effect(self, state: State, found: Process) -> Act:
        """What the next action changes. It depends on the parts of the state that it reads."""
        charges = self.machine.env(state).may_charge
        key = (state[0], state[1], state[OBJECTS], state[PROCESS], charges)
        act = self._acts.get(key)
        if act is None:
            act = self._make_effect(state, found)
            if not act.is_new:
                self._acts[key] = act
        return act

    def _make_effect(self, state: State, found: Process) -> Act:
        action, rest = found.left[0], replace(found, left=found.left[1:])
        done = _DO[type(action)](self, list(state), rest, action)
        if done is None:  # a conflict, after which the pass ends
            part = self._part(_without_plan(rest))
            return Act(("conflict",), (state[0], state[1], state[OBJECTS], part))
        made, step, results, broken = done[:4]
        if results.done:
            assert rest.seen is not None
            snapshot = self.snapshot(None, rest.seen, rest)
            memory = memories.after_actions(rest.memory, snapshot, results, 0.0)
            memory = self._kept(memory, self.objects(made), self.machine.round(state).round.n)
            rest = replace(rest, memory=memory)
        rest = rest if rest.left else _without_plan(rest)
        lease, objects = self.machine.round(tuple(made)), self.objects(made)
        rest = replace(rest, rounds=self._kept_rounds(rest.rounds, lease, objects, rest.memory))
        parts = (made[0], made[1], made[OBJECTS], self._part(rest))
        return Act(step, parts, broken, *done[4:])

    def _reserve(self, state: Made, found: Process, action: Reserve) -> Done | None:
        objects = self.objects(state)
        assert found.seen is not None
        if objects.job != found.seen.job:
            return None
        made = self.put_objects(state, objects._replace(generations=action.generations))
        return Done(made, ("reserve",), a.ActionResults())

    def _mark(self, state: Made, found: Process, action: a.Mark) -> Done:
        machine, pod, results = self.machine, action.pod, a.ActionResults(done=[action])
        leases = machine.leases(state)
        lease = core.find(leases, pod)
        step = ("mark", pod, action.excused)
        changes: tuple[events.Event, ...] = ()
        is_new = lease is None
        if lease is None and not action.create:
            results.unmarked.append(pod)
            return Done(state, ("unmarked", pod), results)
        if lease is None:
            version = machine.tables.top(state, lease_versions(pod))
            uid = machine.tables.top(state, lease_uids(pod)) + 1
            ready = AgentState(AgentPhase.READY, found.n)
            lease = AgentLease(
                lease_name(pod), pod, str(version), f"{lease_name(pod)}-{uid}", JOB.uid, "", "",
                ready,
            )  # fmt: skip
        if not lease.ended:
            lease = core.replace(
                lease, ended=True, excused=action.excused, version=core.after(lease.version)
            )
            state[1] = machine.tables.record(core.put(leases, lease))
            changes = (core.seen(lease),)
        results.marked.append(lease)
        return Done(state, step, results, changes=changes, is_new=is_new)

    def _write_round(self, state: Made, found: Process, action: a.WriteRound) -> Done | None:
        machine, old = self.machine, self.machine.round(state)
        if old.version != action.version:
            return None
        made = core.cas(old, CasRound("", holder="")) if action.clear_holder else old
        if action.desired is not None:
            made = core.replace(made, desired=action.desired)
        made = core.replace(made, version=core.after(old.version))
        broken = checks.desired(machine, state, made)
        state[0] = machine.tables.record(made)
        changes = (events.RoundSeen(made, events.Source.WATCH),)
        step = ("write", action.desired, action.clear_holder)
        return Done(state, step, a.ActionResults(done=[action]), broken, changes)

    def _delete_pod(self, state: Made, found: Process, action: a.DeletePod) -> Done:
        pod, objects = pod_of(action.uid), self.objects(state)
        life, deleted = objects.life(pod), ()
        if life == RUNS:
            self.put_objects(state, objects.with_pod(pod, DELETING))
            deleted = (pod,)
        elif life in (COMPLETED, FAILED):
            self.put_objects(state, objects.with_pod(pod, ""))
        results = a.ActionResults(done=[action])
        return Done(state, ("delete", pod), results, deleted=deleted)

    def _delete_lease(self, state: Made, found: Process, action: a.DeleteLease) -> Done:
        leases, results = self.machine.leases(state), a.ActionResults(done=[action])
        pod = Pod(*names.parse_pod_name(action.name))
        lease = core.find(leases, pod)
        if lease is None or lease.uid != action.uid:
            return Done(state, ("keep-lease", pod), results)
        changes = self.machine.without_lease(state, lease)
        return Done(state, ("delete-lease", pod), results, changes=changes)

    def _list_leases(self, state: Made, found: Process, action: a.ListLeases) -> Done:
        leases = a.LeaseList(self.machine.leases(state), {}, found.judged, 0.0)
        return Done(state, ("list",), a.ActionResults(done=[action], leases=leases))

    def _create_pod(self, state: Made, found: Process, action: a.CreatePod) -> Done:
        objects, results = self.objects(state), a.ActionResults(done=[action])
        if objects.life(action.pod):
            return Done(state, ("exists", action.pod), results)
        self.put_objects(state, objects.with_pod(action.pod, RUNS))
        return Done(state, ("start", action.pod), results, started=(action.pod,))


class Done(NamedTuple):
    """What an action has done. broken: the invariant that it breaks, or empty."""

    state: Made
    step: tuple[Any, ...]
    results: a.ActionResults
    broken: str = ""
    changes: tuple[events.Event, ...] = ()  # that watches deliver
    deleted: tuple[Pod, ...] = ()  # pods that receive SIGTERM
    started: tuple[Pod, ...] = ()
    is_new: bool = False  # a Lease has numbers above all others in the state


class Act(NamedTuple):
    """The effect of an action. parts: the round, the Leases, the objects, and the process."""

    step: tuple[Any, ...]
    parts: tuple[int, int, int, int]
    broken: str = ""
    changes: tuple[events.Event, ...] = ()
    deleted: tuple[Pod, ...] = ()
    started: tuple[Pod, ...] = ()
    is_new: bool = False


_DO: dict[type, Callable[[Operator, Made, Process, Any], Done | None]] = {
    Reserve: Operator._reserve,
    a.Mark: Operator._mark,
    a.WriteRound: Operator._write_round,
    a.DeletePod: Operator._delete_pod,
    a.DeleteLease: Operator._delete_lease,
    a.ListLeases: Operator._list_leases,
    a.CreatePod: Operator._create_pod,
}


def _without_plan(found: Process) -> Process:
    return replace(found, left=(), seen=None, n=0, judged=frozenset())


def _observed(pod: Pod, life: str, job: Job) -> ObservedPod:
    """A pod as a pass reads it."""
    has_ended = life in (COMPLETED, FAILED)
    container = WorkerContainer(ContainerState.RUNNING)
    if has_ended:
        reason = "Completed" if life == COMPLETED else "Error"
        container = WorkerContainer(
            ContainerState.TERMINATED, reason, exit_code=int(life == FAILED)
        )
    return ObservedPod(
        lease_name(pod),
        f"{process.UID}{letter(pod)}",
        pod,
        job.uid,
        job.template_hash,
        node(pod),
        container,
        all_terminated=has_ended,
        deleting=life == DELETING,
        grace_s=GRACE_S,
    )
