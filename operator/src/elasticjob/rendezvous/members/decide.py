"""Rule 8: what the holder makes of the Round, as an ordered tuple of guards; the first wins."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import Callable, Union

from elasticjob.rendezvous import timing
from elasticjob.rendezvous.charges import after_healthy, counted, over_budget
from elasticjob.rendezvous.members.judge import HAS_RUN, Case, Judgement, says
from elasticjob.wire import names
from elasticjob.wire.cause import Cause, CauseKind
from elasticjob.wire.charges import Charges
from elasticjob.wire.dataclasses import replace
from elasticjob.wire.member import Member, Pod
from elasticjob.wire.round import Endpoint, Phase, Round


class Wait(Enum):
    """A guard's answer: nothing else is decided for now."""

    WAIT = "wait"


Outcome = Union[Round, Wait, None]
Guard = Callable[[Case, Judgement], Outcome]


def decide(case: Case, judgement: Judgement) -> Outcome:
    """The next round, or None. Rule 1: Succeeded and Failed never change."""
    if case.round.phase.is_terminal and case.on("1-terminal"):
        return None
    for name, guard in GUARDS:
        outcome = guard(case, judgement) if case.on(name) else None
        if outcome is not None:
            return outcome
    return None


# ---- guards --------------------------------------------------------------------------------------


def all_done(case: Case, judged: Judgement) -> Outcome:
    """Rule 8: all members done: Succeeded (F1, I6)."""
    if not case.round.members or case.round.pods - judged.done:
        return None
    return replace(case.round, n=next_n(case), phase=Phase.SUCCEEDED, cause=None, delay_ms=0)


def some_gone(case: Case, judged: Judgement) -> Outcome:
    """Rule 8: some members are lost or leave: the next round has the others.

    A loss is charged, and takes the place of the charges that it explains. A departure charges
    nothing, strikes nothing and shortens no delay (F20): what other pods' crashes cost stays. Nor
    does it answer a crash that is over the budget.
    """
    if not judged.gone or fails_first(case, judged):
        return None
    losses = judged.charged_losses if case.on("8-departures-strike-nothing") else judged.gone
    before = after_healthy(case.round, case.now - case.round_at, case.desired)
    charged = struck(case, losses, before.charged) if losses else before.charged
    charged = charged.with_charge(next_n(case)) if judged.charged_losses else charged
    base = replace(before, charged=charged, cause=cause_of(case, judged))
    if judged.charged_losses and counted(charged, case.desired) > case.desired.max_restarts:
        return replace(base, n=next_n(case), phase=Phase.FAILED, delay_ms=0)
    return next_round(case, base, judged, delay_ms=gone_delay_ms(case, judged, charged))


def fails_first(case: Case, judged: Judgement) -> bool:
    """Rule 8: a crash over the budget is not answered by departures alone (F9)."""
    is_loss = bool(judged.charged_losses) or not case.on("8-failed-before-departures")
    return not is_loss and bool(judged.failed) and over_budget(case.round, case.desired)


def failed_over_budget(case: Case, judged: Judgement) -> Outcome:
    """Rule 8: `failed n` over budget: Failed, once all are done or renewed after it (F9, V5).

    So a loss that explains the failure is found before the job is ended for it. Members that leave
    or were deleted have no more to say.
    """
    if not judged.failed or not over_budget(case.round, case.desired):
        return None
    noted = min(case.view.seen[p].order for p in judged.failed)
    rest = case.round.pods - judged.done - judged.failed - judged.gone
    if not all(has_spoken(case, p, noted) for p in rest) and case.on("8-failed-waits"):
        return Wait.WAIT
    first = min(judged.failed, key=lambda p: (failed_after_ms(case, p), p))
    lease = case.lease(first)
    cause = lease.state.cause if lease else None
    return replace(case.round, n=next_n(case), phase=Phase.FAILED, cause=cause, delay_ms=0)


def nobody_wanted(case: Case, judged: Judgement) -> Outcome:
    """Rule 8: no pod is wanted (suspended, new template): Forming, so that all stop and save.

    A Forming round that still has a delay gets one without: it was for the pods that go.
    """
    is_done = case.round.phase is Phase.FORMING and not case.round.delay_ms
    if case.desired.wanted or is_done:
        return None
    cause = Cause(CauseKind.SUSPENDED, message="no pod is wanted")
    return forming(case, replace(case.round, cause=cause), delay_ms=0)


