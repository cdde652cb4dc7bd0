"""The API server is away for ten minutes, for all agents: no restart, and no judgement after it.

The workers of an agent continue for apiGraceSeconds, half an hour by default.
"""

from __future__ import annotations

import pytest
from tests.support.meeting import Meeting, Step
from tests.support.protocol import T, desired

from elasticjob.rendezvous.actions import Exit, Start, Stop
from elasticjob.wire.cause import CauseKind
from elasticjob.wire.desired import Desired
from elasticjob.wire.round import Phase

AWAY_S = 600.0
GRACE_S = Desired(()).api_grace_s
AFTER_S = 20 * T  # more than any silence that is waited for


def until(world: Meeting, at: float) -> None:
    world.go()
    while world.tick(at):
        world.go()
    world.go()


def run_through_an_outage(
    order: str, away_s: float, apart_s: float, **wanted: float
) -> tuple[Meeting, list[Step]]:
    """A, B and C run round 1 and are cut off; they are healed in this order, apart_s after each
    other. Returns the steps of agents since the outage began. wanted: other settings."""
    given = desired(cooldown_s=0.0, startup_last_call_s=30.0, **wanted)
    world, steps = Meeting(given), list[Step]()
    for letter in "ABC":
        world.start(letter)
    until(world, 20.0)
    assert world.server.round().round.n == 1
    world.on_step = steps.append
    for player in world.players.values():
        player.fails = True
        player.held.add("watch")
    until(world, 20.0 + away_s)
    for letter in order:
        world.players[letter].fails = False
        world.players[letter].held.clear()
        until(world, world.now + apart_s)
    until(world, world.now + AFTER_S)
    return world, steps


@pytest.mark.slow
@pytest.mark.parametrize("order", ["ABC", "CBA", "BAC"])
@pytest.mark.parametrize("apart_s", [0.0, 2.0, T])
def test_ten_minutes_without_the_api_server_cost_no_restart(order: str, apart_s: float) -> None:
    world, steps = run_through_an_outage(order, AWAY_S, apart_s)
    acted = [action for _, _, actions in steps for action in actions]
    assert [action for action in acted if isinstance(action, (Start, Stop, Exit))] == []
    lease = world.server.round()
    assert (lease.round.n, lease.round.phase) == (1, Phase.ACTIVE)
    assert lease.round.charged.numbers == frozenset()
    assert lease.report is not None
    assert lease.report.silent == ()


@pytest.mark.parametrize("grace_s", [60.0, pytest.param(GRACE_S, marks=pytest.mark.slow)])
def test_workers_stop_when_the_api_server_is_away_for_longer_than_its_grace(grace_s: float) -> None:
    """One failure, which the first agent writes when the API server is back."""
    world, steps = run_through_an_outage("ABC", grace_s + T, 0.0, api_grace_s=grace_s)
    stopped = {player.letter for player, _, actions in steps for x in actions if type(x) is Stop}
    round_ = world.server.round().round
    assert stopped == {"A", "B", "C"}
    assert (round_.n, round_.phase, round_.charged.numbers) == (2, Phase.ACTIVE, frozenset({2}))
    assert round_.cause is not None
    assert round_.cause.kind is CauseKind.API_DARK
