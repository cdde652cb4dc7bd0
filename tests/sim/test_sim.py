"""The shipped protocol under random latencies and faults; every seed is one history."""

from __future__ import annotations

import os
import random
from dataclasses import replace
from functools import partial

import pytest
from tests.sim.world import Agent, BrokenInvariantError, World

from elasticjob.rendezvous import states as s
from elasticjob.wire.desired import Desired
from elasticjob.wire.member import Pod
from elasticjob.wire.round import Phase

pytestmark = pytest.mark.sim
SEEDS = int(os.environ.get("SIM_SEEDS", "3"))
FAULTS = (
    "worker", "fatal", "die", "die-silently", "cut", "mute", "dark", "stuck", "leave",
    "operator-down", "scale", "restart-holder", "delete-lease", "api-away",
)  # fmt: skip
QUIET_S = 150.0


def world(seed: int, n: int, min_members: int, budget: int = 20) -> World:
    desired = Desired(
        wanted=tuple(Pod(i, 0) for i in range(n)),
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
    return World(seed=seed, desired=desired)


def inject(w: World, fault: str, rng: random.Random) -> None:
    """One fault on a random live agent."""
    live = sorted(p for p, a in w.agents.items() if a.alive)
    if not live:
        return
    pod = rng.choice(live)
    agent = w.agents[pod]
    w.say(f"FAULT {fault} {agent.me.who.name}")
    if fault == "worker":
        w.fail(agent)
    elif fault == "fatal":
        w.fail(agent, fatal=True)
    elif fault == "die":
        w.end(agent, told=True)
    elif fault == "die-silently":
        w.end(agent, told=False)
    elif fault == "restart-holder":
        w.end(w.holder() or agent, told=rng.random() < 0.5)
    elif fault == "leave":
        w.feed(agent, s.ToldToLeave())
    elif fault == "operator-down":
        w.operator = False
        w.after(rng.uniform(1, 20), lambda: setattr(w, "operator", True))
    elif fault == "scale":
        some = rng.randint(w.desired.min_members, len(w.desired.wanted))
        w.want(replace(w.desired, wanted=tuple(Pod(i, 0) for i in range(max(1, some)))))
    elif fault == "api-away":
        take_away(w, rng)
    elif fault == "delete-lease":
        w.drop_lease(agent.me.who.name)
    else:
        break_agent(w, agent, fault, rng)


def break_agent(w: World, agent: Agent, fault: str, rng: random.Random) -> None:
    """Cut, mute, dark or stuck for a while."""
    if fault == "cut":
        w.cut(agent)
    elif fault == "mute":
        agent.writes = False
    elif fault == "dark":
        agent.reads = False
    elif fault == "stuck":
        agent.stuck = True
        return
    if fault != "dark":
        w.after(rng.uniform(0.5, 12), lambda: w.heal(agent))


def take_away(w: World, rng: random.Random) -> None:
    """The API server, for everybody a little sooner or later: it has several endpoints."""
    w.operator = False
    back_s = rng.uniform(1, 15)
    for agent in w.agents.values():
        w.after(rng.uniform(0, 0.5), partial(w.cut, agent))
        w.after(back_s + rng.uniform(0, 0.5), partial(w.heal, agent))
    w.after(back_s + 0.5, lambda: setattr(w, "operator", True))


@pytest.mark.parametrize("seed", range(SEEDS))
def test_when_faults_stop_the_live_wanted_agents_run(seed: int) -> None:
    rng = random.Random(seed)
    n = rng.choice([1, 2, 3, 3, 4])
    w = world(seed, n, min_members=rng.randint(1, n))
    try:
        for _ in range(rng.randint(1, 5)):
            w.run(w.now + rng.uniform(0.05, 6))
            inject(w, rng.choice(FAULTS), rng)
        w.operator = True
        w.run(w.now + QUIET_S)
    except BrokenInvariantError as broken:
        pytest.fail(f"{broken}\n" + "\n".join(w.log))
    assert w.at_rest(), "\n".join([*w.log, repr(w.round.round), repr(w.live())])


@pytest.mark.parametrize("seed", range(SEEDS // 3))
@pytest.mark.parametrize(
    ("fault", "charges"),
    [
        ("worker", 1), ("die", 1), ("die-silently", 1), ("restart-holder", 1), ("leave", 0),
        ("operator-down", 0), ("delete-lease", 0), ("api-away", 0),
    ],
)  # fmt: skip
def test_one_incident_is_charged_once(seed: int, fault: str, charges: int) -> None:
    rng = random.Random(seed)
    w = world(seed, 3, min_members=1)
    w.run(3 + rng.random() * 4)
    assert w.round.round.phase is Phase.ACTIVE
    inject(w, fault, rng)
    w.run(w.now + QUIET_S)
    assert w.at_rest(), "\n".join(w.log)
    assert w.spent() == charges, "\n".join(w.log)


@pytest.mark.parametrize("seed", range(SEEDS // 3))
def test_a_job_that_finishes_succeeds_once(seed: int) -> None:
    w = world(seed, 4, min_members=2)
    w.work_s = 3.0
    w.run(120)
    assert w.round.round.phase is Phase.SUCCEEDED, "\n".join(w.log)
    assert w.spent() == 0
