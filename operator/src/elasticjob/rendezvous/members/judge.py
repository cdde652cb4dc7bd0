"""Rule 7: who of the members is done, leaving or lost, who is a newcomer, who outside is silent.

Each condition is a named term. Its name begins with the number of its rule in docs/protocol.md. A
test can leave out a term by its name to show that the term is needed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Callable

from elasticjob.rendezvous import timing
from elasticjob.rendezvous.view import View
from elasticjob.wire.agent_state import AgentPhase
from elasticjob.wire.cause import CauseKind
from elasticjob.wire.dataclasses import dataclass, replace
from elasticjob.wire.desired import Desired
from elasticjob.wire.lease import AgentLease
from elasticjob.wire.member import Pod
from elasticjob.wire.round import Round

HAS_RUN = (AgentPhase.RUNNING, AgentPhase.DONE, AgentPhase.FAILED)


@dataclass(frozen=True)
class Case:
    """What the holder judges: one version of the Round, its view, and the time.

    round_at: when this n was first seen. delay_since: when its start delay began, if that was
    earlier. sees_since: when I was no longer blind. without: clauses left out.
    """

    round: Round
    desired: Desired
    view: View
    round_at: float
    now: float
    sees_since: float = -math.inf
    delay_since: float | None = None
    top: int = 0
    jitter: float = 0.0
    without: frozenset[str] = frozenset()

    def on(self, clause: str) -> bool:
        """Whether a clause is in force."""
        return clause not in self.without

    @property
    def accuses_at(self) -> float:
        """Rule 7: if I was blind, the API server was away, or I: everybody has 3T to be heard."""
        if not self.on("7-was-blind"):
            return -math.inf
        return self.sees_since + timing.silence_s(self.desired.heartbeat_s, timing.SILENT_PULSES)

    @property
    def delayed_since(self) -> float:
        """Since when the start delay of this round runs."""
        return self.round_at if self.delay_since is None else self.delay_since

    def lease(self, pod: Pod) -> AgentLease | None:
        """The Lease of a pod in the view, or None."""
        seen = self.view.seen.get(pod)
        return seen.lease if seen else None


@dataclass(frozen=True)
class Judgement:
    """What the holder found of each pod that it judges (docs/protocol.md, "Who judges whom").

    done, leaving, lost, failed, superfluous: members. newcomers: pods that could join.
    suspects: members and pods outside that would be lost or silent, were they confirmed by a GET.
    silent: pods outside of the round whose agents are silent; the holder reports them to the
    operator.
    """

    done: frozenset[Pod]
    leaving: frozenset[Pod]
    lost: Mapping[Pod, CauseKind]
    failed: frozenset[Pod]
    superfluous: frozenset[Pod]
    newcomers: frozenset[Pod]
    suspects: frozenset[Pod]
    silent: frozenset[Pod] = frozenset()

    @property
    def gone(self) -> frozenset[Pod]:
        """Members that the next round does not have."""
        return self.leaving | frozenset(self.lost)

    @property
    def charged_losses(self) -> frozenset[Pod]:
        """Lost members whose loss counts: all but those whose pods were deleted or taken away."""
        return frozenset(p for p, kind in self.lost.items() if kind is not CauseKind.POD_DELETED)


def judge(case: Case) -> Judgement:
    """The judgement of all agents that the holder judges: members, and pods outside."""
    wanted = {w.index: w.generation for w in case.desired.wanted}
    judged = judge_round(case, wanted)
    silent, doubtful = judge_outside(case, wanted)
    return replace(judged, silent=silent, suspects=judged.suspects | doubtful)


def judge_round(case: Case, wanted: Mapping[int, int]) -> Judgement:
    """The judgement of all members, in the order done, leaving, lost; and who could join them."""
    members = case.round.pods
    done = frozenset(p for p in members if is_done(case, p))
    leaving = frozenset(p for p in members - done if is_leaving(case, p))
    rest = members - done - leaving
    pulses = silence_pulses(case, rest)
    lost = {p: kind for p in sorted(rest) for kind in [loss(case, p, pulses)] if kind}
    unwanted = frozenset(p for p in members if wanted.get(p.index, p.generation + 1) > p.generation)
    stays = members - leaving - frozenset(lost)
    superfluous = unwanted & (stays - done)
    return Judgement(
        done=done,
        leaving=leaving,
        lost=lost,
        failed=frozenset(p for p in rest if says(case, p, AgentPhase.FAILED)),
        superfluous=superfluous,
        newcomers=newcomers(case, wanted, stays - superfluous),
        suspects=frozenset(p for p in rest if p not in lost and is_suspect(case, p, pulses)),
    )


# ---- members -------------------------------------------------------------------------------------


def says(case: Case, pod: Pod, *words: AgentPhase) -> bool:
    """Whether the pod's Lease says one of these words of the present n."""
    lease = case.lease(pod)
    return lease is not None and lease.state.phase in words and lease.state.n == case.round.n


