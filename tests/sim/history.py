"""Histories: one job, and a list of faults with their times, drawn from one seed."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from tests.sim.checks import BrokenInvariantError
from tests.sim.faults import HOLDER, KINDS, Fault, inject
from tests.sim.world import World

from elasticjob.wire.desired import Desired
from elasticjob.wire.member import Pod

QUIET_S = 20.0
LONGEST_S = 3000.0
# How often each kind of fault is drawn, if not once; the others are all as frequent.
OFTEN = {
    "worker": 8,
    "report": 3,
    "die": 3,
    "delete-pod": 3,
    "leave": 3,
    "scale": 2,
    "operator-down": 2,
}
ENDS = frozenset({"fatal", "finish"})  # faults that end a job, so only the last one may be one


class NotAtRestError(BrokenInvariantError):
    """I5: faults have stopped, and the live wanted agents do not run together."""


@dataclass(frozen=True)
class History:
    """What happens to one job. seed: of its latencies and of choices within faults."""

    seed: int
    pods: int = 3
    min_members: int = 1
    budget: int = 20
    start_budget: int | None = None
    reset_after_s: float = 3600.0
    peers_fail: float = 0.0
    is_noisy: bool = True
    faults: tuple[Fault, ...] = ()


def of_seed(seed: int, longest: int = 30) -> History:
    """The history of a seed."""
    rng = random.Random(seed)
    pods = rng.choice([1, 2, 3, 3, 4])
    kinds = [kind for kind in KINDS if kind not in ENDS]
    weights = [OFTEN.get(kind, 1) for kind in kinds]
    at, faults = 0.0, list[Fault]()
    for _ in range(rng.randint(1, longest)):
        at += rng.choice([0.02, 0.5, 6.0]) * rng.uniform(0.5, 1.5)
        kind = rng.choices(kinds, weights)[0]
        faults.append(Fault(round(at, 3), kind, _index(rng, pods), round(rng.uniform(0.5, 12), 2)))
    if rng.random() < 0.2:
        faults.append(Fault(round(at + 5, 3), rng.choice(sorted(ENDS)), 0, 3.0))
    return History(
        seed,
        pods,
        min_members=rng.randint(1, pods),
        budget=rng.choice([0, 1, 3, 20, 20]),
        start_budget=rng.choice([None, None, 1, 2]),
        reset_after_s=rng.choice([10.0, 30.0, 3600.0]),
        peers_fail=rng.choice([0.0, 0.0, 0.5]),
        faults=tuple(faults),
    )


def _index(rng: random.Random, pods: int) -> int:
    return rng.randrange(HOLDER, pods)


def desired_of(pods: int, min_members: int, budget: int) -> Desired:
    """What the operator wants of a job with the short times of the simulation."""
    return Desired(
        wanted=tuple(Pod(i, 0) for i in range(pods)),
        min_members=min_members,
        max_restarts=budget,
        heartbeat_s=1.0,
        last_call_s=5,
        startup_last_call_s=10,
        cooldown_s=2,
        stop_grace_s=4,
        crash_grace_s=1,
        api_grace_s=30,
    )


def world_of(history: History) -> World:
    """The world in which a history begins."""
    desired = replace(
        desired_of(history.pods, history.min_members, history.budget),
        max_start_restarts=history.start_budget,
        reset_after_s=history.reset_after_s,
    )
    return World(history.seed, desired, is_noisy=history.is_noisy, peers_fail=history.peers_fail)


def run(history: History) -> World:
    """Let a history happen. Raises BrokenInvariantError."""
    world = world_of(history)
    play(world, history)
    return world


def play(world: World, history: History) -> None:
    """Let the faults happen, heal what they left, and wait until the job is at rest."""
    for fault in history.faults:
        world.run(max(world.now, fault.at))
        inject(world, fault)
    world.run(world.now + 15)  # longer than any fault lasts
    world.heal_all()
    if not comes_to_rest(world):
        raise NotAtRestError(f"I5 the job is not at rest: {world.lease.round}")
    world.checks.check_end()


def comes_to_rest(world: World) -> bool:
    """Whether the live wanted agents run together within LONGEST_S, and continue to.

    The operator creates the third pod of an index within some minutes only minutes later.
    """
    end = world.now + LONGEST_S
    while world.now < end:
        world.run(world.now + QUIET_S)
        if world.at_rest():
            world.run(world.now + QUIET_S)
            if world.at_rest():
                return True
    return False


def describe(world: World) -> str:
    """The history and the state of a world, for the message of a failed test."""
    seen = (sim.seen for sim in world.cluster.pods.values())
    pods = (f"{pod.name} {pod.container.state.value} deleting={pod.deleting}" for pod in seen)
    return "\n".join([*world.log, repr(world.lease), f"live: {sorted(world.live())}", *pods])


def failure(history: History) -> str:
    """Which invariant this history breaks; empty if it breaks none."""
    try:
        run(history)
    except BrokenInvariantError as broken:
        return str(broken)
    return ""
