"""Rule 8: the next round, as an ordered tuple of guards. The first outcome is the decision."""

from __future__ import annotations

import math
from collections.abc import Iterable
from enum import Enum
from typing import Callable, Union

from elasticjob.rendezvous import timing
from elasticjob.rendezvous.budget import (
    counted_failures,
    forgive_if_healthy,
    is_budget_spent,
    with_training,
)
from elasticjob.rendezvous.members.first_cause import first_cause
from elasticjob.rendezvous.members.judge import (
    HAS_RUN,
    Case,
    Judgement,
    has_reported,
    with_free_index,
)
from elasticjob.wire import names
from elasticjob.wire.cause import Cause, CauseKind
from elasticjob.wire.charges import Charges
from elasticjob.wire.dataclasses import dataclass, replace
from elasticjob.wire.member import Member, Pod
from elasticjob.wire.report import JoinWaitKind
from elasticjob.wire.round import Endpoint, Phase, Round


class Wait(Enum):
    """An outcome that makes no round and skips the guards that follow."""

    WAIT = "wait"


Outcome = Union[Round, Wait, None]
Guard = Callable[[Case, Judgement], Outcome]


def decide(case: Case, judgement: Judgement) -> Outcome:
    """Rule 8: the next round of one that is not terminal, or Wait, or None."""
    for guard in GUARDS:
        outcome = guard(case, judgement)
        if outcome is not None:
            return noted_training(case, outcome) if isinstance(outcome, Round) else outcome
    return None


def noted_training(case: Case, next_: Round) -> Round:
    """The next round, marked as trained if the job has made progress or run for a minute."""
    has_trained = case.round.trained or has_run_for_a_minute(case) or case.view.has_trained
    return replace(next_, trained=True) if has_trained else with_training(next_, case.report, ())


def has_run_for_a_minute(case: Case) -> bool:
    """Whether a member runs the round, and its start delay has ended a minute ago."""
    runs_since = case.delay_began_at + case.round.delay_ms / 1000
    return has_run(case) and case.now.has_come(runs_since + timing.TRAINED_MS / 1000)


# ---- guards --------------------------------------------------------------------------------------


def all_done(case: Case, judged: Judgement) -> Outcome:
    """Rule 8: if all members are done, the job is Succeeded (F1, I6)."""
    if not case.round.members or case.round.pods - judged.done:
        return None
    return over(case, replace(case.round, cause=None), Phase.SUCCEEDED)


def some_lost_or_leaving(case: Case, judged: Judgement) -> Outcome:
    """Rule 8: if some members are lost or leaving, the next round has the others.

    A loss is charged, and strikes the charges that it explains. A departure charges nothing,
    strikes nothing and shortens no delay (F20). It does not answer a crash that is over the budget.
    """
    if not judged.removed or is_failure_first(case, judged):
        return None
    losses = judged.charged_losses  # clause 8-departures-strike-nothing
    before = forgive_if_healthy(case.round, case.now.at - case.round_at, case.desired)
    charged = strike_explained(case, losses, before.charged) if losses else before.charged
    charged = charged.with_charge(next_n(case)) if judged.charged_losses else charged
    base = replace(before, charged=charged, cause=cause_of(case, judged))
    is_one_too_many = counted_failures(charged, case.desired) > case.desired.max_restarts
    if judged.charged_losses and is_one_too_many:
        return over(case, base, Phase.FAILED)
    return next_round(case, base, judged, delay_ms=loss_delay_ms(case, judged, charged))


def is_failure_first(case: Case, judged: Judgement) -> bool:
    """Rule 8: whether a crash over the budget fails the job: no departure answers it (F9)."""
    if judged.charged_losses or not judged.failed:
        return False
    return is_over_budget(case, judged)  # clause 8-failed-before-departures


def is_over_budget(case: Case, judged: Judgement) -> bool:
    """Rule 8: whether the crash that these members have reported is one too many.

    Their agents came to the same result from what they have reported and from the holder's report.
    An agent that knows more, such as a higher budget, writes the next round by itself.
    """
    leases = map(case.lease, judged.failed)
    failures = [lease.state.cause for lease in leases if lease]
    round_ = with_training(case.round, case.report, failures)
    return is_budget_spent(round_, case.desired)


def failed_over_budget(case: Case, judged: Judgement) -> Outcome:
    """Rule 8: a member over the budget: Failed, once the others are done or have renewed (F9, V5).

    So a loss that explains the failure is found before the job fails. Leaving and lost members are
    not waited for.
    """
    if not judged.failed or not is_over_budget(case, judged):
        return None
    failed_order = min(case.view.seen[p].order for p in judged.failed)
    rest = case.round.pods - judged.done - judged.failed - judged.removed
    if not all(has_renewed_since(case, p, failed_order) for p in rest):  # clause 8-failed-waits
        return Wait.WAIT
    cause = first_cause(case, case.round.pods - judged.done)
    charged = case.round.charged.with_charge(next_n(case), at_start=not case.round.trained)
    return over(case, replace(case.round, cause=cause, charged=charged), Phase.FAILED)


