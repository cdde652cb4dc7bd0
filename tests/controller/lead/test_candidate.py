"""Who may lead: a table of moves, and many elections in a world that delays and loses requests."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from elasticjob.controller.lead import candidate
from elasticjob.controller.lead.candidate import Candidate, LeaseTimes, Move, Record, next_move

TIMES = LeaseTimes(15.0)
NEW = Candidate("me", TIMES)
MINE = Record("me", "12:00", 15.0, 3, "7")
THEIRS = replace(MINE, holder="other")
FREE = replace(MINE, holder="")
LEADING = Candidate("me", TIMES, MINE, changed_at=100.0, renewed_at=100.0)
WAITING = Candidate("me", TIMES, THEIRS, changed_at=100.0)


def lasting(lease_duration_s: float) -> Candidate:
    """A candidate that waits for a holder with another lease duration."""
    return replace(WAITING, record=replace(THEIRS, lease_duration_s=lease_duration_s))


MOVES = [
    ("no Lease", NEW, 100.0, Move.CREATE),
    ("another holds it", WAITING, 100.0, Move.WAIT),
    ("and still may", WAITING, 114.9, Move.WAIT),
    ("and was silent for the duration", WAITING, 115.0, Move.TAKE),
    ("the duration in the Lease counts", lasting(60.0), 115.0, Move.WAIT),
    ("a holder without a duration", lasting(0.0), 100.0, Move.TAKE),
    ("released", replace(WAITING, record=FREE), 100.0, Move.TAKE),
    ("the answer to my write was lost", replace(WAITING, record=MINE), 100.0, Move.RENEW),
    ("leading", LEADING, 100.0, Move.RENEW),
    ("leading, at the last moment", LEADING, 109.9, Move.RENEW),
    ("too long without a renewal", LEADING, 110.0, Move.LOST),
    ("another took it", replace(LEADING, record=THEIRS), 101.0, Move.LOST),
    ("a user emptied it", replace(LEADING, record=FREE), 101.0, Move.LOST),
    ("a user deleted it", replace(LEADING, record=None), 101.0, Move.CREATE),
    ("a user deleted it, too late", replace(LEADING, record=None), 110.0, Move.LOST),
]  # fmt: skip


@pytest.mark.parametrize(("me", "now", "move"), [m[1:] for m in MOVES], ids=[m[0] for m in MOVES])
def test_moves(me: Candidate, now: float, move: Move) -> None:
    assert next_move(me, now) is move


def test_only_the_holder_shows_life() -> None:
    labelled = replace(THEIRS, version="8")
    assert WAITING.seen(labelled, 110.0).changed_at == 100.0
    assert WAITING.seen(labelled, 110.0).record == labelled
    assert WAITING.seen(replace(labelled, renew_time="12:02"), 110.0).changed_at == 110.0


def test_the_leader_counts_from_before_it_sent() -> None:
    later = LEADING.wrote(replace(MINE, version="8"), sent_at=104.0, now=109.0)
    assert later.deadline == 114.0
    assert later.leads(113.9)
    assert not later.leads(114.0)


def test_lease_on_the_wire() -> None:
    made = candidate.manifest("operator", NEW, "2026-01-02T03:04:05.000006Z")
    assert made["spec"] == {
        "holderIdentity": "me",
        "leaseDurationSeconds": 15,
        "acquireTime": "2026-01-02T03:04:05.000006Z",
        "renewTime": "2026-01-02T03:04:05.000006Z",
        "leaseTransitions": 0,
    }
    made["metadata"]["resourceVersion"] = "7"
    assert candidate.parse(made) == Record("me", "2026-01-02T03:04:05.000006Z", 15.0, 0, "7")
    assert candidate.patch(LEADING, Move.RENEW, "T") == {
        "metadata": {"resourceVersion": "7"},
        "spec": {"renewTime": "T"},
    }
    assert candidate.patch(WAITING, Move.TAKE, "T")["spec"]["leaseTransitions"] == 4
    assert candidate.parse({"metadata": {"resourceVersion": "1"}}) == Record("", "", 0.0, 0, "1")


# ---- many elections ------------------------------------------------------------------------------


@dataclass
class World:
    """One Lease, and candidates whose clocks differ, who freeze, and whose requests dawdle."""

    rng: random.Random
    now: float = 0.0
    lease: Record | None = None
    candidates: list[Actor] = field(default_factory=list)
    agenda: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    elected: int = 0

    def after(self, seconds: float, do: Callable[[], None]) -> None:
        heapq.heappush(self.agenda, (self.now + seconds, self.rng.randrange(1 << 30), do))

    def run(self, until: float) -> None:
        while self.agenda[0][0] < until:
            self.now, _, do = heapq.heappop(self.agenda)
            do()
            leaders = [a.me.identity for a in self.candidates if a.leads()]
            assert len(leaders) <= 1, f"at {self.now:.1f} s: {leaders}"

    def write(self, record: Record, version: str) -> Record | None:
        """Compare-and-swap."""
        if (self.lease.version if self.lease else "") != version:
            return None
        self.lease = replace(record, version=str(int(version or 0) + 1))
        return self.lease


@dataclass
class Actor:
    """A process that does as `judge` says; one that has lost is replaced by another."""

    world: World
    offset: float
    serial: int = 0
    frozen_until: float = 0.0

    def __post_init__(self) -> None:
        self.me = self.newborn()

    def newborn(self) -> Candidate:
        self.serial += 1
        return Candidate(f"{self.offset}-{self.serial}", TIMES)

    def clock(self) -> float:
        return self.world.now + self.offset

    def leads(self) -> bool:
        return self.me.leads(self.clock())

    def on(self, answered: Callable[[Any], None]) -> Callable[[Any], None]:
        """Only if the process that asked is still there, and when it is not frozen any more."""
        asker = self.me.identity

        def take(answer: Any) -> None:
            if (wait := self.frozen_until - self.world.now) > 0:
                self.world.after(wait, lambda: take(answer))
            elif self.me.identity == asker:
                answered(answer)

        return take

    def ask(self, do: Callable[[], Any], answered: Callable[[Any], None]) -> None:
        """There and back; one in ten is lost on its way there, one in ten on its way back."""
        rng, done = self.world.rng, self.on(answered)
        self.maybe_freeze()
        there, back = (rng.choice((0.1, 0.1, 1.0, 6.0)) * rng.random() for _ in range(2))
        fate = rng.random()

        def arrive() -> None:
            answer = do() if fate >= 0.1 else None
            self.world.after(back, lambda: done(answer if fate >= 0.2 else None))

        self.world.after(there, arrive)

    def step(self) -> None:
        self.ask(lambda: (self.world.lease,), self.read)

    def read(self, answer: tuple[Record | None] | None) -> None:
        if answer is not None:
            self.me = self.me.seen(answer[0], self.clock())
        move, sent_at = next_move(self.me, self.clock()), self.clock()
        if move is Move.LOST:
            self.me = self.newborn()
        elif move is not Move.WAIT and answer is not None:
            held = self.me.record or Record("", "", 0.0, 0, "")
            record = Record(self.me.identity, f"{sent_at}", TIMES.lease_duration_s, 0, "")
            self.ask(
                lambda: self.world.write(record, held.version),
                lambda written: self.wrote(written, sent_at),
            )
            return
        self.pause()

    def wrote(self, written: Record | None, sent_at: float) -> None:
        if written is not None:
            self.world.elected += self.me.renewed_at is None
            self.me = self.me.wrote(written, sent_at, self.clock())
        self.pause()

    def maybe_freeze(self) -> None:
        if self.world.rng.random() < 0.02:
            self.frozen_until = self.world.now + self.world.rng.uniform(1.0, 40.0)

    def pause(self) -> None:
        self.maybe_freeze()
        pause_s = max(TIMES.retry_period_s, self.frozen_until - self.world.now)
        asker = self.me.identity
        self.world.after(pause_s, lambda: self.step() if self.me.identity == asker else None)


@pytest.mark.parametrize(
    "seed", [*range(4), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(4, 20))]
)
def test_never_two_leaders(seed: int) -> None:
    world = World(random.Random(seed))
    world.candidates = [Actor(world, offset) for offset in (0.0, -5000.0, 123456.0)]
    for actor in world.candidates:
        actor.step()
    world.run(until=3600.0)
    assert world.elected > 5  # it was about something
