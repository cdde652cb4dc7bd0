"""Restarts that do not count against maxRestarts: preemption, joining, scaling.

A job that is preempted every few minutes never fails because of it, and hardly trains. Nor is
SIGTERM proof of preemption. So the operator reports many restarts within an hour as a condition.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from elasticjob.controller.observe.memory import Restart
from elasticjob.controller.observe.rounds import PastRound
from elasticjob.controller.observe.snapshot import Snapshot
from elasticjob.controller.plan.restarts import departures
from elasticjob.wire.cause import CauseKind
from elasticjob.wire.round import Phase

WINDOW_S = 3600.0
KEPT = 10_001  # restarts of a job: one more than the largest limit, at which it is Unstable


def of_rounds(rounds: Iterable[PastRound], seen_n: int, now: float) -> Iterator[Restart]:
    """Rounds after seen_n that started the workers again and were not charged."""
    for round_ in rounds:
        again = round_.phase is Phase.ACTIVE and round_.starts > 1 and round_.n > seen_n
        number = departures.charge_number(round_)
        if again and not {round_.n, number} & round_.charged.numbers:
            kind = round_.cause.kind if round_.cause else CauseKind.OTHER
            yield Restart(number, kind, now)


def recent(restarts: Iterable[Restart], now: float) -> Iterator[Restart]:
    """The restarts of the last hour."""
    return (r for r in restarts if now - r.at < WINDOW_S)


def uncounted(snapshot: Snapshot) -> list[Restart]:
    """The restarts of the last hour that the operator has not charged since."""
    charged = snapshot.lease.desired.charged if snapshot.lease else frozenset()
    return [r for r in restarts(snapshot) if r.number not in charged]


def restarts(snapshot: Snapshot) -> tuple[Restart, ...]:
    """The restarts of the last hour, with those that this snapshot shows first. The first snapshot
    of a job shows none: its rounds may be old."""
    memory = snapshot.memory
    earlier = recent(memory.restarts, snapshot.now)
    if memory.watched_at is None:
        return tuple(earlier)
    new = of_rounds(snapshot.past_rounds, memory.seen_n, snapshot.now)
    return (*earlier, *new)[-KEPT:]


def has_seen_an_hour(snapshot: Snapshot) -> bool:
    """Whether this operator has seen the whole last hour, and not been restarted within it."""
    since = snapshot.memory.watched_at
    return since is not None and snapshot.now - since >= WINDOW_S


def causes(restarts: list[Restart]) -> str:
    """The number of restarts by cause: `12 Leaving, 1 Scaled`."""
    kinds = Counter(restart.kind.value for restart in restarts)
    return ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