def is_done(case: Case, pod: Pod) -> bool:
    """Rule 7: it says `done n`, of this n only (F1)."""
    if case.on("7-done-tagged"):
        return says(case, pod, AgentPhase.DONE)
    lease = case.lease(pod)
    return lease is not None and lease.state.phase is AgentPhase.DONE


def is_leaving(case: Case, pod: Pod) -> bool:
    """Rule 7: flagged. Judged before lost (V3)."""
    lease = case.lease(pod)
    if lease is None or not lease.state.leaving:
        return False
    return case.on("7-leaving-before-lost") or loss(case, pod, timing.SILENT_PULSES) is None


def loss(case: Case, pod: Pod, pulses: int) -> CauseKind | None:
    """Rule 7: why a member is lost, or None. Late and silent are confirmed by a GET (F13, V9)."""
    lease = case.lease(pod)
    if case.on("7-ended") and lease is not None and lease.ended:
        excused = lease.excused and case.on("7-excused")
        return CauseKind.POD_DELETED if excused else CauseKind.POD_ENDED
    if case.on("7-absent-is-silent") or lease is not None:
        suspicion = suspect(case, pod, pulses)
    else:
        return CauseKind.POD_SILENT
    if suspicion and (is_confirmed(case, pod, pulses) or not case.on("7-confirm")):
        return suspicion
    return None


def suspect(case: Case, pod: Pod, pulses: int) -> CauseKind | None:
    """Rule 7: late or silent, not yet confirmed. Never itself; nobody after it was blind (F16)."""
    if pod == case.view.own or case.now < case.accuses_at:
        return None
    if case.on("7-late") and is_late(case, pod):
        return CauseKind.POD_LATE
    if case.on("7-silent") and is_silent(case, pod, pulses):
        return CauseKind.POD_SILENT
    return None


def is_suspect(case: Case, pod: Pod, pulses: int) -> bool:
    """Whether a GET shall settle if this member is lost."""
    return suspect(case, pod, pulses) is not None and not is_confirmed(case, pod, pulses)


def is_confirmed(case: Case, pod: Pod, pulses: int) -> bool:
    """Rule 7: a GET has shown just this when it was late or silent already (F13)."""
    seen = case.view.seen.get(pod)
    if seen is None or not (case.on("7-late") and is_late(case, pod)):
        return is_confirmed_silent(case, pod, pulses)
    is_recent = seen.got_at >= case.accuses_at
    return is_recent and seen.got_at - starts_since(case, pod) >= start_deadline_s(case)


def is_late(case: Case, pod: Pod) -> bool:
    """Rule 7: not `running n` by the start deadline (F7, F10); without a Lease, that deadline after
    the Lease went, so that a live agent has the time to make it again."""
    is_over = case.now - starts_since(case, pod) >= start_deadline_s(case)
    return is_over and not says(case, pod, *HAS_RUN)


def starts_since(case: Case, pod: Pod) -> float:
    """Since when the start deadline of a member runs."""
    seen = case.view.seen.get(pod)
    is_absent = seen is not None and seen.lease is None
    return max(case.round_at, seen.changed_at) if seen and is_absent else case.round_at


def start_deadline_s(case: Case) -> float:
    """How long a member of this round may take until it runs."""
    return timing.start_deadline_s(case.desired, case.round)


def is_silent(case: Case, pod: Pod, pulses: int) -> bool:
    """Rule 7: its Lease is absent (V7) or unchanged over so many pulses, and as many T."""
    seen = case.view.seen.get(pod)
    if seen is None:
        return False  # an absent member gets an entry when the initial set is there
    quiet_s = timing.silence_s(case.desired.heartbeat_s, pulses)
    return case.view.pulses - seen.changed_pulse >= pulses and case.now - seen.changed_at >= quiet_s


