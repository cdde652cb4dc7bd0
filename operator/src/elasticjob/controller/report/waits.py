"""What a job waits for, and until when, for people: no plan depends on it.

The holder reports by its own clock how much of a wait is left, and the operator adds this to the
time at which the report arrived. A time that was computed once stays, unless the next report shows
that the wait is another one: so the pulses of a job that waits cost no write of its status.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from elasticjob.controller.observe import lasting
from elasticjob.controller.observe.memory import StatusTime, TimeOf
from elasticjob.controller.observe.snapshot import Snapshot
from elasticjob.controller.plan import missing
from elasticjob.controller.report.pods import agents
from elasticjob.controller.report.pods.names import listed
from elasticjob.controller.report.texts import AWAITED
from elasticjob.rendezvous import timing
from elasticjob.rendezvous.now import Now
from elasticjob.wire.member import Pod
from elasticjob.wire.report import JoinWaitKind, Report
from elasticjob.wire.round import Phase

BACKING_OFF, WORKERS_START = "BackingOff", "WorkersStart"
COOLING_DOWN, LAST_CALL = "CoolingDown", "LastCall"
REPLACEMENT, AGENTS_SILENT = "WaitingForReplacement", "AgentsSilent"
TOLERANCE = timedelta(seconds=2)
LONGEST_S = 366 * 86_400  # what code in a worker can write into a round or a report has no limit

_JOIN = {JoinWaitKind.COOLDOWN: COOLING_DOWN, JoinWaitKind.LAST_CALL: LAST_CALL}


@dataclass(frozen=True)
class Wait:
    """What a job waits for."""

    reason: str  # of a condition
    until: datetime
    text: str  # of STATUS
    end: str  # of the wait, in STATUS
    message: str  # of a condition


@dataclass(frozen=True)
class _Measured:
    """An instant as this pass has measured it."""

    of: TimeOf
    at: float
    # In the report that it was computed from; None: the operator measures from now on, so the first
    # instant is the right one.
    left_ms: int | None = None
    is_exact: bool = False  # each pass measures the same instant of a wait


def of(snapshot: Snapshot) -> dict[str, Wait]:
    """The waits that have not ended, by reason."""
    found: dict[str, Wait] = {}
    for of_, time in times(snapshot).items():
        if of_.reason in AWAITED and time.at > snapshot.utc_now:
            text, message = AWAITED[of_.reason]
            end = f"until {clock_time(time.at, snapshot.utc_now)}"
            pods = listed(snapshot.job, _awaited(snapshot, of_)) or "other pods"
            long = message.format(subject=of_.subject, pods=pods, until=timestamp(time.at))
            found[of_.reason] = Wait(of_.reason, time.at, text, end, long)
    return found


def _awaited(snapshot: Snapshot, of_: TimeOf) -> Collection[Pod]:
    """The pods for which a job waits, or that wait themselves."""
    assert snapshot.lease is not None
    members = snapshot.lease.round.pods
    if of_.reason == WORKERS_START:
        report = _report(snapshot)
        return members.difference(report.running if report else ())
    if of_.reason == COOLING_DOWN:
        return agents.ready_pods(snapshot) - members
    absent = agents.absent_pods(snapshot)
    if of_.reason == LAST_CALL:
        return absent
    return [pod for pod in absent if TimeOf(REPLACEMENT, str(pod.index)) == of_]


def silent_since(snapshot: Snapshot) -> datetime | None:
    """Since when the agents of a job have written nothing; None if they write."""
    found = times(snapshot).items()
    return next((time.at for of_, time in found if of_.reason == AGENTS_SILENT), None)


def times(snapshot: Snapshot) -> Mapping[TimeOf, StatusTime]:
    """The times for people, for the next memory. Each stays as it is while it is right."""
    return {each.of: _status_time(snapshot, each) for each in _measured(snapshot)}


def clock_time(at: datetime, now: datetime) -> str:
    """The time in UTC, with its date if this is another day."""
    return f"{at:%H:%M:%SZ}" if at.date() == now.date() else f"{at:%Y-%m-%d %H:%M:%SZ}"


def timestamp(at: datetime) -> str:
    """The time as Kubernetes writes it."""
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"


def _status_time(snapshot: Snapshot, found: _Measured) -> StatusTime:
    """The time to write: the one in the memory, unless the wait is another one."""
    known = snapshot.memory.status_times.get(found.of)
    at = snapshot.utc_now + timedelta(seconds=_whole_s(found.at - snapshot.now))
    holder = snapshot.lease.holder if snapshot.lease else ""
    made = StatusTime(at, found.left_ms, holder)
    if known is None:
        return made
    has_other_holder = found.left_ms == known.left_ms and holder != known.holder
    if not found.is_exact and (found.left_ms is None or has_other_holder):
        return known  # a new holder has not replaced the report yet
    return replace(made, at=known.at) if abs(at - known.at) <= TOLERANCE else made


def _whole_s(left_s: float) -> int:
    """The whole seconds until an instant. Rounded up, and one more, as the wall clock of a pass is
    rounded down: a wait never lasts longer than STATUS states."""
    left_s = min(left_s, LONGEST_S)
    return math.ceil(left_s) + 1 if left_s > 0 else math.floor(left_s)


def _measured(snapshot: Snapshot) -> Iterator[_Measured]:
    if snapshot.lease is None or snapshot.lease.round.phase.is_terminal:
        return
    yield from _silence(snapshot)
    yield from _start(snapshot)
    yield from _join(snapshot)
    yield from _replacement(snapshot)


def _silence(snapshot: Snapshot) -> Iterator[_Measured]:
    """The last pulse, if the agent of the holder runs and sends none."""
    assert snapshot.lease is not None
    if lasting.does_holder_run(snapshot) and lasting.has_no_pulse(snapshot):
        of_ = TimeOf(AGENTS_SILENT, snapshot.lease.renew_time)
        yield _Measured(of_, snapshot.same_pulse_at, is_exact=True)


def _start(snapshot: Snapshot) -> Iterator[_Measured]:
    """The end of the start delay, and the start deadline."""
    assert snapshot.lease is not None
    lease = snapshot.lease
    if lease.round.phase is not Phase.ACTIVE:
        return
    report = _report(snapshot)
    left_ms = (report.delay_ms or None) if report else None
    delay_at = snapshot.now + lease.round.delay_ms / 1000
    if left_ms is not None:
        delay_at = _arrived_at(snapshot) + left_ms / 1000
    n = str(lease.round.n)
    if lease.round.delay_ms > timing.LEAVE_DELAY_MS:
        yield _Measured(TimeOf(BACKING_OFF, n), delay_at, left_ms)
    deadline_s = timing.start_deadline_s(lease.desired, lease.round) - lease.round.delay_ms / 1000
    yield _Measured(TimeOf(WORKERS_START, n), delay_at + deadline_s, left_ms)


def _join(snapshot: Snapshot) -> Iterator[_Measured]:
    """The cooldown or the last call, for which newcomers wait."""
    report = _report(snapshot)
    if report and report.join_wait and report.join_wait.left_ms:
        left_ms = report.join_wait.left_ms
        of_ = TimeOf(_JOIN[report.join_wait.kind], str(report.n))
        yield _Measured(of_, _arrived_at(snapshot) + left_ms / 1000, left_ms)


def _replacement(snapshot: Snapshot) -> Iterator[_Measured]:
    """The next replacement that has to wait, as its index has lost pods in a row."""
    if not snapshot.memory.replacements:
        return
    due: dict[int, float] = {}
    for creation in missing.missing_pods(snapshot, Now(snapshot.now)):
        index = creation.pod.index
        if creation.replaces and index in snapshot.memory.replacements:
            due[index] = missing.next_replacement_at(snapshot.memory.replacements[index])
    if due:
        index = min(due, key=lambda each: due[each])
        yield _Measured(TimeOf(REPLACEMENT, str(index)), due[index], is_exact=True)


def _report(snapshot: Snapshot) -> Report | None:
    """The holder's report, if it is about the current round."""
    lease = snapshot.lease
    is_current = lease is not None and lease.report and lease.report.n == lease.round.n
    return lease.report if lease is not None and is_current else None


def _arrived_at(snapshot: Snapshot) -> float:
    """When the report arrived."""
    return snapshot.now if snapshot.pulse_at is None else snapshot.pulse_at