def none_wanted(case: Case, judged: Judgement) -> Outcome:
    """Rule 8: if no pod is wanted (suspended, new template), Forming: all workers stop and save.

    A Forming round with a start delay is replaced by one without, as the delay was for these pods.
    """
    is_idle = case.round.phase is Phase.FORMING and not case.round.delay_ms
    if case.desired.wanted or is_idle:
        return None
    cause = Cause(CauseKind.SUSPENDED, message="the job is suspended or its template changed")
    return forming(case, replace(case.round, cause=cause), delay_ms=0)


def some_superfluous(case: Case, judged: Judgement) -> Outcome:
    """Rule 8: if at least min members remain, the next round drops the superfluous ones."""
    staying = staying_members(case, judged)
    if not any(p in judged.superfluous for p in case.round.pods - staying):
        return None
    members = number_of(len(judged.superfluous), "member")
    cause = Cause(CauseKind.SCALED, message=f"{members} no longer wanted")
    return next_round(case, replace(case.round, cause=cause), judged)


def some_newcomers(case: Case, judged: Judgement) -> Outcome:
    """Rule 8: add newcomers when a restart is due, unless a member is done (F14)."""
    joining = joining_pods(case, judged)
    if not joining or not is_restart_due(case, joining):
        return None
    cause = Cause(CauseKind.SCALED, message=f"{number_of(len(joining), 'pod')} added")
    if case.round.phase is Phase.FORMING:
        cause = case.round.cause or cause
    return next_round(case, replace(case.round, cause=cause), judged)


GUARDS: tuple[Guard, ...] = (
    all_done,  # clause 8-all-done
    some_lost_or_leaving,  # clause 8-lost-or-leaving
    failed_over_budget,  # clause 8-failed
    none_wanted,  # clause 8-none-wanted
    some_superfluous,  # clause 8-superfluous
    some_newcomers,  # clause 8-newcomers
)


# ---- the next round ------------------------------------------------------------------------------


def next_n(case: Case) -> int:
    """Rule 1: one more than the highest number that the writer has received."""
    return 1 + max(case.round.n, case.highest_n)


def next_round(case: Case, base: Round, judged: Judgement, delay_ms: int = 0) -> Outcome:
    """Rule 8: the members without lost, leaving and superfluous ones, with the newcomers.

    Active if there are at least min of them, else Forming. Wait if the lowest member has reported
    no address. The start delay is delay_ms, or the rest of the current one if that is longer.
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
        starts=starts_so_far(case) + 1,
    )


def starts_so_far(case: Case) -> int:
    """The rounds that a member has run, as the members have reported it: a round that was replaced
    before it ran started no workers."""
    is_unrun = case.round.phase is Phase.ACTIVE and not has_run(case)
    return max(0, case.round.starts - 1) if is_unrun else case.round.starts


def over(case: Case, base: Round, phase: Phase) -> Round:
    """The last round: Succeeded or Failed."""
    starts = starts_so_far(case)
    return replace(base, n=next_n(case), phase=phase, delay_ms=0, starts=starts, recovery=None)


def forming(case: Case, base: Round, delay_ms: int) -> Round:
    """A Forming round, which has no members. The round after it keeps what is left of delay_ms."""
    return replace(
        base,
        n=next_n(case),
        phase=Phase.FORMING,
        members=(),
        master=None,
        delay_ms=delay_ms,
        starts=starts_so_far(case),
    )


def has_run(case: Case) -> bool:
    """Whether a member has reported that it ran the current round."""
    return any(has_reported(case, pod, *HAS_RUN) for pod in case.round.pods)


def remaining_delay_ms(case: Case) -> int:
    """Rule 8: what is left of the current round's start delay, in ms (F20).

    A pod that leaves or joins does not end the delay, nor does a Forming round. A suspended job
    ends it, and a member that has run the round.
    """
    if has_run(case):
        return 0
    waited_s = case.now.at - case.delay_began_at
    return timing.remaining_ms(case.round.delay_ms, waited_s)  # clause 8-keeps-delay


def staying_members(case: Case, judged: Judgement) -> frozenset[Pod]:
    """Rule 8: the members that stay. Superfluous ones stay if fewer than min would remain."""
    remaining = case.round.pods - judged.removed
    kept = remaining - judged.superfluous
    number = len(kept | _candidates(case, judged))
    if number < max(1, case.desired.min_members):  # clause 8-superfluous-if-min
        return remaining
    return kept


def joining_pods(case: Case, judged: Judgement) -> frozenset[Pod]:
    """Rule 7: the newcomers whose index no staying member has, superfluous or not (V12)."""
    return with_free_index(_candidates(case, judged), staying_members(case, judged))


def _candidates(case: Case, judged: Judgement) -> frozenset[Pod]:
    """Rule 8: the newcomers; none if a member is done, as the job is about to succeed (F14)."""
    if judged.done:  # clause 8-new-unless-done
        return frozenset()
    return judged.newcomers


def member_of(case: Case, pod: Pod) -> Member:
    """The pod as a member: unchanged if it is one, else as its Lease reports it."""
    old = case.round.member(pod)
    lease = case.lease(pod)
    if old is not None or lease is None:
        return old or Member(pod)
    return Member(pod, lease.state.workers, lease.state.role)


def master_of(case: Case, members: tuple[Member, ...]) -> Endpoint | None:
    """The lowest member's address and port base; None if it has reported none."""
    lowest = members[0].pod
    if case.round.members and case.round.members[0].pod == lowest:
        return case.round.master
    lease = case.lease(lowest)
    if lease is None or not lease.state.address:
        return None
    return Endpoint(lease.state.address, lease.state.port_base)


