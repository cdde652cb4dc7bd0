"""The transitions of the whole system: agents, API server, operator, faults and time.

A state is (Round Lease, agent Leases, Env, Objects, Process, agent, Wire, agent, Wire, ...), each
the number of a part in `Tables`. All that no fault delays happens before time passes, in every
order. operator.py has the transitions of the operator.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from tests.model import checks, core
from tests.model.operator import OBJECTS, PROCESS, Operator
from tests.model.records import Clock, lease_uids, lease_versions, renewals
from tests.model.tables import NO_TIME, Env, Tables, Wire
from tests.support.meeting import kind_of
from tests.support.protocol import JOB, identity, letter, name

from elasticjob.rendezvous import events, new_agent
from elasticjob.rendezvous.actions import (
    CasRound,
    CreateLease,
    Exit,
    Pulse,
    ReadRound,
    ReopenStream,
    Start,
    Stop,
)
from elasticjob.wire.cause import Cause, CauseKind
from elasticjob.wire.desired import Desired
from elasticjob.wire.lease import AgentLease, RoundLease
from elasticjob.wire.member import Pod
from elasticjob.wire.round import Phase, Round

State = tuple[int, ...]
Step = tuple[Any, ...]  # a verb, and what it is about: `("perform", pod, 0)`

PAUSED, CUT, SLOW, DARK, LATE, AWAY = "paused", "cut", "slow", "dark", "late", "away"
FIRST = 5  # the place of the first agent in a state
EXITED_MS = 1000  # after the begin of the round; an error file is of its begin
RUNNING = ("running", "reported")  # workers; reported: one has written an error file
DEAD = 0  # in the place of an agent's state
PATIENT = (ReadRound, ReopenStream, CreateLease)  # repeated until there is an answer


@dataclass(frozen=True)
class Bounds:
    """What the search covers."""

    desired: Desired
    faults: int = 1
    kinds: tuple[str, ...] = ()
    longest: int = 4  # heartbeats that a fault lasts
    generations: int = 3  # of an index
    longest_delay_s: float = 2.0
    start_s: float = 0.0  # until the agent of a new pod makes its first step
    reduced: bool = True  # partial-order reduction
    forgets: bool = True  # the operator forgets what no later plan reads


class Next(NamedTuple):
    """One transition. broken: the invariant that it breaks, or empty."""

    step: Step
    state: State
    is_fault: bool
    broken: str


class Agent(NamedTuple):
    """One agent in a state: where it is, and its parts."""

    at: int
    part: int
    wire: Wire


class Reception(NamedTuple):
    """What an agent may receive next. parts: the agent after it, if no other part changes."""

    step: Step
    rest: Wire
    event: int
    parts: tuple[int, int] | None


class Machine:
    """The system within bounds."""

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        self.desired = bounds.desired
        self.heartbeat_s = bounds.desired.heartbeat_s
        self.tables = Tables()
        self.clock = Clock(bounds.desired, bounds.longest_delay_s)
        self._steps: dict[tuple[int, int], tuple[Any, ...]] = {}
        self._notified: dict[tuple[int, int, bool], int] = {}
        self._is_first: dict[tuple[int, int, int], bool] = {}
        self._left: dict[tuple[Any, ...], int] = {}
        self._is_old: dict[tuple[int, int], bool] = {}
        self._received: dict[tuple[int, int], list[Reception]] = {}
        self._aged: dict[tuple[int, float], int] = {}
        self._served: dict[tuple[int, ...], tuple[Any, ...]] = {}
        self.tick = self.tables.record(events.Tick())
        self.stats = {"steps of agents": 0, "requests": 0, "plans": 0}
        self.normal: Callable[[Any], State] = self.tables.normal
        self.operator = Operator(self)

    def continue_with(self, tables: Tables) -> None:
        """Use the parts of an earlier search."""
        self.tables = tables
        self.normal = tables.normal
        self.tick = tables.record(events.Tick())

    def with_faults(self, state: State, faults: int) -> State:
        """The state with another number of faults that may still happen."""
        return tuple(self._with_env(state, self.env(state)._replace(left=faults)))

    def first(self) -> State:
        """The job before its agents start."""
        tables = self.tables
        round_ = RoundLease("1", "uid-of-round", JOB.uid, self.desired, Round())
        env = Env(self.bounds.faults)
        state = [tables.record(round_), tables.record(()), tables.env(env), *self.operator.first()]
        for pod in self.desired.wanted:
            state += self._new_agent(pod)
        return self.normal(tuple(state))

    def _new_agent(self, pod: Pod, again: bool = False) -> list[int]:
        nonce = f"{'another' if again else 'nonce'}-{letter(pod)}"
        me, actions, wake = core.run_step(
            new_agent(identity(letter(pod), nonce=nonce), 0.0), events.Tick()
        )
        requests = tuple((self.tables.record(action, pod), NO_TIME) for action in actions)
        part = self.tables.agent(self.clock.aged(me, 0.0), wake)
        return [part, self.tables.wire(Wire(pod, nonce, requests=requests))]

    # ---- parts -------------------------------------------------------------------------------

    def env(self, state: State) -> Env:
        """The part of a state that is neither an agent's nor the API server's."""
        found: Env = self.tables.parts[state[2]]
        return found

    def round(self, state: State) -> RoundLease:
        """The Round Lease."""
        found: RoundLease = self.tables.parts[state[0]]
        return found

    def leases(self, state: State) -> core.Leases:
        """The agent Leases."""
        found: core.Leases = self.tables.parts[state[1]]
        return found

    def is_over(self, state: State) -> bool:
        """Whether the job has ended."""
        return self.round(state).round.phase.is_terminal

    def agents(self, state: State) -> Iterator[Agent]:
        """All agents, also those of which only requests are left."""
        parts = self.tables.parts
        for at in range(FIRST, len(state), 2):
            yield Agent(at, state[at], parts[state[at + 1]])

    def me(self, agent: Agent) -> Any:
        """The state of an agent that lives."""
        return self.tables.parts[agent.part][0]

    def wake(self, agent: Agent) -> float | None:
        """The time until the agent wants to act."""
        found: float | None = self.tables.parts[agent.part][1] if agent.wire.alive else None
        return found

    def without_ranks(self, moves: Iterable[tuple[Step, State]]) -> Iterator[Step]:
        """The same steps with the numbers that they had, and not their ranks."""

        def compared(state: State) -> State:
            return self.tables.normal(self.with_faults(state, 0))

        state = self.first()
        self.normal = tuple
        try:
            for step, target in moves:
                state, step = next(
                    (found.state, found.step)
                    for found in self.successors(state)
                    if found.step[0] == step[0] and compared(found.state) == compared(target)
                )
                yield step
        finally:
            self.normal = self.tables.normal

    # ---- transitions -------------------------------------------------------------------------

    def successors(self, state: State) -> Iterator[Next]:
        """Every transition from a state."""
        for first in self._first_to_move(state):
            moves = [found for found, _ in self._of_agent(state, first)]
            if all(found.state[OBJECTS] == state[OBJECTS] for found in moves):
                yield from moves
                yield from self._faults(state, first.at)
                return
        if self.is_after_faults(state):
            if self.operator.acts_alone(state):
                yield from self.operator.moves(state)
                return
            for agent in self.agents(state):
                key = (agent.part, state[agent.at + 1])
                if key not in self._is_old:
                    self._is_old[key] = self._receives_nothing_new(agent)
                if self._is_old[key]:
                    yield self._deliver(state, agent)
                    return
        can_wait = True
        for agent in self.agents(state):
            for found, urgent in self._of_agent(state, agent):
                yield found
                can_wait = can_wait and not urgent
        for found in self.operator.moves(state):
            yield found
            can_wait = can_wait and found.step[0] == "return"
        if can_wait:
            yield from self._wait(state)
        yield from self._faults(state)

    def _first_to_move(self, state: State) -> Iterator[Agent]:
        """Agents whose transitions commute with all others until they make one (README.md), unless
        one of them ends the agent, which the operator sees.

        Such an agent has something to receive, no request is under way that could bring it another
        answer, and no write of others can make anything else possible for it: its watch already has
        an event, which comes first, or delivers none.
        """
        env = self.env(state)
        if not self.bounds.reduced or env.finishing:  # the end of workers depends on other members
            return
        if env.left and not _NOT_LOCAL.isdisjoint(self.bounds.kinds):
            return
        for agent in self.agents(state):
            key = (agent.part, state[agent.at + 1], state[0])
            is_first = self._is_first.get(key)
            if is_first is None:
                is_first = self._is_first[key] = self._can_be_first(state, agent)
            if is_first:
                yield agent

    def _can_be_first(self, state: State, agent: Agent) -> bool:
        wire = agent.wire
        if not wire.alive or not self._are_settled(state, wire.requests):
            return False
        troubles = dict(wire.troubles)
        if PAUSED in troubles:
            return False
        receives = wire.listens and not (troubles.keys() & {SLOW, CUT, DARK})
        if receives:
            return bool(wire.stream)
        wake = self.wake(agent)
        is_due = wake is not None and wake <= 0
        return bool(wire.answers or wire.work) or is_due

    def _are_settled(self, state: State, requests: Iterable[tuple[int, float]]) -> bool:
        """Whether each request is a write of the Round Lease that is based on an old version.

        The API server refuses it at any time, and it changes nothing.
        """
        for action, _ in requests:
            record = self.tables.parts[action]
            if not isinstance(record, (CasRound, Pulse)):
                return False
            if record.version == self.round(state).version:
                return False
        return True

    def next(
        self, step: Step, state: list[int] | State, is_fault: bool = False, broken: str = ""
    ) -> Next:
        """A transition to a state, in its normal form."""
        return Next(step, self.normal(tuple(state)), is_fault, broken)

    def _of_agent(self, state: State, agent: Agent) -> Iterator[tuple[Next, bool]]:
        """What can happen to one agent now, and whether it must happen before time passes."""
        wire = agent.wire
        troubles = dict(wire.troubles)
        pod = wire.pod
        for kind, left_s in () if self.bounds.reduced else wire.troubles:
            if kind != DARK:
                healed = self._with(state, agent, _healed(wire, kind))
                yield self.next(("heal", pod, kind), healed), left_s <= 0
        cut = CUT in troubles
        for k, (action, due) in enumerate(wire.requests):
            first = all(wire.requests[j][0] != action for j in range(k))
            if not first:
                continue
            if not cut:
                for found in self._perform(state, agent, k):
                    yield found, due == NO_TIME
            if due == 0.0 and not isinstance(self.tables.parts[action], PATIENT):
                yield self._drop(state, agent, k), True
        if not wire.alive or PAUSED in troubles:
            return
        slow = SLOW in troubles or cut
        is_due = False
        for step, rest, event, parts in self._receptions(agent, state[agent.at + 1], slow):
            is_due = is_due or event == self.tick
            if parts is None:
                yield self._fed(step, state, agent, rest, event), True
            else:
                made = list(state)
                made[agent.at], made[agent.at + 1] = parts
                yield self.next(step, made), True
        if self._may_finish(state, agent):
            yield self._finish(state, agent), True
        if wire.deleted != NO_TIME:
            waits = is_due or wire.answers or wire.work or (wire.stream and not slow)
            yield from self._terminate(state, agent, bool(waits))

    def _terminate(self, state: State, agent: Agent, waits: bool) -> Iterator[tuple[Next, bool]]:
        """The kubelet ends the agent of a deleted pod: SIGTERM once it has nothing else to receive,
        and SIGKILL after its grace."""
        wire = agent.wire
        if not wire.leaving and not waits:
            event = self.tables.record(events.LeaveRequested())
            rest = wire._replace(leaving=True)
            yield self._fed(("terminate", wire.pod), state, agent, rest, event), True
        if wire.deleted <= 0:
            killed = self._ended(list(state), agent, wire, code=137)
            yield self.next(("kill", wire.pod), killed), True

    def _with(self, state: State | list[int], agent: Agent, wire: Wire) -> list[int]:
        made = list(state)
        made[agent.at + 1] = self.tables.wire(wire)
        return made

    def _deliver(self, state: State, agent: Agent) -> Next:
        wire = agent.wire
        rest = wire._replace(stream=wire.stream[1:])
        return self._fed(("deliver", wire.pod), state, agent, rest, wire.stream[0])

    def _receptions(self, agent: Agent, wire_id: int, slow: bool) -> list[Reception]:
        """What an agent may receive next; it depends on the parts of the agent alone."""
        key = (agent.part, wire_id)
        found = self._received.get(key)
        if found is None:
            found = self._received[key] = [
                Reception(step, rest, event, self._parts_after(agent, rest, event))
                for step, rest, event in self._receive(agent, slow)
            ]
        return found

    def _receive(self, agent: Agent, slow: bool) -> Iterator[tuple[Step, Wire, int]]:
        """An answer, an event of the watch, what the workers do, and that the agent is due."""
        wire, pod = agent.wire, agent.wire.pod
        for k, (kind, (event, *more)) in enumerate(wire.answers):
            left = ((kind, tuple(more)),) if more else ()
            rest = wire._replace(answers=wire.answers[:k] + left + wire.answers[k + 1 :])
            yield ("answer", pod, kind), rest, event
        if wire.stream and not slow:
            yield ("deliver", pod), wire._replace(stream=wire.stream[1:]), wire.stream[0]
        if wire.work:
            yield ("work", pod), *self._work(wire)
        wake = self.wake(agent)
        if wake is not None and wake <= 0:
            yield ("tick", pod), wire, self.tick

    def _work(self, wire: Wire) -> tuple[Wire, int]:
        """The supervisor has started or ended the workers."""
        action = self.tables.parts[wire.work[0]]
        rest = wire._replace(work=wire.work[1:])
        if isinstance(action, Stop):
            reaped = self.tables.record(events.WorkersReaped(action.n))
            return rest._replace(workers=None), reaped
        n = action.round.n
        if wire.workers == (n, "starting"):
            rest = rest._replace(workers=(n, "running"))
        return rest, self.tables.record(events.WorkersStarted(n, 10))

    def _parts_after(self, agent: Agent, wire: Wire, event: int) -> tuple[int, int] | None:
        """The parts of an agent after an event, if this changes no other part."""
        _, _, _, start_n, exit_code, _ = self._step(agent, wire.pod, event)
        if start_n or exit_code is not None:
            return None
        made, _ = self._feed([0] * agent.at + [0, 0], agent, wire, event)
        return made[agent.at], made[agent.at + 1]

    def _may_finish(self, state: State, agent: Agent) -> bool:
        """Whether the workers of an agent may end with 0: all members have started them."""
        env, wire = self.env(state), agent.wire
        if not env.finishing or wire.workers is None or wire.workers[1] != "running":
            return False
        n, round_ = wire.workers[0], self.me(agent).lease.round
        return round_.n == n and all((n, pod.index) in env.started for pod in round_.pods)

    def _finish(self, state: State, agent: Agent) -> Next:
        env, wire = self.env(state), agent.wire
        assert wire.workers is not None
        n, pod = wire.workers[0], wire.pod
        made = self._with_env(state, env._replace(finished=env.finished | {(n, pod)}))
        exited = self.tables.record(events.WorkerExited(n))
        made, _ = self._feed(made, agent, wire._replace(workers=None), exited)
        part = self.tables.parts[made[agent.at + 1]]
        reaped = self.tables.record(events.WorkersReaped(n))
        again = Agent(agent.at, made[agent.at], part)
        return self._fed(("finish", pod), made, again, part, reaped)

    def _fed(
        self, step: Step, state: State | list[int], agent: Agent, wire: Wire, event: int,
        is_fault: bool = False,
    ) -> Next:  # fmt: skip
        made, broken = self._feed(list(state), agent, wire, event)
        return self.next(step, made, is_fault, broken)

    def _feed(
        self, state: list[int], agent: Agent, wire: Wire, event: int
    ) -> tuple[list[int], str]:
        """An agent receives an event and makes a step."""
        part, requests, work, start_n, exit_code, seen_n = self._step(agent, wire.pod, event)
        broken = ""
        if seen_n > wire.seen_n:
            wire = wire._replace(seen_n=seen_n)
        if start_n:
            broken = checks.start(self.env_of(state), wire, start_n)
            env = self.env_of(state)
            started = env.started | {(start_n, wire.pod.index)}
            state[2] = self.tables.env(env._replace(started=started))
            wire = wire._replace(workers=(start_n, "starting"))
        if requests:
            due = self.heartbeat_s if CUT in dict(wire.troubles) else NO_TIME
            wire = wire._replace(requests=wire.requests + tuple((r, due) for r in requests))
        if work:
            wire = wire._replace(work=wire.work + work)
        state[agent.at] = part
        if exit_code is not None:
            return self._ended(state, agent, wire, exit_code), broken
        state[agent.at + 1] = self.tables.wire(wire)
        return state, broken

    def env_of(self, state: list[int]) -> Env:
        """The same of a state that is being made."""
        found: Env = self.tables.parts[state[2]]
        return found

    def _step(self, agent: Agent, pod: Pod, event: int) -> tuple[Any, ...]:
        """The effects of a step, each computed once."""
        key = (agent.part, event)
        found = self._steps.get(key)
        if found is None:
            found = self._steps[key] = self._make_step(agent, pod, event)
        return found

    def _make_step(self, agent: Agent, pod: Pod, event: int) -> tuple[Any, ...]:
        self.stats["steps of agents"] += 1
        record = self.tables.parts[event]
        me, actions, wake = core.run_step(self.tables.parts[agent.part][0], record)
        seen_n = 0
        if isinstance(record, events.RoundSeen):
            seen_n = record.lease.round.n
        requests, work, start_n, exit_code = [], [], 0, None
        for action in actions:
            if isinstance(action, Exit):
                exit_code = action.code
            elif isinstance(action, (Start, Stop)):
                work.append(self.tables.record(action, pod))
                start_n = action.round.n if isinstance(action, Start) else start_n
            else:
                requests.append(self.tables.record(action, pod))
        part = self.tables.agent(self.clock.aged(me, 0.0), wake)
        return part, tuple(requests), tuple(work), start_n, exit_code, seen_n

    def _ended(self, state: list[int], agent: Agent, wire: Wire, code: int) -> list[int]:
        """The agent has ended, and its kubelet reports it. Its requests may still arrive."""
        self.operator.ended(state, wire.pod, code)
        return self._gone(state, agent, wire.requests)

    def _gone(self, state: list[int], agent: Agent, requests: Any) -> list[int]:
        if not requests:
            del state[agent.at : agent.at + 2]
            return state
        wire = Wire(agent.wire.pod, agent.wire.nonce, alive=False, requests=requests)
        state[agent.at] = DEAD
        state[agent.at + 1] = self.tables.wire(wire)
        return state

    # ---- requests ----------------------------------------------------------------------------

    def _perform(self, state: State, agent: Agent, k: int, is_lost: bool = False) -> Iterator[Next]:
        """A request arrives at the API server. is_lost: its answer does not come back."""
        wire = agent.wire
        action, _ = wire.requests[k]
        record = self.tables.parts[action]
        kind = kind_of(record)
        step: Step = ("lose" if is_lost else "perform", wire.pod, kind)
        made, answers, changes, broken = self._serve(state, agent, action)
        if not wire.alive:
            rest = wire._replace(requests=wire.requests[:k] + wire.requests[k + 1 :])
            made = self._gone(made, agent._replace(wire=rest), rest.requests)
        elif isinstance(record, (ReadRound, ReopenStream)):
            rest = wire._replace(requests=wire.requests[:k] + wire.requests[k + 1 :])
            yield self._open(step, made, agent, rest, answers, broken)
            return
        else:
            key = (state[agent.at + 1], k, answers, is_lost)
            if key not in self._left:
                self._left[key] = self._answered(wire, k, answers, is_lost)
            made[agent.at + 1] = self._left[key]
        self._broadcast(made, changes)
        for after in self.operator.noted(made, state[0]):
            yield self.next(step, after, step[0] == "lose", broken)

    def _answered(self, wire: Wire, k: int, answers: tuple[int, ...], is_lost: bool) -> int:
        """What surrounds an agent after the API server has performed a request."""
        action, _ = wire.requests[k]
        record = self.tables.parts[action]
        rest = wire._replace(requests=wire.requests[:k] + wire.requests[k + 1 :])
        if is_lost:
            event = core.failed(record)
            answers = () if event is None else (self.tables.record(event, wire.pod),)
            if event is None:  # repeated until it is there
                rest = rest._replace(requests=((action, NO_TIME), *rest.requests))
        if answers:
            rest = rest._replace(answers=(*rest.answers, (kind_of(record), answers)))
        return self.tables.wire(rest)

    def _serve(
        self, state: State, agent: Agent, action: int
    ) -> tuple[list[int], tuple[int, ...], tuple[int, ...], str]:
        wire, new = agent.wire, None
        if isinstance(self.tables.parts[action], CreateLease):
            new = self._created(state, wire.pod)
        key = (state[0], state[1], action, new, hash(wire.nonce))
        found = self._served.get(key)
        if found is None:
            found = self._served[key] = self._make_effect(state, agent, action, new)
        round_, leases, answers, changes, next_ = found
        broken = ""
        made = list(state)
        made[0], made[1] = round_, leases
        if next_ is not None:
            broken = checks.write(self, state, next_)
        return made, answers, changes, broken

    def _created(self, state: State, pod: Pod) -> core.Created:
        domains = (lease_versions(pod), lease_uids(pod), renewals(pod))
        return core.Created(*(self.tables.top(state, each) + 1 for each in domains))

    def _make_effect(
        self, state: State, agent: Agent, action: int, new: core.Created | None
    ) -> tuple[Any, ...]:
        self.stats["requests"] += 1
        tables, pod = self.tables, agent.wire.pod
        who = identity(letter(pod), nonce=agent.wire.nonce)
        effect = core.serve(
            self.round(state), self.leases(state), new_agent(who, 0.0), agent.wire.nonce,
            tables.parts[action], new,
        )  # fmt: skip
        before = self.round(state)
        next_ = effect.round.round if effect.round.round is not before.round else None
        record = tables.parts[action]
        if isinstance(record, CasRound) and effect.round.version == before.version:
            next_ = None
        return (
            tables.record(effect.round),
            tables.record(effect.leases),
            tuple(tables.record(each, pod) for each in effect.answers),
            tuple(tables.record(each) for each in effect.changes),
            next_,
        )

    def _open(
        self, step: Step, made: list[int], agent: Agent, wire: Wire, answers: tuple[int, ...],
        broken: str,
    ) -> Next:  # fmt: skip
        """A new watch begins with all that there is; what the old one still had is dropped."""
        is_first = self.me(agent).lease is None
        troubles = tuple(each for each in wire.troubles if each[0] != DARK)
        wire = wire._replace(wide=len(answers) > 1, listens=True, troubles=troubles, stream=answers)
        if not is_first:
            return self.next(step, self._with(made, agent, wire), step[0] == "lose", broken)
        wire = wire._replace(stream=answers[1:])
        return self._fed(step, made, agent, wire, answers[0])

    def _broadcast(self, state: list[int], changes: tuple[int, ...]) -> None:
        is_last = self.is_after_faults(state)
        for change in changes:
            for at in range(FIRST, len(state), 2):
                key = (state[at + 1], change, is_last)
                if key not in self._notified:
                    self._notified[key] = self._with_change(*key)
                state[at + 1] = self._notified[key]

    def is_after_faults(self, state: State | list[int]) -> bool:
        """Whether the search is reduced, and no fault may begin any more."""
        return self.bounds.reduced and not self.tables.parts[state[2]].left

    def _with_change(self, part: int, change: int, is_last: bool) -> int:
        """What surrounds an agent after a change of which its watch delivers a version."""
        wire = self.tables.parts[part]
        is_round = isinstance(self.tables.parts[change], events.RoundSeen)
        receives = wire.alive and wire.listens and DARK not in dict(wire.troubles)
        if not receives or not (is_round or wire.wide):
            return part
        if is_last and self._is_of_another(wire, change) and self._holds_no_more(wire):
            return part
        return self.tables.wire(wire._replace(stream=(*wire.stream, change)))

    def _is_of_another(self, wire: Wire, event: int) -> bool:
        """Whether an event of a watch is about the Lease of another agent."""
        record = self.tables.parts[event]
        if not isinstance(record, (events.LeaseSeen, events.LeaseGone)) or record.by_get:
            return False
        lease = record.lease.name if isinstance(record, events.LeaseSeen) else record.name
        return bool(lease != name(letter(wire.pod)))

    def _holds_no_more(self, wire: Wire) -> bool:
        """Whether an agent that receives all of its watch does not judge others then: another one
        is the holder, and no complete view of the Leases follows."""
        for event in reversed(wire.stream):
            record = self.tables.parts[event]
            if isinstance(record, events.ViewComplete):
                return False
            if isinstance(record, events.RoundSeen):
                return bool(record.lease.holder != name(letter(wire.pod)))
        return False

    def _receives_nothing_new(self, agent: Agent) -> bool:
        """Whether the next event of the watch is about the Lease of another agent, and this agent
        judges none."""
        wire = agent.wire
        if not wire.alive or not wire.stream or wire.troubles:
            return False
        hold = self.me(agent).hold
        judges = hold is not None and hold.complete
        return not judges and self._is_of_another(wire, wire.stream[0])

    def _drop(self, state: State, agent: Agent, k: int, is_fault: bool = False) -> Next:
        """A request is lost on its way, or times out."""
        wire = agent.wire
        action, _ = wire.requests[k]
        event = core.failed(self.tables.parts[action])
        assert event is not None
        kind = kind_of(self.tables.parts[action])
        rest = wire._replace(requests=wire.requests[:k] + wire.requests[k + 1 :])
        if not wire.alive:
            return self.next(
                ("drop", wire.pod, kind), self._gone(list(state), agent, rest.requests)
            )
        failed = self.tables.record(event, wire.pod)
        rest = rest._replace(answers=(*rest.answers, (kind, (failed,))))
        return self.next(("drop", wire.pod, kind), self._with(state, agent, rest), is_fault)

    # ---- the operator ------------------------------------------------------------------------

    def returned(self, state: list[int]) -> Next:
        """The operator begins again."""
        env = self.env_of(state)._replace(away=NO_TIME)
        return self.next(("return",), self._with_env(state, env))

    def broadcast(self, state: list[int], change: events.Event) -> None:
        """All watches that have the object deliver a change."""
        self._broadcast(state, (self.tables.record(change),))

    def terminate(self, state: list[int], pod: Pod, grace_s: float) -> None:
        """The kubelet of a deleted pod ends its agent, if the node lives."""
        for at in range(FIRST, len(state), 2):
            wire = self.tables.parts[state[at + 1]]
            if wire.pod == pod and wire.alive:
                state[at + 1] = self.tables.wire(wire._replace(deleted=grace_s))

    def with_agent(self, state: list[int], pod: Pod) -> list[int]:
        """The agent of a new pod starts."""
        at = next((each.at for each in self.agents(tuple(state)) if each.wire.pod > pod), None)
        at = len(state) if at is None else at
        return [*state[:at], *self._replacement(pod), *state[at:]]

    def _replacement(self, pod: Pod) -> list[int]:
        """The agent of a new pod, which makes its first step now or after a time."""
        start_s = self.bounds.start_s
        if not start_s:
            return self._new_agent(pod)
        nonce = f"nonce-{letter(pod)}"
        me = new_agent(identity(letter(pod), nonce=nonce), 0.0)
        part = self.tables.agent(self.clock.aged(me, 0.0), start_s)
        return [part, self.tables.wire(Wire(pod, nonce))]

    def without_lease(self, state: list[int], lease: AgentLease) -> tuple[events.Event, ...]:
        """An agent Lease is deleted. Return what watches deliver."""
        left = tuple(each for each in self.leases(tuple(state)) if each.pod != lease.pod)
        state[1] = self.tables.record(left)
        return (events.LeaseGone(lease.name),)

    def _with_env(self, state: State | list[int], env: Env) -> list[int]:
        made = list(state)
        made[2] = self.tables.env(env)
        return made

    # ---- time --------------------------------------------------------------------------------

    def _wait(self, state: State) -> Iterator[Next]:
        """Time passes until something is due."""
        env = self.env(state)
        instants = [env.away] if env.away != NO_TIME else []
        again_s = self.operator.again_s(state)
        instants += [] if again_s is None else [again_s]
        for agent in self.agents(state):
            wire = agent.wire
            instants += [left_s for kind, left_s in wire.troubles if kind != DARK]
            instants += [due for _, due in wire.requests if due > 0]
            is_held = PAUSED in dict(wire.troubles)
            wake = self.wake(agent)
            if wake is not None and not is_held:
                instants.append(wake)
            if wire.deleted != NO_TIME and not is_held:
                instants.append(wire.deleted)
        if not instants:
            return
        by_s = round(min(instants), 6)
        if by_s <= 0:
            return
        broken = checks.rest(self, state) if is_good(self, state) else ""
        for made, healed in self._ends(self._later(state, by_s)):
            yield self.next(("wait", by_s, *healed), made, broken=broken)

    def _ends(self, state: list[int]) -> Iterator[tuple[list[int], tuple[Any, ...]]]:
        """The state with each choice of faults that end now, and these."""
        options: list[tuple[list[int], tuple[Any, ...]]] = [(state, ())]
        for agent in self.agents(tuple(state)) if self.bounds.reduced else ():
            for kind, left_s in agent.wire.troubles:
                if kind == DARK:
                    continue
                ended = []
                for made, healed in options:
                    wire = _healed(self.tables.parts[made[agent.at + 1]], kind)
                    ended.append((self._with(made, agent, wire), (*healed, agent.wire.pod, kind)))
                options = [*(options if left_s > 0 else ()), *ended]
        yield from options

    def _later(self, state: State, by_s: float) -> list[int]:
        made = list(state)
        env = self.env(state)
        if env.away != NO_TIME:
            made[2] = self.tables.env(env._replace(away=_left(env.away, by_s)))
        self.operator.later(made, by_s)
        for agent in self.agents(state):
            wire = agent.wire
            if _has_times(wire):
                is_held = PAUSED in dict(wire.troubles)
                later = wire._replace(
                    troubles=tuple((kind, _left(left_s, by_s)) for kind, left_s in wire.troubles),
                    requests=tuple((a, _left(due, by_s)) for a, due in wire.requests),
                    deleted=wire.deleted if is_held else _left(wire.deleted, by_s),
                )
                made[agent.at + 1] = self.tables.wire(later)
            if wire.alive:
                made[agent.at] = self._age(agent.part, by_s)
        return made

    def _age(self, part: int, by_s: float) -> int:
        found = self._aged.get((part, by_s))
        if found is None:
            me, wake = self.tables.parts[part]
            left = None if wake is None else max(0.0, round(wake - by_s, 6))
            found = self.tables.agent(self.clock.aged(me, by_s), left)
            self._aged[part, by_s] = found
        return found

    # ---- faults ------------------------------------------------------------------------------

    def _faults(self, state: State, at: int | None = None) -> Iterator[Next]:
        """The faults that may happen now; at: to this agent alone."""
        env = self.env(state)
        if not env.left or self.round(state).round.phase.is_terminal:
            return
        has_failures = any(kind in FAILURES for kind in self.bounds.kinds)
        is_only = self.bounds.faults == 1 and has_failures and is_good(self, state)
        for kind in self.bounds.kinds:
            after = env._replace(
                left=env.left - 1,
                may_charge=env.may_charge + (kind in CHARGED),
                must_charge=env.must_charge + (is_only and kind in FAILURES),
            )
            made = tuple(self._with_env(state, after))
            if kind == AWAY:
                if env.away == NO_TIME and at is None:
                    away = after._replace(away=self.bounds.longest * self.heartbeat_s)
                    made_away = self._with_env(state, away)
                    made_away[PROCESS] = self.tables.none
                    yield self.next((kind,), made_away, is_fault=True)
                continue
            if kind in _OF_THE_JOB:
                if at is None:
                    yield from _OF_THE_JOB[kind](self, made)
                continue
            for agent in self.agents(made):
                if at is not None and agent.at != at:
                    continue
                for found in _FAULTS[kind](self, made, agent):
                    yield found._replace(is_fault=True)

    def finishing(self, state: State) -> Iterator[Next]:
        """From now on workers may end with 0."""
        env = self.env(state)
        if not env.finishing:
            made = self._with_env(state, env._replace(finishing=True))
            yield self.next(("finishing",), made, is_fault=True)

    def scale(self, state: State) -> Iterator[Next]:
        """A user scales the job down by one pod."""
        objects = self.operator.objects(state)
        if objects.replicas > max(1, self.desired.min_members):
            yield self._edit(state, "scale", replicas=objects.replicas - 1)

    def suspend(self, state: State) -> Iterator[Next]:
        """A user suspends the job."""
        if not self.operator.objects(state).suspend:
            yield self._edit(state, "suspend", suspend=True)

    def _edit(self, state: State, verb: str, **spec: Any) -> Next:
        objects = self.operator.objects(state)._replace(**spec)
        return self.next((verb,), self.operator.put_objects(list(state), objects), is_fault=True)

    def crash(self, state: State, agent: Agent, fatal: bool = False) -> Iterator[Next]:
        """A worker fails. fatal: no restart cures it."""
        wire = agent.wire
        if wire.workers is None or wire.workers[1] not in RUNNING or _is_held(wire):
            return
        n = wire.workers[0]
        kind = CauseKind.START_FAILED if fatal else CauseKind.WORKER_FAILED
        after_ms = None if fatal else EXITED_MS
        cause = Cause(
            kind, name(letter(wire.pod)), code=126 if fatal else 1, n=n, after_ms=after_ms
        )
        event = self.tables.record(events.WorkerExited(n, cause, fatal))
        rest = wire._replace(workers=(n, "fatal" if fatal else "failed"))
        yield self._fed(("fatal" if fatal else "fail", wire.pod), state, agent, rest, event)

    def fatal(self, state: State, agent: Agent) -> Iterator[Next]:
        """The command cannot be executed."""
        yield from self.crash(state, agent, fatal=True)

    def report(self, state: State, agent: Agent) -> Iterator[Next]:
        """A worker writes an error file, before any other failure, and runs on."""
        wire = agent.wire
        if wire.workers is None or wire.workers[1] != "running" or _is_held(wire):
            return
        n = wire.workers[0]
        cause = Cause(CauseKind.WORKER_FAILED, name(letter(wire.pod)), n=n, after_ms=0)
        event = self.tables.record(events.FailureNoticed(n, cause))
        rest = wire._replace(workers=(n, "reported"))
        yield self._fed(("report", wire.pod), state, agent, rest, event)

    def die(self, state: State, agent: Agent) -> Iterator[Next]:
        """The node dies: no kubelet reports it."""
        if agent.wire.alive:
            yield self.next(("die", agent.wire.pod), self._gone(list(state), agent, ()))

    def end(self, state: State, agent: Agent) -> Iterator[Next]:
        """The container ends, and its kubelet reports it. A request may be under way."""
        wire = agent.wire
        if wire.alive:
            yield self.next(("end", wire.pod), self._ended(list(state), agent, wire, code=137))

    def leave(self, state: State, agent: Agent) -> Iterator[Next]:
        """SIGTERM, without a deletion."""
        wire = agent.wire
        if wire.alive and not wire.leaving and not _is_held(wire):
            event = self.tables.record(events.LeaveRequested())
            rest = wire._replace(leaving=True)
            yield self._fed(("leave", wire.pod), state, agent, rest, event)

    def restart(self, state: State, agent: Agent) -> Iterator[Next]:
        """Another incarnation starts in the same pod."""
        wire = agent.wire
        if not wire.alive or not wire.nonce.startswith("nonce"):
            return
        made = list(state)
        made[agent.at : agent.at + 2] = self._new_agent(wire.pod, again=True)
        yield self.next(("restart", wire.pod), made)

    def delete_lease(self, state: State, agent: Agent) -> Iterator[Next]:
        """A user deletes the agent Lease."""
        pod = agent.wire.pod
        lease = core.find(self.leases(state), pod)
        if agent.wire.alive and lease is not None:
            made = list(state)
            for change in self.without_lease(made, lease):
                self.broadcast(made, change)
            yield self.next(("delete-lease", pod), made)

    def lose(self, state: State, agent: Agent) -> Iterator[Next]:
        """The answer of a request that was performed is lost."""
        for k in range(len(agent.wire.requests)):
            if agent.wire.alive and CUT not in dict(agent.wire.troubles):
                record = self.tables.parts[agent.wire.requests[k][0]]
                if not isinstance(record, (ReadRound, ReopenStream)):
                    yield from self._perform(state, agent, k, is_lost=True)

    def drop(self, state: State, agent: Agent) -> Iterator[Next]:
        """A request is lost before it arrives."""
        for k in range(len(agent.wire.requests)):
            record = self.tables.parts[agent.wire.requests[k][0]]
            if agent.wire.alive and not isinstance(record, PATIENT):
                yield self._drop(state, agent, k)

    def delay(self, state: State, agent: Agent) -> Iterator[Next]:
        """A request arrives late, perhaps after the agent has given it up."""
        wire = agent.wire
        for k, (action, due) in enumerate(wire.requests):
            if due == NO_TIME:
                late = (action, self.heartbeat_s)
                requests = (*wire.requests[:k], late, *wire.requests[k + 1 :])
                rest = wire._replace(requests=requests)
                yield self.next(
                    ("delay", wire.pod, kind_of(self.tables.parts[action])),
                    self._with(state, agent, rest),
                )

    def _would_matter(self, state: State, agent: Agent, kind: str) -> bool:
        """Whether a fault would hold up anything now. If not, it begins later, and ends later."""
        wire = agent.wire
        if kind == PAUSED:
            wake = self.wake(agent)
            is_due = wake is not None and wake <= 0
            has_work = bool(wire.answers or wire.stream or wire.work) or is_due
            return has_work or wire.deleted != NO_TIME or self._may_finish(state, agent)
        if kind == CUT:
            return bool(wire.requests or wire.stream)
        return kind == DARK or bool(wire.stream)

    def _trouble(self, kind: str) -> Any:
        def begin(machine: Machine, state: State, agent: Agent) -> Iterator[Next]:
            wire = agent.wire
            if not wire.alive or kind in dict(wire.troubles):
                return
            if machine.bounds.reduced and not machine._would_matter(state, agent, kind):
                return
            left_s = machine.bounds.longest * machine.heartbeat_s
            troubles = tuple(sorted([*wire.troubles, (kind, NO_TIME if kind == DARK else left_s)]))
            requests = wire.requests
            if kind == CUT:
                requests = tuple((a, machine.heartbeat_s) for a, _ in requests)
            if kind == DARK and not wire.listens:
                return
            rest = wire._replace(troubles=troubles, requests=requests)
            yield machine.next((kind, wire.pod), machine._with(state, agent, rest))

        return begin


def _healed(wire: Wire, kind: str) -> Wire:
    """What surrounds an agent after the end of a fault. A request that is due may time out."""
    troubles = tuple(each for each in wire.troubles if each[0] != kind)
    requests = wire.requests
    if kind == CUT:
        requests = tuple((action, NO_TIME if due else due) for action, due in requests)
    return wire._replace(troubles=troubles, requests=requests)


def _is_held(wire: Wire) -> bool:
    return PAUSED in dict(wire.troubles)


def _has_times(wire: Wire) -> bool:
    has_due = any(due != NO_TIME for _, due in wire.requests)
    return bool(wire.troubles) or wire.deleted != NO_TIME or has_due


def _left(left_s: float, by_s: float) -> float:
    return left_s if left_s == NO_TIME else max(0.0, round(left_s - by_s, 6))


CHARGED = ("crash", "report", "fatal", "die", "end", "restart", "leave", "delay", PAUSED, CUT, SLOW)
FAILURES = ("crash", "report", "die", "end", "leave")  # each is counted if nothing else happens

_OF_THE_JOB: dict[str, Any] = {
    "finishing": Machine.finishing,
    "scale": Machine.scale,
    "suspend": Machine.suspend,
}
_FAULTS: dict[str, Any] = {
    "crash": Machine.crash,
    "report": Machine.report,
    "fatal": Machine.fatal,
    "die": Machine.die,
    "end": Machine.end,
    "leave": Machine.leave,
    "restart": Machine.restart,
    "delete-lease": Machine.delete_lease,
    "lose": Machine.lose,
    "drop": Machine.drop,
    "delay": Machine.delay,
    **{kind: Machine._trouble(None, kind) for kind in (PAUSED, CUT, SLOW, DARK)},  # type: ignore[arg-type]
}

# Faults after which an agent can do what it could not do before, or the operator sees it end.
_NOT_LOCAL = frozenset({"finishing", "end"})

# ---- states that may last ------------------------------------------------------------------------


def is_good(machine: Machine, state: State) -> bool:
    """I5: whether the job is over, or all is as the user wants it.

    Each wanted index has one agent, and no other agent lives; these agents run, or fewer than min
    live and the round is Forming. An index without a further generation within the bounds may lack
    its agent.
    """
    lease = machine.round(state)
    if lease.round.phase.is_terminal:
        return True
    live = {agent.wire.pod: agent.wire for agent in machine.agents(state) if agent.wire.alive}
    for pod, wire in live.items():
        is_ending = wire.leaving or wire.deleted != NO_TIME
        if wire.troubles or is_ending or not lease.desired.is_wanted(pod):
            return False
    if not machine.operator.is_content(state, live.keys()):
        return False
    if len(live) < max(1, lease.desired.min_members):
        return lease.round.phase is Phase.FORMING
    if lease.round.phase is not Phase.ACTIVE or set(lease.round.pods) != set(live):
        return False
    return all(wire.workers == (lease.round.n, "running") for wire in live.values())