def superfluous(case: Case, judged: Judgement) -> Outcome:
    """Rule 8: superfluous members, if at least min remain: the next round without them."""
    staying = staying_members(case, judged)
    if not any(p in judged.superfluous for p in case.round.pods - staying):
        return None
    cause = Cause(CauseKind.SCALED, message=f"{len(judged.superfluous)} members not wanted")
    return next_round(case, replace(case.round, cause=cause), judged)


def some_new(case: Case, judged: Judgement) -> Outcome:
    """Rule 8: newcomers, unless somebody is done (F14): when it is worth a restart."""
    joining = joining_pods(case, judged)
    if not joining or not is_worth(case, joining):
        return None
    cause = Cause(CauseKind.SCALED, message=f"{len(joining)} members join")
    if case.round.phase is Phase.FORMING:
        cause = case.round.cause or cause
    return next_round(case, replace(case.round, cause=cause), judged)


GUARDS: tuple[tuple[str, Guard], ...] = (
    ("8-all-done", all_done),
    ("8-gone", some_gone),
    ("8-failed", failed_over_budget),
    ("8-nobody-wanted", nobody_wanted),
    ("8-superfluous", superfluous),
    ("8-new", some_new),
)


# ---- the next round ------------------------------------------------------------------------------


def next_n(case: Case) -> int:
    """Rule 1: one more than the highest number that the writer knows."""
    return 1 + max(case.round.n, case.top)


def next_round(case: Case, base: Round, judged: Judgement, delay_ms: int = 0) -> Outcome:
    """Rule 8: the members without lost, leaving and superfluous ones, with the newcomers.

    Active n+1 if at least min, else Forming n+1. Waits if the lowest member's address is unknown.
    delay_ms: the start delay at least; what is left of the present round's delay is kept.
    """
    pods = staying_members(case, judged) | joining_pods(case, judged)
    delay_ms = max(delay_ms, remaining_delay_ms(case))
    if len(pods) < max(1, case.desired.min_members):
        return forming(case, base, remaining_delay_ms(case))
    members = tuple(sorted(member_of(case, p) for p in pods))
    master = master_of(case, members)
    if master is None:
        return Wait.WAIT
    return replace(
        base,
        n=next_n(case),
        phase=Phase.ACTIVE,
        members=members,
        master=master,
        delay_ms=delay_ms,
        starts=case.round.starts + 1,
    )


def forming(case: Case, base: Round, delay_ms: int) -> Round:
    """Forming n+1: it has no members, and no workers run. The next round keeps what is left of
    delay_ms."""
    n = next_n(case)
    return replace(base, n=n, phase=Phase.FORMING, members=(), master=None, delay_ms=delay_ms)


def remaining_delay_ms(case: Case) -> int:
    """Rule 8: what is left of the present round's start delay, in ms (F20).

    The delay belongs to the job, not to the members of one round: a pod that leaves or joins must
    not end it, nor a Forming round in between. Suspending the job ends it, and of course a member
    that has run this round already.
    """
    has_run = any(says(case, pod, *HAS_RUN) for pod in case.round.pods)
    if has_run or not case.on("8-keeps-delay"):
        return 0
    return timing.remaining_ms(case.round.delay_ms, case.now - case.delayed_since)


def staying_members(case: Case, judged: Judgement) -> frozenset[Pod]:
    """Rule 8: without gone and superfluous ones; those stay if fewer than min would remain."""
    present = case.round.pods - judged.gone
    kept = present - judged.superfluous
    enough = len(kept | _candidates(case, judged)) >= max(1, case.desired.min_members)
    return kept if enough or not case.on("8-superfluous-if-min") else present


def joining_pods(case: Case, judged: Judgement) -> frozenset[Pod]:
    """Rule 7: newcomers whose index no staying member has: a superfluous one may stay (V12)."""
    held = {p.index for p in staying_members(case, judged) if case.on("7-new-index-free")}
    return frozenset(p for p in _candidates(case, judged) if p.index not in held)


def _candidates(case: Case, judged: Judgement) -> frozenset[Pod]:
    """Rule 8: newcomers, unless somebody is done: nobody restarts what is finishing (F14)."""
    finishing = judged.done and case.on("8-new-unless-done")
    return frozenset() if finishing else judged.newcomers