# ---- charges and causes --------------------------------------------------------------------------


def strike_explained(case: Case, lost: Iterable[Pod], charged: Charges) -> Charges:
    """Rule 8: strike the charges above the lowest number that the lost members reported (F8, W5).

    A lost member without a Lease counts as n-1. What failed after its last report failed because of
    the loss: one incident, one charge.
    """
    n = case.round.n
    reported = (lease.state.n if lease else n - 1 for lease in map(case.lease, lost))
    lowest = min(reported)  # clause 8-strike-all
    return charged.struck_above(lowest)  # clause 8-strike


def loss_delay_ms(case: Case, judged: Judgement, charged: Charges) -> int:
    """The start delay after losses (by the charges) and departures (more may follow)."""
    delay_ms = 0
    if judged.charged_losses:
        delay_ms = timing.restart_delay_ms(counted_failures(charged, case.desired), case.jitter)
    if judged.removed - judged.charged_losses:
        delay_ms = max(delay_ms, timing.LEAVE_DELAY_MS)
    return delay_ms


def cause_of(case: Case, judged: Judgement) -> Cause:
    """The cause of a round without some members: the first charged loss, else the first leaving
    member, which the operator may charge later, else the first deleted pod."""
    pod = min(judged.charged_losses or judged.leaving or judged.lost)
    kind = judged.lost.get(pod, CauseKind.LEAVING)
    seen = case.view.seen.get(pod)
    name = names.pod_name(case.view.job, pod.index, pod.generation)
    more = len(judged.removed) - 1
    message = _MESSAGES[kind] + (f"; and {number_of(more, 'more pod')}" if more else "")
    return Cause(kind, pod=name, node=seen.node if seen else "", message=message, n=case.round.n)


def number_of(number: int, noun: str) -> str:
    """The number and the noun, in the plural if it is not 1."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


_MESSAGES = {
    CauseKind.POD_ENDED: "the pod ended",
    CauseKind.POD_DELETED: "the pod was deleted",
    CauseKind.POD_SILENT: "the agent did not renew its Lease in time",
    CauseKind.POD_LATE: "the workers did not start in time",
    CauseKind.LEAVING: "the pod received a termination signal",
}


# ---- when ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class JoinTime:
    """When newcomers may join, and what they wait for until then."""

    kind: JoinWaitKind
    at: float


def is_restart_due(case: Case, joining: frozenset[Pod]) -> bool:
    """Rule 8: whether newcomers are worth a restart now."""
    found = join_time(case, joining)
    return found is not None and case.now.has_come(found.at)


def join_wait(case: Case, judged: Judgement) -> JoinTime | None:
    """When the newcomers may join; None: there are none, too few for a round, or they need not
    wait."""
    joining = joining_pods(case, judged)
    found = join_time(case, joining) if joining else None
    return None if found is None or case.now.has_come(found.at) else found


def join_time(case: Case, joining: frozenset[Pod]) -> JoinTime | None:
    """Rule 8: when newcomers are worth a restart: at once if all wanted pods are there, else after
    the last call; in an Active round, not before the end of the cooldown. None: too few for a
    round."""
    present = {p.index for p in case.round.pods | joining}
    is_forming = case.round.phase is Phase.FORMING
    if is_forming and len(joining) < max(1, case.desired.min_members):
        return None
    cooldown_at = -math.inf if is_forming else case.round_at + case.desired.cooldown_s
    cooldown = JoinTime(JoinWaitKind.COOLDOWN, cooldown_at)
    if {w.index for w in case.desired.wanted} <= present:
        return cooldown
    since = case.view.last_call_since
    began_at = since if since is not None else case.now.at
    last_call_at = began_at + timing.last_call_s(case.desired, case.round)
    return max(cooldown, JoinTime(JoinWaitKind.LAST_CALL, last_call_at), key=lambda j: j.at)


def is_last_call(case: Case, judged: Judgement) -> bool:
    """Whether the last call runs: enough pods are there for a round, and wanted ones may come."""
    joining = joining_pods(case, judged)
    if case.round.phase is Phase.FORMING:
        return len(joining) >= max(1, case.desired.min_members)
    return bool(joining)


def has_renewed_since(case: Case, pod: Pod, order: int) -> bool:
    """Whether a member has renewed after the change of this order. The holder always has."""
    seen = case.view.seen.get(pod)
    return pod == case.view.own or (seen is not None and seen.order > order)
