"""The ledger: which charges a job must have, from what happened in the world (invariant I4).

It is independent of the product's code for budgets, and knows no agent's view: what it knows are
the ends of workers and pods, the writes of Leases, and the wishes of users, each with its time. For
each round that is written it computes the results that docs/protocol.md allows, and raises
LedgerError for any other. The result is unique except where two machines see two events in either
order; a comment there gives the reason, and `slack_s` bounds how old a writer's view may be.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise

from elasticjob.rendezvous.timing import TRAINED_MS
from elasticjob.wire.agent_state import AgentPhase, AgentState
from elasticjob.wire.cause import CauseKind
from elasticjob.wire.desired import Desired
from elasticjob.wire.member import Pod
from elasticjob.wire.names import pod_name
from elasticjob.wire.round import Phase, Round

SILENT_T = 3  # without a sign of life for this many T, an agent may be taken for silent
ALLOWANCE_S = 15.0  # a start deadline is the grace, the start delay, 2T and this
ROUNDING_S = 0.01
LOSSES = frozenset({CauseKind.POD_ENDED, CauseKind.POD_SILENT, CauseKind.POD_LATE})
DEPARTURES = frozenset({CauseKind.LEAVING, CauseKind.POD_DELETED})
PLANNED = DEPARTURES | {CauseKind.SCALED, CauseKind.SUSPENDED}
KEPT = 64  # a round has the numbers of its last charges, and counts the others
HAS_RUN = (AgentPhase.RUNNING, AgentPhase.DONE, AgentPhase.FAILED)


class LedgerError(AssertionError):
    """A round charges something else than what happened."""


@dataclass(frozen=True)
class Said:
    """A version of an agent Lease. state None: it was deleted."""

    at: float
    state: AgentState | None


@dataclass
class Life:
    """What happened to one pod and its agent."""

    signs: list[float] = field(default_factory=list)  # writes of its Lease, and its pulses
    said: list[Said] = field(default_factory=list)
    received: dict[int, float] = field(default_factory=dict)  # when, by round
    crashed: dict[int, float] = field(default_factory=dict)  # the same for crashes of workers
    fatal: bool = False
    replaced_at: float = -math.inf  # when another agent claimed its role, as it sent no pulse
    marked_at: float = math.inf
    excused: bool = False  # by the mark
    ended: bool = False  # its container has ended, and the kubelet has reported this
    ended_excused: bool = False  # as the pod was deleted or disrupted


@dataclass(frozen=True)
class Incident:
    """A counted failure."""

    n: int  # the number of the charge
    what: str
    pod: str
    at_start: bool = False  # a crash before the job had trained


@dataclass
class Ledger:
    """The incidents of one job."""

    job: str
    slack_s: float = 1.0  # the longest time between what a writer saw last and its write
    lives: dict[Pod, Life] = field(default_factory=dict)
    incidents: dict[int, Incident] = field(default_factory=dict)
    carried: int = 0  # counted before the Round Lease was lost; their numbers are unknown
    written_at: dict[int, float] = field(default_factory=dict)
    departures: dict[int, str] = field(default_factory=dict)  # number -> the pod that left
    charged_by_operator: frozenset[int] = frozenset()
    trained: bool = False  # the last round says so
    first_written_at: float = math.inf  # when an agent wrote the first round
    reset_n: int = 0  # the last round that forgave charges
    is_over: bool = False

    # ---- what happened -----------------------------------------------------------------------

    def life(self, pod: Pod) -> Life:
        return self.lives.setdefault(pod, Life())

    def pod_created(self, pod: Pod) -> None:
        """A pod of this name was created. An older one is forgotten: the operator uses a name again
        only if the Lease, which shows that it was used, was deleted with the Round Lease."""
        self.lives.pop(pod, None)

    def lease_written(self, pod: Pod, state: AgentState, at: float, renews: bool) -> None:
        life = self.life(pod)
        if renews:
            life.signs.append(at)
        if not life.said or life.said[-1].state != state:
            life.said.append(Said(at, state))

    def lease_deleted(self, pod: Pod, at: float) -> None:
        self.life(pod).said.append(Said(at, None))

    def marked(self, pod: Pod, excused: bool, at: float) -> None:
        life = self.life(pod)
        life.marked_at, life.excused = min(life.marked_at, at), excused

    def pulsed(self, pod: Pod, at: float) -> None:
        self.life(pod).signs.append(at)

    def replaced(self, pod: Pod, at: float) -> None:
        """Another agent has claimed the holder role of this one."""
        self.life(pod).replaced_at = at

    def received(self, pod: Pod, n: int, at: float) -> None:
        self.life(pod).received.setdefault(n, at)

    def crashed(self, pod: Pod, n: int, at: float, fatal: bool) -> None:
        life = self.life(pod)
        life.crashed.setdefault(n, at)
        life.fatal = life.fatal or fatal

    def ended(self, pod: Pod, excused: bool) -> None:
        life = self.life(pod)
        life.ended, life.ended_excused = True, excused

    # ---- the count ---------------------------------------------------------------------------

    def counted(self) -> int:
        """The counted failures: those of agents, and the operator's that no round shares."""
        return len(set(self.incidents) | self.charged_by_operator) + self.carried

    def at_start(self) -> int:
        """The crashes before the job had trained."""
        return sum(i.at_start for i in self.incidents.values())

    def _check_count(self, round_: Round) -> None:
        numbers, known = round_.charged.numbers, set(self.incidents)
        older = len(known - numbers) + self.carried
        if not numbers <= known or older != round_.charged.older:
            raise LedgerError(f"I4 round {round_.n} has {round_.charged}, expected {self._book()}")

    def _book(self) -> str:
        known = ", ".join(f"{i.n} {i.what} {i.pod}" for _, i in sorted(self.incidents.items()))
        return f"[{known}] and {self.carried} without a number"

    def _forgive(self, n: int) -> None:
        self.incidents, self.carried, self.reset_n = {}, 0, n
        self.charged_by_operator = frozenset(k for k in self.charged_by_operator if k > n)

    # ---- rounds that agents write ------------------------------------------------------------

    def written(
        self, old: Round, new: Round, desired: Desired, writer: Pod, at: float, cut_off_s: float = 0
    ) -> None:
        """An agent has replaced the round. `desired` is exact, as the write was a CAS. cut_off_s:
        how long ago the last fault of the writer began, if it may still have an older view."""
        step = _Step(self, old, new, desired, writer, at, self.slack_s + cut_off_s)
        step.check_starts()
        kind = new.cause.kind if new.cause and new.cause != old.cause else None
        if new.phase is Phase.FAILED and kind not in LOSSES:
            step.check_failed()
        elif kind in LOSSES:
            step.check_loss()
        elif kind in DEPARTURES:
            step.check_departure()
        elif kind is None or kind in PLANNED:
            step.check_planned()
        else:
            step.check_crash()
        step.check_trained()
        self.first_written_at = min(self.first_written_at, at)
        self.trained = new.trained
        self.written_at[new.n] = at
        self.is_over = new.phase.is_terminal
        self._check_count(new)
        over = self.counted() > desired.max_restarts
        if over and new.phase is not Phase.FAILED and kind not in PLANNED and kind is not None:
            raise LedgerError(f"I6 round {new.n} is over the budget: {self._book()}")

    # ---- rounds that the operator writes -----------------------------------------------------

    def created(
        self, round_: Round, charged: frozenset[int], counted: int, allowed: set[int], at: float
    ) -> None:
        """The operator has created the round again, or replaced one that it does not accept."""
        if counted not in allowed:
            raise LedgerError(f"I4 round {round_.n} counts {counted}, expected {allowed}")
        numbers = round_.charged.numbers
        kept = {n: i for n, i in self.incidents.items() if n in numbers}
        self.incidents = kept | {
            n: Incident(n, "taken over", "", n in round_.charged.at_start)
            for n in numbers - self.incidents.keys()
        }
        self.carried, self.reset_n = round_.charged.older, round_.charged.forgiven
        self.charged_by_operator = frozenset(n for n in charged if n > self.reset_n)
        self.written_at[round_.n] = at

    def check_departures(self, charged: frozenset[int]) -> int:
        """The number of departures that the operator charges now, all without an excuse."""
        added = charged - self.charged_by_operator
        for n in added:
            name = self.departures.get(n)
            life = next((x for p, x in self.lives.items() if self.name(p) == name), None)
            if life is None or not life.ended or life.ended_excused:
                raise LedgerError(f"I4 the operator charges {n}, in which {name or 'none'} left")
        return len(added)

    def operator_charges(self, charged: frozenset[int]) -> None:
        """The operator has written the rounds that it charges."""
        self.check_departures(charged)
        for n in self.charged_by_operator - charged:
            if n > self.reset_n:
                raise LedgerError(f"I4 the operator no longer charges {n}")
        self.charged_by_operator = frozenset(n for n in charged if n > self.reset_n)

    def name(self, pod: Pod) -> str:
        return pod_name(self.job, pod.index, pod.generation)


