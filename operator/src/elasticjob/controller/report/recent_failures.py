"""The last failures of a job (`status.recentFailures`), newest first.

The status is the only memory of them. Each is identified by the number of the round that it ended,
so a status that is computed again, after a write without an answer, has the same list.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from elasticjob.api.v1alpha1 import ElasticJobStatus, LastFailure, RecentFailure
from elasticjob.controller.observe.rounds import PastRound
from elasticjob.controller.observe.snapshot import Snapshot
from elasticjob.controller.plan.lost import BLAMED_TOO_OFTEN
from elasticjob.controller.plan.restarts import blame, departures
from elasticjob.controller.report import failure
from elasticjob.wire.cause import CauseKind, clip
from elasticjob.wire.charges import Charges
from elasticjob.wire.round import Phase

KEPT = 10
LONGEST_MESSAGE = 256  # bytes
UNKNOWN = "Unknown"
NOT_OBSERVED = "the operator did not observe this failure"
EXCUSED, EXPLAINED, UNDECIDED = "DeletedOrEvicted", "FollowedPodLoss", "PodEndUnknown"
REPLACED = "ReplacedForFailures"
# In a status that an operator of an earlier release has written.
_EARLIER = {"Excused": EXCUSED, "Explained": EXPLAINED, "Undecided": UNDECIDED}
_OF_WORKERS = {kind.value for kind in blame.OF_WORKERS}
_PLANNED = (CauseKind.SCALED, CauseKind.SUSPENDED)


def of(snapshot: Snapshot) -> list[RecentFailure]:
    """The failures in the status, and those of later rounds. What is known of each is updated while
    its round or its pod is known."""
    known = _known(snapshot.job.status)
    rounds, charged = _failed_rounds(snapshot), charges(snapshot)
    found = [*_new(snapshot, known, rounds, charged), *known][:KEPT]
    found = [_updated(snapshot, each, rounds.get(each.round or 0, ()), charged) for each in found]
    if not any(each.not_counted == EXCUSED for each in found):
        return found
    replaced = _replaced_for_failures(snapshot, found)
    return [_with_reason(each, replaced) for each in found]


def last(snapshot: Snapshot, recent: list[RecentFailure]) -> LastFailure | None:
    """The newest failure that counts, with its long message; else the one in the status."""
    known = snapshot.job.status.last_failure
    newest = next((each for each in recent if each.counted), None)
    if newest is None:
        return known
    found = LastFailure.model_validate({name: getattr(newest, name) for name in _FIELDS})
    messages = [found.message or ""]
    if known and all(getattr(known, name) == getattr(newest, name) for name in _IDENTITY):
        messages.append(known.message or "")
    if rounds := _failed_rounds(snapshot).get(newest.round or 0):
        messages.append(failure.of_round(snapshot, rounds[0]).message or "")
    # How the pod ended may be known later than the cause of the round, or no longer.
    return found.model_copy(update={"message": max(messages, key=len) or None})


def in_current_words(status: ElasticJobStatus) -> ElasticJobStatus:
    """The status with the words of this release, if an earlier one has written it."""
    if not any(each.not_counted in _EARLIER for each in status.recent_failures or []):
        return status
    found = [_renamed(each) for each in status.recent_failures or []]
    return status.model_copy(update={"recent_failures": found})


def charges(snapshot: Snapshot) -> frozenset[int]:
    """The numbers of the rounds that count against the budget, as agents and operator see them."""
    if not snapshot.rounds:
        return frozenset()
    charged = snapshot.rounds[-1].charged
    by_operator = (n for n in departures.charged(snapshot) if n > charged.forgiven)
    pardoned = snapshot.lease.desired.pardoned if snapshot.lease else frozenset()
    return charged.numbers.union(by_operator) - pardoned


def not_observed(snapshot: Snapshot, charged: frozenset[int]) -> frozenset[int]:
    """Those of these charges that are newer than the round in the status. A charge above the
    current round is false: code in a worker has written it."""
    seen_n = -1 if snapshot.job.status.round is None else snapshot.job.status.round
    newest_n = snapshot.rounds[-1].n if snapshot.rounds else 0
    return frozenset(n for n in charged if max(seen_n, 0) < n <= newest_n)


def is_planned(round_: PastRound) -> bool:
    """Whether the user has caused this round, or nothing has ended the one before."""
    return round_.cause is None or round_.cause.kind in _PLANNED


def _replaced_for_failures(snapshot: Snapshot, found: list[RecentFailure]) -> set[str]:
    """The pods that the operator deletes because they are blamed too often. The list of failures
    still shows this when a pod has been replaced, and the blame of its index is gone."""
    listed = Counter(x.pod for x in found if x.pod and x.counted and x.reason in _OF_WORKERS)
    blamed = ((snapshot.newest_pod(i), n) for i, n in blame.counts(snapshot).items())
    by_blame = {snapshot.job.pod_name(pod): n for pod, n in blamed if pod}
    return {name for name, n in (listed | Counter(by_blame)).items() if n >= BLAMED_TOO_OFTEN}


def _with_reason(each: RecentFailure, replaced: set[str]) -> RecentFailure:
    """The failure, with the operator as the cause of the departure of such a pod."""
    is_excused = each.not_counted == EXCUSED and each.pod in replaced
    return each.model_copy(update={"not_counted": REPLACED}) if is_excused else each


_FIELDS = tuple(LastFailure.model_fields)
_IDENTITY = ("round", "pod", "rank", "reason")


def _known(status: ElasticJobStatus) -> list[RecentFailure]:
    """The failures in the status; that of an older release has the last one only."""
    if status.recent_failures is not None or status.last_failure is None:
        return in_current_words(status).recent_failures or []
    return [_shortened(status.last_failure, counted=True)]


def _renamed(found: RecentFailure) -> RecentFailure:
    word = _EARLIER.get(found.not_counted or "")
    return found.model_copy(update={"not_counted": word}) if word else found


def _failed_rounds(snapshot: Snapshot) -> dict[int, list[PastRound]]:
    """The rounds after each failure, by the number of the round that it ended."""
    found: dict[int, list[PastRound]] = {}
    for round_ in snapshot.rounds:
        if not is_planned(round_):
            found.setdefault(round_.ended_n, []).append(round_)
    return found


def _new(
    snapshot: Snapshot,
    known: list[RecentFailure],
    rounds: dict[int, list[PastRound]],
    charged: frozenset[int],
) -> list[RecentFailure]:
    """Failures after the round in the status: those of known rounds, and charges without one."""
    status = snapshot.job.status
    seen_n = -1 if status.recent_failures is None or status.round is None else status.round
    numbers = {each.round for each in known}
    found = {
        n: after[0]
        for n, after in rounds.items()
        if seen_n < after[0].n <= snapshot.rounds[-1].n and n not in numbers
    }
    newest = sorted(found, reverse=True)[:KEPT]
    of_rounds = {n for ended_n, after in rounds.items() for n in _numbers(ended_n, after)}
    unknown = [
        RecentFailure(reason=UNKNOWN, message=NOT_OBSERVED, round=charge - 1, counted=True)
        for charge in not_observed(snapshot, charged - of_rounds)
        if charge - 1 not in numbers
    ]
    listed = [*(_of_round(snapshot, found[n]) for n in newest), *unknown]
    return sorted(listed, key=lambda each: each.round or 0, reverse=True)


def _of_round(snapshot: Snapshot, round_: PastRound) -> RecentFailure:
    found = failure.of_round(snapshot, round_)
    pod = snapshot.by_name.get(found.pod or "")
    short = _shortened(found, counted=False)
    return short.model_copy(update={"time": snapshot.utc_now, "pod_uid": pod.uid if pod else None})


def _shortened(found: LastFailure, counted: bool) -> RecentFailure:
    fields = found.model_dump()
    fields["message"] = clip(found.message or "", LONGEST_MESSAGE) or None
    return RecentFailure.model_validate({**fields, "counted": counted})


def _updated(
    snapshot: Snapshot, each: RecentFailure, after: Sequence[PastRound], charged: frozenset[int]
) -> RecentFailure:
    """The failure as it is known now, with whether it counts."""
    if after and _has_changed(snapshot, each, after[0]):
        each = _of_round(snapshot, after[0]).model_copy(update={"time": each.time})
    command = failure.log_command(snapshot, each)
    if command != each.log_command:
        each = each.model_copy(update={"log_command": command})
    return _judged(snapshot, each, after, charged)


def _has_changed(snapshot: Snapshot, each: RecentFailure, round_: PastRound) -> bool:
    """Whether an agent has replaced the cause of the round by an earlier failure, or how the pod
    ended is known only now: OOMKilled, for example."""
    cause = round_.details or round_.cause
    if cause is None:
        return False
    rank = cause.rank if cause.rank >= 0 else None
    if (cause.pod or None) != each.pod or (round_.details and rank != each.rank):
        return True
    pod = snapshot.by_name.get(cause.pod)
    is_same_pod = pod is not None and pod.uid == each.pod_uid
    return is_same_pod and failure.reason_of_pod(snapshot, cause) not in ("", each.reason)


def _judged(
    snapshot: Snapshot, each: RecentFailure, after: Sequence[PastRound], charged: frozenset[int]
) -> RecentFailure:
    """Whether it counts, as far as the Round Lease shows it; else as before."""
    if not snapshot.rounds or each.round is None:
        return each
    has_ended_job = bool(after) and after[0].phase is Phase.FAILED
    counted = has_ended_job or not charged.isdisjoint(_numbers(each.round, after))
    if not counted and not _lists_charge(snapshot.rounds[-1].charged, each.round + 1):
        return each
    why = None if counted else _why_not(snapshot, each)
    if (counted, why) == (each.counted, each.not_counted):
        return each
    return each.model_copy(update={"counted": counted, "not_counted": why})


def _lists_charge(charged: Charges, n: int) -> bool:
    """Whether the charge of this number would be listed: it is neither forgiven nor among those
    that are only counted."""
    oldest = min(charged.numbers, default=0) if charged.older else 0
    return n > charged.forgiven and n >= oldest


def _why_not(snapshot: Snapshot, each: RecentFailure) -> str:
    if each.not_counted == REPLACED:
        return REPLACED
    if each.reason == CauseKind.POD_DELETED.value:
        return EXCUSED
    if each.reason != CauseKind.LEAVING.value:
        return EXPLAINED
    pod = snapshot.by_name.get(each.pod or "")
    # Kubernetes keeps a pod that has ended by itself: one that no longer exists was deleted.
    is_excused = pod.excused if pod else each.not_counted != UNDECIDED
    return EXCUSED if is_excused else UNDECIDED


def _numbers(ended_n: int, after: Sequence[PastRound]) -> set[int]:
    """The numbers under which the failure that ended this round may be charged."""
    return {ended_n + 1, *(round_.n for round_ in after)}
