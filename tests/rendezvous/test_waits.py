"""The table of waits in docs/protocol.md, measured: from the fault to the round that answers it.

Answered: the round is Active with exactly the agents that live and are wanted, and each of them has
seen it. Starting workers is not waited for: that is the grace, and not the protocol.
"""

from __future__ import annotations

from typing import Callable

import pytest
from tests.support import meeting as m
from tests.support.meeting import Meeting
from tests.support.protocol import T, desired, is_round_lease, pods

from elasticjob.rendezvous.events import LeaveRequested, WorkerExited
from elasticjob.rendezvous.timing import RETRY_S
from elasticjob.wire.cause import Cause, CauseKind
from elasticjob.wire.lease import parse_round
from elasticjob.wire.round import Phase

LONGEST_S = 100.0
Fault = Callable[[Meeting], None]


def at_rest(on_one_node: str = "") -> Meeting:
    """A, B and C run round 1; A holds. Some of them may sit on one node."""
    world = Meeting(desired(cooldown_s=0.0, startup_last_call_s=30.0))
    for letter in "ABC":
        world.start(letter, node="shared" if letter in on_one_node else "")
    until(world, 10.0)
    assert world.server.round().holder == "demo-0-0"
    return world


def until(world: Meeting, at: float) -> None:
    world.go()
    while world.tick(at):
        world.go()
    world.go()


def wait_s(world: Meeting, live: str, n: int) -> float:
    """From now until the round of the live ones, at least n, is written and seen."""
    began_at = world.now
    world.go()
    while not answered(world, live, n):
        assert world.now - began_at < LONGEST_S, world.server.round().round
        world.tick(began_at + LONGEST_S)
        world.go()
    return world.now - began_at


def answered(world: Meeting, live: str, n: int) -> bool:
    round_ = world.server.round().round
    if round_.phase is not Phase.ACTIVE or round_.pods != pods(live) or round_.n < n:
        return False
    seen = (world.players[letter].me.lease for letter in live.split())
    return all(lease is not None and lease.round.n == round_.n for lease in seen)


# ---- faults --------------------------------------------------------------------------------------


def crash(letter: str) -> Fault:
    failure = Cause(CauseKind.WORKER_FAILED, code=1, n=1)
    return lambda world: world.feed(letter, WorkerExited(1, failure))


def leave(letter: str) -> Fault:
    return lambda world: world.feed(letter, LeaveRequested())


def die(letter: str, reported: bool = False) -> Fault:
    """reported: the operator is up and marks the Lease."""

    def fault(world: Meeting) -> None:
        world.end(letter)
        if reported:
            m.mark(world, letter)

    return fault


def blind(letter: str) -> Fault:
    return lambda world: setattr(world.players[letter], "dark", True)


def stuck(letter: str) -> Fault:
    return lambda world: world.players[letter].held.add("workers")


# ---- the table -----------------------------------------------------------------------------------

TABLE: list[tuple[str, list[Fault], str, float]] = [
    # the fault, the live wanted pods after it, the longest time in T
    ("a member's worker crashes", [crash("B")], "A B C", 0),
    ("the holder's worker crashes", [crash("A")], "A B C", 0),
    ("a member receives SIGTERM", [leave("B")], "A C", 0),
    ("the holder receives SIGTERM", [leave("A")], "B C", 0),
    ("a member's pod ends, operator up", [die("B", reported=True)], "A C", 0),
    ("the holder's pod ends, operator up", [die("A", reported=True)], "B C", 0),
    ("a member's pod ends, operator away", [die("B")], "A C", 3),
    ("the holder's pod ends, operator away", [die("A")], "B C", 3),
    ("two members of one node end silently", [die("B"), die("C")], "A", 3),
    ("the holder and a member end silently", [die("A"), die("B")], "C", 6),
    ("the holder is blind, a member ends silently", [blind("A"), die("B")], "A C", 6),
    ("a member is half-dark, another crashes", [blind("C"), crash("B")], "A B C", 3),
    ("the holder is blind, a member crashes", [blind("A"), crash("B")], "A B C", 3),
]


@pytest.mark.parametrize(("what", "faults", "live", "waits"), TABLE, ids=[row[0] for row in TABLE])
def test_it_takes_no_longer_than_on_the_page(
    what: str, faults: list[Fault], live: str, waits: float
) -> None:
    world = at_rest(on_one_node="BC")
    for fault in faults:
        fault(world)
    assert wait_s(world, live, 2) <= waits * T + 0.1  # staggered claims


def test_a_member_that_died_without_the_api_server_is_found_three_t_after_its_return() -> None:
    world = at_rest()
    for player in world.players.values():
        player.fails = True
        player.held.add("watch")
    die("B")(world)
    until(world, world.now + 8 * T)
    for player in world.players.values():
        player.fails = False
        player.held.clear()
    assert 3 * T <= wait_s(world, "A C", 2) <= 3 * T + RETRY_S


def test_two_silent_nodes_take_nine_pulses() -> None:
    world = at_rest()
    die("B")(world)
    die("C")(world)
    assert 8 * T < wait_s(world, "A", 2) <= 9 * T


def test_a_stuck_member_takes_its_own_deadline() -> None:
    """It cannot end its old workers: it gives up after their grace and 15 s; then it is silent."""
    world = at_rest()
    stuck("C")(world)
    crash("B")(world)
    assert wait_s(world, "A B", 3) <= 28.0 + 3 * T


def test_a_crash_costs_one_write_before_every_worker_is_being_started() -> None:
    world = at_rest()
    rounds: list[int] = []
    world.server.listeners.append(
        lambda change: (
            rounds.append(parse_round(change.object).round.n)
            if is_round_lease(change.object)
            else None
        )
    )
    crash("B")(world)
    assert wait_s(world, "A B C", 2) == 0.0
    assert set(rounds) == {2}
    assert len(rounds) <= 2  # the other is the holder's pulse, which reports that all run
