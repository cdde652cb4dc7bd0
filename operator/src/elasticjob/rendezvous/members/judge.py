"""Rule 7: which members are done, leaving or lost, and which pods outside are newcomers or silent.

A comment names each clause, with the number of its rule in docs/protocol.md. Tests leave out each
clause by its name, to show that it is needed (tests/support/mutants.py).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Callable

from elasticjob.rendezvous import timing
from elasticjob.rendezvous.now import Now
from elasticjob.rendezvous.view import View
from elasticjob.wire.agent_state import AgentPhase
from elasticjob.wire.cause import Cause, CauseKind
from elasticjob.wire.dataclasses import dataclass, replace
from elasticjob.wire.desired import Desired
from elasticjob.wire.lease import AgentLease
from elasticjob.wire.member import Pod
from elasticjob.wire.report import Report
from elasticjob.wire.round import Round

HAS_RUN = (AgentPhase.RUNNING, AgentPhase.DONE, AgentPhase.FAILED)


@dataclass(frozen=True)
class Case:
    """What the holder judges: one version of the Round Lease, its view, and the time."""

    round: Round
    desired: Desired
    view: View
    round_at: float  # when the holder first received a round with this n
    now: Now
    contact_since: float = -math.inf  # the end of the last time that the holder was blind
    delay_since: float | None = None  # when its start delay began; None: at round_at
    highest_n: int = 0  # of all rounds that the holder received
    jitter: float = 0.0
    own_cause: Cause | None = None  # the holder's own failure
    report: Report | None = None  # the last one that was written

    @property
    def suspects_from(self) -> float:
        """Rule 7: when suspicion is allowed: after it was blind, a holder waits for 3T."""
        silence_s = timing.silence_s(self.desired.heartbeat_s, timing.SILENT_PULSES)
        return self.contact_since + silence_s  # clause 7-was-blind

    @property
    def delay_began_at(self) -> float:
        """When the start delay of this round began."""
        return self.round_at if self.delay_since is None else self.delay_since

    def lease(self, pod: Pod) -> AgentLease | None:
        """The Lease of a pod in the view, or None."""
        seen = self.view.seen.get(pod)
        return seen.lease if seen else None


@dataclass(frozen=True)
class Judgement:
    """The holder's findings on the pods that it judges (docs/protocol.md, "Who judges whom")."""

    done: frozenset[Pod]  # members, like the next four
    leaving: frozenset[Pod]
    lost: Mapping[Pod, CauseKind]
    failed: frozenset[Pod]  # over the budget; some may be leaving or lost, too (F24)
    superfluous: frozenset[Pod]  # no longer wanted
    newcomers: frozenset[Pod]  # pods that the next round may add
    suspects: frozenset[Pod]  # members and pods outside that a GET may prove lost or silent
    silent: frozenset[Pod] = frozenset()  # pods outside; the holder reports them to the operator

    @property
    def removed(self) -> frozenset[Pod]:
        """The members that the next round does not have, as they are leaving or lost."""
        return self.leaving | frozenset(self.lost)

    @property
    def charged_losses(self) -> frozenset[Pod]:
        """The lost members whose loss is counted: all but those whose pods were deleted."""
        return frozenset(p for p, kind in self.lost.items() if kind is not CauseKind.POD_DELETED)


def judge(case: Case) -> Judgement:
    """Judge the members and the pods outside of the round."""
    wanted = {w.index: w.generation for w in case.desired.wanted}
    judged = judge_round(case, wanted)
    silent, doubtful = find_silent_outside(case, wanted)
    return replace(judged, silent=silent, suspects=judged.suspects | doubtful)


def judge_round(case: Case, wanted: Mapping[int, int]) -> Judgement:
    """Judge the members in the order done, leaving, lost, and find the newcomers."""
    members = case.round.pods
    done = frozenset(p for p in members if is_done(case, p))
    leaving = frozenset(p for p in members - done if is_leaving(case, p))
    rest = members - done - leaving
    pulses = silence_pulses(case, rest)
    lost = {p: kind for p in sorted(rest) for kind in [loss_kind(case, p, pulses)] if kind}
    unwanted = frozenset(p for p in members if wanted.get(p.index, p.generation + 1) > p.generation)
    stays = members - leaving - frozenset(lost)
    superfluous = unwanted & (stays - done)
    return Judgement(
        done=done,
        leaving=leaving,
        lost=lost,
        failed=frozenset(p for p in members if has_reported(case, p, AgentPhase.FAILED)),
        superfluous=superfluous,
        newcomers=newcomers(case, wanted, stays - superfluous),
        suspects=frozenset(p for p in rest if p not in lost and needs_get(case, p, pulses)),
    )


