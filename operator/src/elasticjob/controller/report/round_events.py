"""The events of rounds: one for each round with members that has ended.

It names what ended the round, and how the job continues. It is written at once, and again when all
members of a later round run, with the time that the recovery took.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from elasticjob.api.v1alpha1 import ElasticJobStatus, RecentFailure
from elasticjob.controller.observe.rounds import PastRound
from elasticjob.controller.observe.snapshot import Snapshot
from elasticjob.controller.plan.restarts import departures
from elasticjob.controller.report import failure, recent_failures
from elasticjob.controller.report.journal import Note, note
from elasticjob.controller.report.pods.names import listed
from elasticjob.controller.report.texts import (
    COUNTED,
    COUNTED_AT_START,
    DELAY,
    NEVER_RAN,
    NOT_COUNTED,
    RUNS,
    STARTS,
    SUSPENDED,
    TEMPLATE_CHANGED,
    WAITS,
    WAITS_SUSPENDED,
    ready,
)
from elasticjob.rendezvous import budget
from elasticjob.wire.cause import CauseKind
from elasticjob.wire.desired import Desired
from elasticjob.wire.round import Phase

_OF_WORKERS = (
    CauseKind.WORKER_FAILED,
    CauseKind.WORKER_SIGNALED,
    CauseKind.WORKER_HUNG,
    CauseKind.START_FAILED,
    CauseKind.API_DARK,
    CauseKind.OTHER,
)
_REASONS = {
    **dict.fromkeys(_OF_WORKERS, "WorkersFailed"),
    CauseKind.POD_ENDED: "PodsLost",
    CauseKind.POD_SILENT: "PodsLost",
    CauseKind.POD_LATE: "PodsLost",
    CauseKind.POD_DELETED: "PodsLeft",
    CauseKind.LEAVING: "PodsLeft",
    CauseKind.SCALED: "MembersScaled",
    CauseKind.SUSPENDED: "WorkersStopped",
}


@dataclass(frozen=True)
class Ended:
    """A round with members that has ended."""

    n: int
    before: PastRound | None  # the round; None: the operator did not observe it
    after: tuple[PastRound, ...]  # the rounds with its cause

    @property
    def kind(self) -> CauseKind:
        """The kind of its cause."""
        cause = self.after[0].cause
        return cause.kind if cause else CauseKind.OTHER


def of(snapshot: Snapshot, reported: ElasticJobStatus, new: ElasticJobStatus) -> Iterator[Note]:
    """The rounds that have ended since the status that was reported, the last one again if the
    recovery has ended, and each again of which more is known: of its failure, or that the round
    after it has ended before it ran."""
    if snapshot.excess:  # a false round, which the operator replaces
        return
    ended = list(_ended(snapshot.rounds))
    seen_n = -1 if reported.round is None else reported.round
    yield from _not_seen(snapshot, seen_n)
    newest_n = snapshot.rounds[-1].n if snapshot.rounds else 0
    for each in ended:
        is_new = each.n >= seen_n and each.after[0].n <= newest_n
        is_corrected = _verdict(each.n, new) not in ((), _verdict(each.n, reported)) or (
            seen_n <= each.after[-1].n < (new.round or 0) and _has_not_run(snapshot, each, new)
        )
        has_recovered = each is ended[-1] and _has_recovered(reported, new)
        if is_new or is_corrected or has_recovered:
            made = _note(snapshot, each, reported, new)
            yield replace(made, is_correction=not is_new and not has_recovered)


def is_recovery(status: ElasticJobStatus) -> bool:
    """Whether all members of the current round run after a recovery, which the event of the ended
    round reports."""
    return status.last_recovery is not None and status.last_recovery.round == status.round


def _ended(rounds: Iterable[PastRound]) -> Iterator[Ended]:
    """The rounds that have ended, oldest first, but those that ended the job or never had members.

    The end of the job has an event, and its first round none.
    """
    known: dict[int, PastRound] = {}
    found: dict[int, Ended] = {}
    for round_ in rounds:
        before = known.get(round_.ended_n)
        known[round_.n] = round_
        if round_.ended_n in found:
            known_end = found[round_.ended_n]
            found[round_.ended_n] = replace(known_end, after=(*known_end.after, round_))
        elif _has_ended_one(round_, before):
            found[round_.ended_n] = Ended(round_.ended_n, before, (round_,))
    for each in found.values():
        if not each.after[0].phase.is_terminal:
            yield each


def _has_ended_one(round_: PastRound, before: PastRound | None) -> bool:
    """Whether this round follows one with members."""
    if round_.cause is None:
        return False
    if not recent_failures.is_planned(round_):
        return True
    if before is not None:
        return before.phase is Phase.ACTIVE
    return round_.starts > 1 and round_.cause.kind is CauseKind.SCALED


def _has_not_run(snapshot: Snapshot, ended: Ended, new: ElasticJobStatus) -> bool:
    """Whether the round after the one that has ended was Active, and has ended as well before all
    its members ran."""
    last = ended.after[-1]
    is_over = last.n < snapshot.rounds[-1].n and not snapshot.rounds[-1].phase.is_terminal
    return is_over and last.phase is Phase.ACTIVE and not _times(last, new)


def _has_recovered(reported: ElasticJobStatus, new: ElasticJobStatus) -> bool:
    return is_recovery(new) and reported.last_recovery != new.last_recovery


def _verdict(n: int, status: ElasticJobStatus) -> tuple[object, ...]:
    """What an event has of the failure that ended this round; empty if the status lists none."""
    found = _failure(n, status)
    if found is None:
        return ()
    return found.pod, found.rank, found.reason, found.counted, found.not_counted


def _failure(n: int, status: ElasticJobStatus) -> RecentFailure | None:
    return next((each for each in status.recent_failures or [] if each.round == n), None)


def _not_seen(snapshot: Snapshot, seen_n: int) -> Iterator[Note]:
    """Rounds that the operator did not read: it was away, or had to wait."""
    missing = list[int]()
    # The number of a round that the operator makes, far above all others, is in the status before.
    at = max(seen_n, snapshot.job.status.round or 0) if seen_n >= 0 else -1
    for round_ in snapshot.rounds:
        if at >= 0 and round_.n > at + 1:
            missing += (at + 1, round_.n - 1)
        at = max(at, round_.n)
    if missing:
        first, last = missing[0], missing[-1]
        charges = recent_failures.charges(snapshot) - {r.n for r in snapshot.rounds}
        yield note(
            "RoundsNotObserved",
            rounds=f"round {first}" if first == last else f"rounds {first} to {last}",
            counted=sum(first <= n <= last for n in charges),
        )


def _note(
    snapshot: Snapshot, ended: Ended, reported: ElasticJobStatus, new: ElasticJobStatus
) -> Note:
    found = _failure(ended.n, new)
    what = _what(found) if found else _plan(snapshot, ended, reported)
    parts = (what, _counted(snapshot, ended, found))
    made = note(
        _REASONS[ended.kind],
        round=ended.n,
        size=f" ({_members(ended.before.size)})" if ended.before else "",
        details="; ".join(part for part in parts if part),
        next=_next(snapshot, ended, new),
    )
    is_warning = made.warning or bool(found and found.counted)
    return replace(made, warning=is_warning, round=ended.n)


def _what(found: RecentFailure) -> str:
    """The pod that failed or left, and how."""
    where = f" on {found.node}" if found.node else ""
    parts = (failure.culprit(found) + where, found.reason or "", _message(found))
    return ": ".join(part for part in parts if part)


def _plan(snapshot: Snapshot, ended: Ended, reported: ElasticJobStatus) -> str:
    """The change of the spec that ended the round."""
    if ended.kind is not CauseKind.SUSPENDED:
        details = ended.after[0].details
        return (details and details.message) or ended.kind.value
    has_new_template = reported.template_hash not in (None, snapshot.job.template_hash)
    return TEMPLATE_CHANGED if has_new_template and not snapshot.spec.suspend else SUSPENDED


def _message(found: RecentFailure) -> str:
    """The first line of the message, and the exit code or signal if it has neither."""
    message = failure.headline(found)
    codes = (("exit code", found.exit_code), ("signal", found.signal))
    named = [f"{name} {value}" for name, value in codes if value is not None]
    if any(code in message for code in named) or (found.signal and "SIG" in message):
        named = []
    return "; ".join(part for part in (message, *named) if part)


def _counted(snapshot: Snapshot, ended: Ended, found: RecentFailure | None) -> str:
    """Whether the end of the round counts, and how much of the budget is used then."""
    if found is None or not found.counted:
        return NOT_COUNTED[found.not_counted] if found and found.not_counted else ""
    last = ended.after[-1]
    known = snapshot.lease.desired if snapshot.lease else Desired(())
    charged = frozenset(n for n in departures.charged(snapshot) if n <= last.n)
    used = budget.counted_failures(last.charged, replace(known, charged=charged))
    text = COUNTED.format(used=used, max_restarts=snapshot.spec.max_restarts)
    starts, most = budget.start_failures(last.charged, known), known.max_start_restarts
    is_of_start = not last.charged.at_start.isdisjoint({ended.n + 1, *(r.n for r in ended.after)})
    if not is_of_start or last.trained or most is None:
        return text
    return text + COUNTED_AT_START.format(starts=starts, most=most)


def _next(snapshot: Snapshot, ended: Ended, new: ElasticJobStatus) -> str:
    """How the job continues: it waits for pods, or a later round starts or runs."""
    last = ended.after[-1]
    if last.phase is not Phase.ACTIVE:
        if snapshot.spec.suspend:
            return WAITS_SUSPENDED
        return WAITS.format(ready=ready(snapshot.spec.min_replicas or snapshot.spec.replicas))
    change = _change(snapshot, ended.before, last) if ended.before else ""
    size = f"{_members(last.size)}{change}"
    after = DELAY.format(delay=f"{last.delay_ms / 1000:g}") if last.delay_ms else ""
    if times := _times(last, new):
        return RUNS.format(round=last.n, size=size, after=after, **times)
    if _has_not_run(snapshot, ended, new):
        return NEVER_RAN.format(round=last.n, size=size)
    return STARTS.format(round=last.n, size=size, after=after)


def _times(round_: PastRound, new: ElasticJobStatus) -> dict[str, int]:
    """The milliseconds of the recovery that led to this round, that of the start without the
    delay; empty while they are not known."""
    parts = ("detect", "stop", "rendezvous", "start", "total")
    found, known = new.last_recovery, round_.recovery
    if found is not None and found.round == round_.n:
        times = {part: getattr(found, f"{part}_millis") or 0 for part in parts}
    else:
        times = {part: getattr(known, f"{part}_ms") for part in parts} if known else {}
    return {**times, "start": max(0, times["start"] - round_.delay_ms)} if times else {}


def _change(snapshot: Snapshot, before: PastRound, after: PastRound) -> str:
    """The pods that are members of one of the rounds only."""
    changes = (
        ("without", before.members_without(after)),
        ("with", after.members_without(before)),
    )
    named = ((word, listed(snapshot.job, pods)) for word, pods in changes)
    text = ", ".join(f"{word} {names}" for word, names in named if names)
    return f" ({text})" if text else ""


def _members(number: int) -> str:
    return f"{number} member" if number == 1 else f"{number} members"