def silence_pulses(case: Case, members: frozenset[Pod]) -> int:
    """Rule 7: nine pulses instead of three if the silent members sit on several nodes (F6).

    A member whose node was never seen counts as a node of its own.
    """
    quiet = [p for p in members if p != case.view.own and is_silent(case, p, timing.SILENT_PULSES)]
    places = {case.view.seen[p].node or p for p in quiet}
    several = len(places) > 1 and case.on("7-nine-pulses")
    return timing.SILENT_PULSES_NODES if several else timing.SILENT_PULSES


# ---- outside -------------------------------------------------------------------------------------


def judge_outside(case: Case, wanted: Mapping[int, int]) -> tuple[frozenset[Pod], frozenset[Pod]]:
    """Rule 7: the pods outside of the round that are silent, and those that a GET may prove so."""
    outside = judged_outside(case, wanted)
    pulses = silence_pulses(case, outside)
    suspected = {p for p in outside if case.now >= case.accuses_at and is_silent(case, p, pulses)}
    silent = frozenset(p for p in suspected if is_confirmed_silent(case, p, pulses))
    return silent, frozenset(suspected - silent)


def judged_outside(case: Case, wanted: Mapping[int, int]) -> frozenset[Pod]:
    """Rule 7: the pods outside of the round that the holder judges: wanted, with a Lease, and not
    ended. A pod without a Lease is the operator's to judge, as the holder cannot tell whether there
    is such a pod."""
    if not case.on("7-outside"):
        return frozenset()
    members = case.round.pods | {case.view.own}
    leases = (s.lease for pod, s in case.view.seen.items() if s.lease and pod not in members)
    terms = (_is_wanted, _is_not_ended)
    return frozenset(x.pod for x in leases if all(term(case, x, wanted) for term in terms))


def is_confirmed_silent(case: Case, pod: Pod, pulses: int) -> bool:
    """Rule 7: a GET has shown the Lease unchanged when it had been so for these pulses (F13)."""
    seen = case.view.seen.get(pod)
    if seen is None or seen.got_at < case.accuses_at:
        return False
    return seen.got_pulse - seen.changed_pulse >= pulses


# ---- newcomers -----------------------------------------------------------------------------------

Term = Callable[[Case, AgentLease, Mapping[int, int]], bool]


def _is_wanted(case: Case, lease: AgentLease, wanted: Mapping[int, int]) -> bool:
    """Rule 7: its index is wanted, and no higher generation than its own."""
    return wanted.get(lease.pod.index, lease.pod.generation + 1) <= lease.pod.generation


def _says_ready(case: Case, lease: AgentLease, wanted: Mapping[int, int]) -> bool:
    """Rule 7: it says `ready n` of this n: a stale Lease is nobody (F4, V10)."""
    return lease.state.phase is AgentPhase.READY and lease.state.n == case.round.n


def _is_staying(case: Case, lease: AgentLease, wanted: Mapping[int, int]) -> bool:
    """Rule 7: it is not leaving."""
    return not lease.state.leaving


def _is_not_ended(case: Case, lease: AgentLease, wanted: Mapping[int, int]) -> bool:
    """Rule 7: it is not ended: the operator saw its pod end, or gave it up (V10)."""
    return not lease.ended


def _is_heard(case: Case, lease: AgentLease, wanted: Mapping[int, int]) -> bool:
    """Rule 7: it is not silent: a dead agent's Lease may say `ready n` for ever (F4, V10)."""
    return lease.pod == case.view.own or not is_silent(case, lease.pod, timing.SILENT_PULSES)


NEWCOMER: tuple[tuple[str, Term], ...] = (
    ("7-new-wanted", _is_wanted),
    ("7-new-ready-n", _says_ready),
    ("7-new-not-leaving", _is_staying),
    ("7-new-not-ended", _is_not_ended),
    ("7-new-not-silent", _is_heard),
)


def newcomers(case: Case, wanted: Mapping[int, int], stays: frozenset[Pod]) -> frozenset[Pod]:
    """Rule 7: candidates, the newest of each index (V14), that no staying member has (V12).

    A superfluous member does not hold its index: by plan, its replacement takes its place.
    """
    terms = [term for name, term in NEWCOMER if case.on(name)]
    leases = [s.lease for pod, s in case.view.seen.items() if s.lease and pod not in stays]
    found = [lease.pod for lease in leases if all(term(case, lease, wanted) for term in terms)]
    if case.on("7-new-index-free"):
        held = {p.index for p in stays}
        found = [p for p in found if p.index not in held]
    if case.on("7-new-newest"):
        found = list({p.index: p for p in sorted(found)}.values())
    return frozenset(found)