def newest(numbers: Iterable[int]) -> frozenset[int]:
    """The numbers that a round has of these charges."""
    return frozenset(sorted(numbers)[-KEPT:])


@dataclass(frozen=True)
class _Step:
    """One write of a round by an agent."""

    ledger: Ledger
    old: Round
    new: Round
    desired: Desired
    writer: Pod
    at: float
    slack_s: float  # the view of this writer may be this old

    # ---- what the round claims ---------------------------------------------------------------

    def check_crash(self) -> None:
        """A crash: the same members, one charge more."""
        life = self.ledger.life(self.writer)
        crashed_at = life.crashed.get(self.old.n)
        if crashed_at is None or self.writer not in self.old.pods:
            self._fail("I4 charges a crash that did not happen")
        if self.new.members != self.old.members or self.new.phase is not Phase.ACTIVE:
            self._fail("rule 4: a crash changes the members")
        assert crashed_at is not None
        ran_s = crashed_at - life.received[self.old.n]
        self._forgive_after(ran_s, is_exact=True)
        self._charge("crash", self.writer)

    def check_loss(self) -> None:
        """Losses: one charge for all that one step found, without what they explain."""
        claimed = self._claimed()
        lost = {p for p in self._removed() if "lost" in self._classes(p)}
        if claimed not in lost:
            self._fail(f"I4 charges the loss of {claimed}, which is {self._classes(claimed)}")
        self._check_removed()
        self._forgive_after(self._ran_s())
        self._strike(claimed, lost)
        self._charge("loss", claimed)
        over = self.ledger.counted() > self.desired.max_restarts
        if over != (self.new.phase is Phase.FAILED):
            self._fail(f"I6 {self.new.phase} with {self.ledger.counted()} counted failures")

    def check_departure(self) -> None:
        """Departures: they charge nothing and strike nothing, and answer no crash over budget."""
        claimed = self._claimed()
        cause = self.new.cause
        assert cause is not None
        wanted = "leaving" if cause.kind is CauseKind.LEAVING else "deleted"
        if wanted not in self._classes(claimed):
            self._fail(f"{cause.kind.value}: {claimed} is {self._classes(claimed)}")
        lost = [p for p in self._must_go() if self._is_lost(p)]
        if lost:
            self._fail(f"I4 does not charge the loss of {lost}")
        self._check_removed()
        self._check_not_failed()
        if cause.kind is CauseKind.LEAVING and cause.n is not None:
            self.ledger.departures[cause.n + 1] = cause.pod
        self._forgive_after(self._ran_s())

    def check_planned(self) -> None:
        """Pods that join or are no longer wanted: nothing is charged, struck or forgiven."""
        if self.new.phase is Phase.ACTIVE:
            for pod in self.old.pods - self.new.pods:
                if self.desired.is_wanted(pod) and self.old.phase is Phase.ACTIVE:
                    self._fail(f"rule 8: drops {pod}, which is wanted")
        if self.new.phase is Phase.FORMING and self.desired.wanted and self.old.members:
            self._fail("rule 8: Forming without a reason")
        self._check_added()

    def check_failed(self) -> None:
        """Failed: a command that cannot be executed, or a crash over the budget."""
        if self.ledger.life(self.writer).fatal:
            self._charge("fatal crash", self.writer)
            return
        failed = [p for p in self.old.pods if self._reported(p, AgentPhase.FAILED)]
        if not any(self.old.n in self.ledger.life(p).crashed for p in failed):
            self._fail("I6 Failed without a crash in the last round")
        if not self._is_spent():
            self._fail(f"I6 Failed with {self.ledger.counted()} counted failures")
        self._charge("crash over the budget", self.writer)

    def _is_spent(self) -> bool:
        """Whether one more crash is over one of the budgets."""
        most = self.desired.max_start_restarts
        if self.ledger.counted() + 1 > self.desired.max_restarts:
            return True
        return most is not None and not self.ledger.trained and self.ledger.at_start() + 1 > most

    def check_trained(self) -> None:
        """A job has trained if a round of it has run for a minute."""
        ran_ms = 1000 * (self.at - min(self.ledger.first_written_at, self.at))
        if self.new.trained and ran_ms < TRAINED_MS:
            self._fail(f"trained after {ran_ms:.0f} ms")
        if self.old.trained and not self.new.trained:
            self._fail("no longer trained")
        cause = self.new.cause
        after_ms = cause.after_ms or 0 if cause and cause.n == self.old.n else 0
        if after_ms >= TRAINED_MS and not self.new.trained and self.new.phase is Phase.ACTIVE:
            self._fail(f"not trained after {after_ms} ms")

    def check_starts(self) -> None:
        """`starts` counts the rounds that a member has run, as the members have reported it."""
        starts = self.new.starts - (self.new.phase is Phase.ACTIVE)
        seen = [[self._has_run(x) for x in self._in_force(p)] for p in self.old.pods]
        must = self.old.phase is not Phase.ACTIVE or any(ran and all(ran) for ran in seen)
        may = any(any(ran) for ran in seen) or self.old.n in self.ledger.life(self.writer).crashed
        allowed = {self.old.starts} if must or may else set[int]()
        allowed |= set() if must else {max(0, self.old.starts - 1)}
        if starts not in allowed and not self.ledger.life(self.writer).fatal:
            self._fail(f"RESTARTS: {starts} starts, expected {allowed}")

    def _has_run(self, said: Said) -> bool:
        state = said.state
        return state is not None and state.phase in HAS_RUN and state.n == self.old.n

    # ---- the arithmetic ----------------------------------------------------------------------

    def _charge(self, what: str, pod: Pod) -> None:
        n = self.new.n
        at_start = what.startswith("crash") and not self.new.trained
        self.ledger.incidents[n] = Incident(n, what, self.ledger.name(pod), at_start)

    def _forgive_after(self, ran_s: float, is_exact: bool = False) -> None:
        """A round that ran for resetAfterSeconds forgives all charges.

        The writer decides before its request arrives, so a round of almost this age may or may not
        forgive.
        """
        if not self.ledger.counted():
            return
        reset_s, forgiven = self.desired.reset_after_s, self.new.charged.forgiven == self.old.n
        slack_s = ROUNDING_S if is_exact else self.slack_s
        must, may = ran_s >= reset_s + slack_s, ran_s >= reset_s - ROUNDING_S
        if (forgiven and not may) or (must and not forgiven):
            self._fail(f"I4 after {ran_s:.2f} s of round {self.old.n}: forgiven {forgiven}")
        if forgiven:
            self.ledger._forgive(self.old.n)

    def _strike(self, claimed: Pod, lost: set[Pod]) -> None:
        """Strike the charges above the lowest number that the lost members reported last.

        A late member may report once more after the GET that confirmed it. Of a Forming round only
        the first lost member is known, and another one may be found now or later.
        """
        must = {p for p in self._must_go() if self._is_lost(p)} | {claimed}
        options = {p: self._last_numbers(p) for p in lost}
        highest = min(max(options[p]) for p in must)
        allowed = {n for numbers in options.values() for n in numbers if n <= highest}
        kept = [{k: i for k, i in self.ledger.incidents.items() if k <= n} for n in sorted(allowed)]
        left = [k for k in kept if newest({*k, self.new.n}) == self.new.charged.numbers]
        if not left:
            self._fail(f"I4 strikes above none of {sorted(allowed)}: {self.new.charged}")
        self.ledger.incidents = left[0]

    def _last_numbers(self, pod: Pod) -> set[int]:
        """The numbers that this member may have reported last; without a Lease n-1."""
        last = [said.state for said in self._in_force(pod)]
        return {state.n if state else self.old.n - 1 for state in last} or {self.old.n - 1}

    # ---- who may be what ---------------------------------------------------------------------

    def _claimed(self) -> Pod:
        assert self.new.cause is not None
        found = [p for p in self.old.pods if self.ledger.name(p) == self.new.cause.pod]
        if not found:
            self._fail(f"{self.new.cause.pod} was no member of round {self.old.n}")
        return found[0]

    def _removed(self) -> frozenset[Pod]:
        """The members that may have been removed. A Forming round has none, and a Failed one those
        of the round before."""
        return self.old.pods - (self.new.pods if self.new.phase is Phase.ACTIVE else frozenset())

    def _must_go(self) -> frozenset[Pod]:
        """The members that were removed for certain, and not only as too few were left."""
        return self._removed() if self.new.phase is Phase.ACTIVE else frozenset()

    def _classes(self, pod: Pod) -> set[str]:
        """What this member may have been to the writer. Two events on two machines have no order,
        so a change within slack_s allows both."""
        life, since = self.ledger.life(pod), self.at - self.slack_s
        leaving = [bool(said.state and said.state.leaving) for said in self._in_force(pod)]
        if leaving and all(leaving):
            return {"leaving"}
        if life.marked_at <= since:
            return {"deleted" if life.excused else "lost"} | (
                {"leaving"} if any(leaving) else set()
            )
        found = {"leaving"} if any(leaving) else set()
        if life.marked_at <= self.at:
            found.add("deleted" if life.excused else "lost")
        if self._may_be_silent(life) or self._may_be_late(pod):
            found.add("lost")
        return found

    def _is_lost(self, pod: Pod) -> bool:
        """Whether this member was removed for no other reason than its loss."""
        return self.desired.is_wanted(pod) and self._classes(pod) == {"lost"}

    def _check_removed(self) -> None:
        for pod in self._must_go():
            if self.desired.is_wanted(pod) and not self._classes(pod):
                self._fail(f"rule 7: removes {pod}, which works")
        self._check_added()

    def _check_added(self) -> None:
        """Newcomers have reported `ready` for the last round, and their pods have not ended."""
        for pod in self.new.pods - self.old.pods:
            life, n = self.ledger.life(pod), self.old.n
            said = [x.state for x in self._in_force(pod) if x.state]
            ready = any(s.phase is AgentPhase.READY and s.n == n and not s.leaving for s in said)
            if not ready or life.marked_at < self.at - self.slack_s:
                self._fail(f"rule 7: adds {pod}, whose Lease reports {said}")

    def _check_not_failed(self) -> None:
        """No departure answers a crash that is over the budget."""
        since = self.at - self.slack_s
        if not self._is_spent():
            return
        for pod in self.old.pods:
            said = [x.state for x in self.ledger.life(pod).said[-1:] if x.at < since]
            if any(x.phase is AgentPhase.FAILED and x.n == self.old.n for x in said if x):
                self._fail(f"I4 a departure answers the crash of {pod}")

    def _in_force(self, pod: Pod) -> list[Said]:
        """The versions of the Lease that the writer may have seen last."""
        since, said = self.at - self.slack_s, self.ledger.life(pod).said
        older = [i for i, x in enumerate(said) if x.at <= since]
        return said[older[-1] if older else 0 :]

    def _reported(self, pod: Pod, *phases: AgentPhase) -> bool:
        said = (x.state for x in self.ledger.life(pod).said if x.state)
        return any(s.phase in phases and s.n == self.old.n for s in said)

    def _may_be_silent(self, life: Life) -> bool:
        """Whether the agent gave no sign of life for 3T, up to what the writer saw last, or has not
        renewed its Lease since its role was claimed."""
        quiet_s = SILENT_T * self.desired.heartbeat_s - ROUNDING_S
        since = self.at - self.slack_s
        older = [i for i, at in enumerate(life.signs) if at <= since]
        signs = [*life.signs[older[-1] if older else 0 :], self.at]
        if life.replaced_at >= signs[0]:
            return True
        return len(signs) == 1 or any(b - a >= quiet_s for a, b in pairwise(signs))

    def _may_be_late(self, pod: Pod) -> bool:
        """Whether the member had not reported that it runs by the start deadline."""
        grace_s = min(self.desired.stop_grace_s, self.desired.crash_grace_s)
        deadline_s = grace_s + self.old.delay_ms / 1000 + 2 * self.desired.heartbeat_s + ALLOWANCE_S
        if self._ran_s() < deadline_s - ROUNDING_S:
            return False
        ran = [x for x in self.ledger.life(pod).said if self._has_run(x)]
        return not ran or ran[0].at > self.at - self.slack_s

    def _ran_s(self) -> float:
        """How old the round was for its writer."""
        received = self.ledger.life(self.writer).received
        return self.at - received.get(self.old.n, self.ledger.written_at.get(self.old.n, 0.0))

    def _fail(self, why: str) -> None:
        raise LedgerError(f"{why} (round {self.new.n} after {self.old.n})")
