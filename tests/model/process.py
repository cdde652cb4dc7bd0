"""What the operator's process remembers, and the job and pods as the API server has them.

The normal form drops what no later plan reads: README.md, "What the operator remembers".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from tests.support.protocol import JOB, pod

from elasticjob.controller.observe.memory import Lasting, Memory, Renewal, Since
from elasticjob.controller.observe.rounds import PastRound, past
from elasticjob.controller.plan import actions as a
from elasticjob.controller.plan import lost, missing, repeated
from elasticjob.controller.plan.restarts import departures
from elasticjob.rendezvous import timing
from elasticjob.wire import names
from elasticjob.wire.agent_state import AgentPhase, AgentState
from elasticjob.wire.cause import CauseKind
from elasticjob.wire.lease import AgentLease, RoundLease
from elasticjob.wire.member import Pod
from elasticjob.wire.round import Phase

RUNS, DELETING, COMPLETED, FAILED = "runs", "deleting", "completed", "failed"
GRACE_S = 10.0  # of pods: stopGraceSeconds, and what the agent needs
UID = "pod-uid-"

_SILENCE = (CauseKind.POD_SILENT, CauseKind.POD_LATE)


class Objects(NamedTuple):
    """The job and its pods at the API server."""

    replicas: int
    suspend: bool
    generations: str  # status.generations
    pods: tuple[tuple[Pod, str], ...]  # with what their kubelets have reported

    @property
    def job(self) -> tuple[int, bool, str]:
        """The fields of the job, of which each write makes another version."""
        return self[:3]

    def with_pod(self, pod_: Pod, life: str) -> Objects:
        """The objects with a pod in this state; empty: without it."""
        pods = [each for each in self.pods if each[0] != pod_]
        pods += [(pod_, life)] if life else []
        return self._replace(pods=tuple(sorted(pods)))

    def life(self, pod_: Pod) -> str:
        """The state of a pod; empty if it does not exist."""
        return dict(self.pods).get(pod_, "")


@dataclass(frozen=True)
class Reserve:
    """Write the next generations into the status, before their pods are created."""

    generations: str


@dataclass(frozen=True)
class Process:
    """What one process of the operator remembers."""

    memory: Memory
    rounds: tuple[PastRound, ...] = ()  # before the current one, that its watch has delivered
    pulse_at: float = 0.0  # when its watch delivered the last pulse, or since when it runs
    read: RoundLease | None = None  # which it has read, before it lists the pods
    left: tuple[Any, ...] = ()  # actions of the current plan
    seen: Objects | None = None  # from which they are planned
    n: int = 0  # of the round then, if one of them depends on it
    judged: frozenset[Pod] = frozenset()  # the pods that it judged then


def started() -> Process:
    """A process that has just begun."""
    return Process(Memory(JOB.uid))


def pod_of(uid: str) -> Pod:
    """The pod with this UID."""
    return pod(uid.removeprefix(UID))


# ---- time ----------------------------------------------------------------------------------------


class Ages:
    """How long ago an instant matters, by the settings of the job."""

    def __init__(self, heartbeat_s: float, stop_grace_s: float) -> None:
        self.no_pulse_s = timing.silence_s(heartbeat_s, timing.SILENT_PULSES_NODES)
        self.orphan_s = timing.silence_s(heartbeat_s, timing.SILENT_PULSES)
        self.silent_s = min(
            lost.SILENT_AFTER_S, timing.silence_s(heartbeat_s, 2 * timing.SILENT_PULSES)
        )
        self.listed_s = max(self.orphan_s, self.silent_s / (lost.SILENT_READS - 1))
        self.lasting = {
            Lasting.DELETING: GRACE_S + lost.STUCK_AFTER_S,
            Lasting.UNLISTED: stop_grace_s + self.no_pulse_s,
            Lasting.JUDGED: max(lost.LIST_LEASES_AFTER_S, lost.JOINS_WITHIN_S, self.silent_s),
            Lasting.ORPHANED: self.orphan_s,
        }

    def aged(self, process: Process, by_s: float = 0.0) -> Process:
        """The process after a time in which it made no pass. Its clock shows 0."""
        memory = process.memory
        listed_at = memory.leases_listed_at
        if listed_at is not None:
            listed_at = _moved(listed_at, by_s, self.listed_s)
            listed_at = None if listed_at <= -self.listed_s else listed_at
        aged = replace(
            memory,
            leases_listed_at=listed_at,
            renewals={p: self._renewal(x, by_s) for p, x in memory.renewals.items()},
            replacements=dict(_replacements(memory, by_s)),
            performed=dict(_performed(memory, by_s)),
            since=dict(self._since(memory, by_s)),
        )
        return replace(
            process, memory=aged, pulse_at=_moved(process.pulse_at, by_s, self.no_pulse_s)
        )

    def _renewal(self, renewal: Renewal, by_s: float) -> Renewal:
        bound_s = self.silent_s if renewal.renew_time else lost.JOINS_WITHIN_S
        return replace(renewal, at=_moved(renewal.at, by_s, bound_s))

    def _since(self, memory: Memory, by_s: float) -> Iterator[tuple[Since, float]]:
        """When each condition began. That of the last pulse is `pulse_at`, and a pod whose Lease is
        marked need not be deleted for a time to be stuck."""
        for each, at in memory.since.items():
            if each.condition is Lasting.SAME_PULSE:
                continue
            if each.condition is Lasting.DELETING and pod_of(each.uid) in memory.marked:
                continue
            yield each, _moved(at, by_s, self.lasting[each.condition])


def _moved(at: float, by_s: float, bound_s: float) -> float:
    return max(-bound_s, round(at - by_s, 6)) + 0.0


def _replacements(memory: Memory, by_s: float) -> Iterator[tuple[int, Any]]:
    """The replacements after which the next one of the index has to wait."""
    for index, found in memory.replacements.items():
        moved = replace(found, at=round(found.at - by_s, 6))
        if missing.next_replacement_at(moved) > 0:
            yield index, moved


def _performed(memory: Memory, by_s: float) -> Iterator[tuple[Any, Any]]:
    """The marks that may be repeated: any other action is about an object or a version that the
    action has changed."""
    moved = {x: replace(each, at=round(each.at - by_s, 6)) for x, each in memory.performed.items()}
    for action, each in repeated.after(moved, (), 0.0).items():
        if isinstance(action, a.Mark):
            yield action, each


# ---- what no later plan reads --------------------------------------------------------------------


def kept(memory: Memory, objects: Objects, n: int) -> Memory:
    """The memory without what no later plan reads. n: of the current round."""
    alive = {each for each, life in objects.pods if life in (RUNS, DELETING)}
    return replace(
        memory,
        orphans={p: _orphan(lease, n) for p, lease in memory.orphans.items()},
        renewals={p: renewal for p, renewal in memory.renewals.items() if p in alive},
    )


def _orphan(lease: AgentLease, n: int) -> AgentLease:
    """The Lease with what a plan reads: its UID, and the round that it reports if that is not an
    earlier one."""
    state = AgentState(AgentPhase.READY, lease.state.n if lease.state.n >= n else 0)
    return replace(
        lease, version="", nonce="", renew_time="", state=state, ended=True, excused=False
    )


def kept_rounds(
    rounds: tuple[PastRound, ...], lease: RoundLease, objects: Objects, memory: Memory
) -> tuple[PastRound, ...]:
    """The rounds before the current one, from the first one on which a plan depends.

    These are a round that dropped a living pod as silent, with the one before it, and one that a
    pod left which may still be charged for it.
    """
    line = [*rounds, past(lease.round)]
    lives = dict(objects.pods)
    alive = {p for p, life in lives.items() if life in (RUNS, DELETING) and p not in memory.marked}
    for k, found in enumerate(rounds):
        after = line[k + 1]
        dropped = (p for p in _dropped(found, after) if p in alive)
        if any(not any(later.has(p) for later in line[k + 1 :]) for p in dropped):
            return rounds[k:]
        if found.cause is not None and found.cause.kind is CauseKind.LEAVING:
            life = lives.get(Pod(*names.parse_pod_name(found.cause.pod)), "")
            is_charged = departures.charge_number(found) in lease.desired.charged
            if life not in ("", DELETING) and not is_charged:
                return rounds[k:]
    return ()


def _dropped(before: PastRound, after: PastRound) -> Iterator[Pod]:
    if after.cause is not None and after.cause.kind in _SILENCE:
        yield Pod(*names.parse_pod_name(after.cause.pod))
        if after.phase is Phase.ACTIVE:
            yield from before.members_without(after)


def lease_name(pod_: Pod) -> str:
    """The name of a pod and of its Lease."""
    return names.pod_name(JOB.name, pod_.index, pod_.generation)