def member_of(case: Case, pod: Pod) -> Member:
    """A pod as member: as it was, or as its Lease says."""
    old = case.round.member(pod)
    lease = case.lease(pod)
    if old is not None or lease is None:
        return old or Member(pod)
    return Member(pod, lease.state.workers, lease.state.role)


def master_of(case: Case, members: tuple[Member, ...]) -> Endpoint | None:
    """The lowest member's address and port base; None if it is not known."""
    lowest = members[0].pod
    if case.round.members and case.round.members[0].pod == lowest:
        return case.round.master
    lease = case.lease(lowest)
    if lease is None or not lease.state.address:
        return None
    return Endpoint(lease.state.address, lease.state.port_base)


# ---- charges and causes --------------------------------------------------------------------------


def struck(case: Case, lost: Iterable[Pod], charged: Charges) -> Charges:
    """Rule 8: the charges without every number above the lowest that the lost said (F8, W5).

    Without a Lease it is n-1. What failed after their last word failed because they were lost: one
    incident, one charge.
    """
    if not case.on("8-strike"):
        return charged
    n = case.round.n
    lowest = min(lease.state.n if lease else n - 1 for lease in map(case.lease, lost))
    return charged.struck_above(lowest if case.on("8-strike-all") else max(lowest, n - 1))


def gone_delay_ms(case: Case, judged: Judgement, charged: Charges) -> int:
    """Start delay of the round without the gone: by the charges, or for later departures."""
    delay_ms = 0
    if judged.charged_losses:
        delay_ms = timing.restart_delay_ms(counted(charged, case.desired), case.jitter)
    if judged.gone - judged.charged_losses:
        delay_ms = max(delay_ms, timing.LEAVE_DELAY_MS)
    return delay_ms


def cause_of(case: Case, judged: Judgement) -> Cause:
    """Names the first charged loss, else the first leaver, which the operator may yet charge, else
    the first deleted pod."""
    pod = min(judged.charged_losses or judged.leaving or judged.lost)
    kind = judged.lost.get(pod, CauseKind.LEAVING)
    seen = case.view.seen.get(pod)
    name = names.pod_name(case.view.job, pod.index, pod.generation)
    more = len(judged.gone) - 1
    message = _MESSAGES[kind] + (f"; and {more} more" if more else "")
    return Cause(kind, pod=name, node=seen.node if seen else "", message=message, n=case.round.n)


_MESSAGES = {
    CauseKind.POD_ENDED: "the pod ended",
    CauseKind.POD_DELETED: "the pod was deleted",
    CauseKind.POD_SILENT: "the agent was not heard",
    CauseKind.POD_LATE: "the workers were not started in time",
    CauseKind.LEAVING: "told to leave",
}


# ---- when ----------------------------------------------------------------------------------------


def is_worth(case: Case, joining: frozenset[Pod]) -> bool:
    """Rule 8, policy: at once when all wanted are there, else after the last call.

    A running round is not disturbed before the cooldown is over.
    """
    there = {p.index for p in case.round.pods | joining}
    forming_ = case.round.phase is Phase.FORMING
    if forming_ and len(joining) < max(1, case.desired.min_members):
        return False
    if not forming_ and case.now - case.round_at < case.desired.cooldown_s:
        return False
    if {w.index for w in case.desired.wanted} <= there:
        return True
    called_s = case.now - case.view.call_at if case.view.call_at is not None else 0.0
    return called_s >= timing.last_call_s(case.desired, case.round)


def calls(case: Case, judged: Judgement) -> bool:
    """Whether the last call runs: a round could begin that lacks somebody who is wanted."""
    joining = joining_pods(case, judged)
    if case.round.phase is Phase.FORMING:
        return len(joining) >= max(1, case.desired.min_members)
    return bool(joining)


def has_spoken(case: Case, pod: Pod, order: int) -> bool:
    """Whether a member has renewed since the note of this order; the holder is always heard."""
    seen = case.view.seen.get(pod)
    return pod == case.view.own or (seen is not None and seen.order > order)


def failed_after_ms(case: Case, pod: Pod) -> int:
    """When a member failed, in ms since the round began there; without a time: last."""
    lease = case.lease(pod)
    cause = lease.state.cause if lease else None
    after_ms = cause.after_ms if cause else None
    return after_ms if after_ms is not None else 1 << 62