# ---- members -------------------------------------------------------------------------------------


def has_reported(case: Case, pod: Pod, *phases: AgentPhase) -> bool:
    """Whether the pod's Lease reports one of these phases for the current n."""
    lease = case.lease(pod)
    return lease is not None and lease.state.phase in phases and lease.state.n == case.round.n


def is_done(case: Case, pod: Pod) -> bool:
    """Rule 7: whether the member reports `done` for this n, not another (F1)."""
    return has_reported(case, pod, AgentPhase.DONE)  # clause 7-done-tagged


def is_leaving(case: Case, pod: Pod) -> bool:
    """Rule 7: whether the member's Lease reports `leaving`, which comes before lost (V3)."""
    lease = case.lease(pod)
    return lease is not None and lease.state.leaving  # clause 7-leaving-before-lost


def loss_kind(case: Case, pod: Pod, pulses: int) -> CauseKind | None:
    """Rule 7: why a member is lost, or None. A GET must confirm late and silent (F13, V9)."""
    lease = case.lease(pod)
    if lease is not None and lease.ended:  # clause 7-ended
        if lease.excused:  # clause 7-excused
            return CauseKind.POD_DELETED
        return CauseKind.POD_ENDED
    suspected = suspected_kind(case, pod, pulses)  # clause 7-absent-is-silent
    if suspected and not is_confirmed(case, pod, pulses):  # clause 7-confirm
        return None
    return suspected


def suspected_kind(case: Case, pod: Pod, pulses: int) -> CauseKind | None:
    """Rule 7: why a member may be lost, or None. The holder suspects no agent right after it was
    blind (F16), and never itself."""
    if pod == case.view.own or not case.now.has_come(case.suspects_from):
        return None
    if is_late(case, pod):
        return CauseKind.POD_LATE
    if is_silent(case, pod, pulses):  # clause 7-silent
        return CauseKind.POD_SILENT
    return None


def needs_get(case: Case, pod: Pod, pulses: int) -> bool:
    """Whether a GET must confirm that this member is lost."""
    return suspected_kind(case, pod, pulses) is not None and not is_confirmed(case, pod, pulses)


def is_confirmed(case: Case, pod: Pod, pulses: int) -> bool:
    """Rule 7: whether a GET returned this Lease while the member was late or silent (F13)."""
    seen = case.view.seen.get(pod)
    if seen is None or not is_late(case, pod):
        return is_confirmed_silent(case, pod, pulses)
    is_recent = seen.got_at >= case.suspects_from
    return is_recent and seen.got_at >= deadline_began_at(case, pod) + start_deadline_s(case)


def is_late(case: Case, pod: Pod) -> bool:
    """Rule 7: whether a member has not reported `running n` by the start deadline (F7, F10)."""
    if has_reported(case, pod, *HAS_RUN):
        return False
    deadline_at = deadline_began_at(case, pod) + start_deadline_s(case)
    return case.now.has_come(deadline_at)  # clause 7-late


def deadline_began_at(case: Case, pod: Pod) -> float:
    """When the start deadline of a member began: with the round, or when its Lease was deleted, so
    that a live agent has the time to create it again."""
    seen = case.view.seen.get(pod)
    is_absent = seen is not None and seen.lease is None
    return max(case.round_at, seen.changed_at) if seen and is_absent else case.round_at


def start_deadline_s(case: Case) -> float:
    """The time within which a member of this round must start its workers."""
    return timing.start_deadline_s(case.desired, case.round)


def is_silent(case: Case, pod: Pod, pulses: int) -> bool:
    """Rule 7: whether a Lease is absent (V7) or unchanged for this many pulses and as many T."""
    seen = case.view.seen.get(pod)
    if seen is None:
        return False  # the initial set gives an absent member an entry
    quiet_s = timing.silence_s(case.desired.heartbeat_s, pulses)
    has_missed = case.view.pulses - seen.changed_pulse >= pulses
    return has_missed and case.now.has_come(seen.changed_at + quiet_s)


def silence_pulses(case: Case, members: frozenset[Pod]) -> int:
    """Rule 7: nine pulses instead of three if the silent members are on several nodes (F6).

    A member that has reported no node counts as one more node.
    """
    silent = [p for p in members if p != case.view.own and is_silent(case, p, timing.SILENT_PULSES)]
    nodes = {case.view.seen[p].node or p for p in silent}
    if len(nodes) > 1:  # clause 7-nine-pulses
        return timing.SILENT_PULSES_NODES
    return timing.SILENT_PULSES


# ---- outside -------------------------------------------------------------------------------------


def find_silent_outside(
    case: Case, wanted: Mapping[int, int]
) -> tuple[frozenset[Pod], frozenset[Pod]]:
    """Rule 7: the silent pods outside of the round, and those that a GET may prove silent."""
    outside = pods_to_judge_outside(case, wanted)
    if not outside or not case.now.has_come(case.suspects_from):
        return frozenset(), frozenset()
    pulses = silence_pulses(case, outside)
    suspected = {p for p in outside if is_silent(case, p, pulses)}
    silent = frozenset(p for p in suspected if is_confirmed_silent(case, p, pulses))
    return silent, frozenset(suspected - silent)


def pods_to_judge_outside(case: Case, wanted: Mapping[int, int]) -> frozenset[Pod]:
    """Rule 7: the pods outside of the round that the holder judges: wanted, with a Lease, and not
    ended. The operator judges a pod without a Lease, as the holder does not see pods."""
    members = case.round.pods | {case.view.own}
    leases = (s.lease for pod, s in case.view.seen.items() if s.lease and pod not in members)
    terms = (_is_wanted, _is_not_ended)
    outside = frozenset(x.pod for x in leases if all(term(case, x, wanted) for term in terms))
    return outside  # clause 7-outside


def is_confirmed_silent(case: Case, pod: Pod, pulses: int) -> bool:
    """Rule 7: whether a GET returned the Lease unchanged after this many pulses (F13)."""
    seen = case.view.seen.get(pod)
    if seen is None or seen.got_at < case.suspects_from:
        return False
    return seen.got_pulse - seen.changed_pulse >= pulses


# ---- newcomers -----------------------------------------------------------------------------------

Term = Callable[[Case, AgentLease, Mapping[int, int]], bool]


def _is_wanted(case: Case, lease: AgentLease, wanted: Mapping[int, int]) -> bool:
    """Rule 7: whether the index of the agent is wanted, and no later generation of it."""
    return wanted.get(lease.pod.index, lease.pod.generation + 1) <= lease.pod.generation


def _is_ready_in_round(case: Case, lease: AgentLease, wanted: Mapping[int, int]) -> bool:
    """Rule 7: whether the agent reports `ready` for this n: the Lease is no old one (F4, V10)."""
    return lease.state.phase is AgentPhase.READY and lease.state.n == case.round.n


def _is_staying(case: Case, lease: AgentLease, wanted: Mapping[int, int]) -> bool:
    """Rule 7: whether the agent is not leaving."""
    return not lease.state.leaving


def _is_not_ended(case: Case, lease: AgentLease, wanted: Mapping[int, int]) -> bool:
    """Rule 7: whether the operator has not marked the agent as ended (V10)."""
    return not lease.ended


def _is_not_silent(case: Case, lease: AgentLease, wanted: Mapping[int, int]) -> bool:
    """Rule 7: whether the agent is not silent. The Lease of a dead one reports `ready n` for ever
    (F4, V10)."""
    return lease.pod == case.view.own or not is_silent(case, lease.pod, timing.SILENT_PULSES)


NEWCOMER: tuple[Term, ...] = (
    _is_wanted,  # clause 7-new-wanted
    _is_ready_in_round,  # clause 7-new-ready-n
    _is_staying,  # clause 7-new-not-leaving
    _is_not_ended,  # clause 7-new-not-ended
    _is_not_silent,  # clause 7-new-not-silent
)


def newcomers(case: Case, wanted: Mapping[int, int], stays: frozenset[Pod]) -> frozenset[Pod]:
    """Rule 7: the newest newcomer of each index (V14) that no staying member has (V12).

    A superfluous member does not keep its index: its replacement takes its place.
    """
    leases = [s.lease for pod, s in case.view.seen.items() if s.lease and pod not in stays]
    found = (x.pod for x in leases if all(term(case, x, wanted) for term in NEWCOMER))
    free = with_free_index(found, stays)
    free = frozenset({p.index: p for p in sorted(free)}.values())  # clause 7-new-newest
    return free


def with_free_index(pods: Iterable[Pod], stays: frozenset[Pod]) -> frozenset[Pod]:
    """Rule 7: the pods whose index no staying member has (V12)."""
    held = {p.index for p in stays}
    return frozenset(
        p
        for p in pods
        if p.index not in held  # clause 7-new-index-free
    )
