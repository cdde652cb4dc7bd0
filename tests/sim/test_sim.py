"""Test the shipped protocol under random latencies and faults. Each seed is one history."""

from __future__ import annotations

import os
import random
from functools import partial

import pytest
from tests.sim import faults
from tests.sim.checks import BrokenInvariantError
from tests.sim.faults import HOLDER, Fault
from tests.sim.history import (
    LONGEST_S,
    QUIET_S,
    comes_to_rest,
    describe,
    desired_of,
    of_seed,
    play,
    world_of,
)
from tests.sim.world import World
from tests.support.mutants import without

from elasticjob.rendezvous.events import LeaveRequested
from elasticjob.wire.member import Pod
from elasticjob.wire.round import Phase

pytestmark = pytest.mark.sim
SEEDS = int(os.environ.get("SIM_SEEDS", "1"))


def world(seed: int, n: int, min_members: int, budget: int = 20) -> World:
    return World(seed=seed, desired=desired_of(n, min_members, budget))


def inject(w: World, kind: str, rng: random.Random) -> None:
    """Inject a fault of this kind at a random live agent."""
    if live := sorted(p for p, a in w.agents.items() if a.alive):
        index = HOLDER if kind == "restart-holder" else rng.choice(live).index
        kind = rng.choice(["die", "die-silently"]) if kind == "restart-holder" else kind
        faults.inject(w, Fault(w.now, kind, index, rng.uniform(1, 15)))


@pytest.mark.parametrize("seed", range(SEEDS))
def test_when_faults_stop_the_live_wanted_agents_run(seed: int) -> None:
    """All invariants, the ledger included, under many faults of operator, agents and users."""
    history = of_seed(seed)
    w = world_of(history)
    try:
        play(w, history)
    except BrokenInvariantError as broken:
        pytest.fail(f"{broken}\n{history}\n{describe(w)}")


@pytest.mark.parametrize("seed", range(max(1, SEEDS // 10)))
@pytest.mark.parametrize(
    ("fault", "charges"),
    [
        ("worker", 1), ("report", 1), ("die", 1), ("die-silently", 1), ("leave", 1),
        ("operator-down", 0), ("delete-pod", 0),
        *(pytest.param(*row, marks=pytest.mark.slow) for row in (
            ("restart-holder", 1), ("delete-lease", 0), ("api-away", 0), ("delete-by-force", 0),
            ("node", 1), ("unschedulable", 0),
            ("workers", 1), ("evict", 0), ("restart", 1), ("suspend", 0), ("template", 0),
            ("quota", 0), ("forge-round", 0), ("delete-round", 0), ("operator-late", 0),
            ("operator-lag", 0),
        )),
    ],
)  # fmt: skip
def test_one_incident_is_charged_once(seed: int, fault: str, charges: int) -> None:
    """SIGTERM without a deletion counts, as the operator sees nothing that excuses it."""
    rng = random.Random(seed)
    w = world(seed, 3, min_members=1)
    w.run(3 + rng.random() * 4)
    assert w.lease.round.phase is Phase.ACTIVE, describe(w)
    inject(w, fault, rng)
    assert comes_to_rest(w), describe(w)
    assert w.counted_failures() == charges, describe(w)


@pytest.mark.parametrize("seed", range(max(1, SEEDS // 3)))
def test_a_job_that_finishes_succeeds_once(seed: int) -> None:
    w = world(seed, 4, min_members=2)
    w.work_s = 3.0
    w.run(120)
    assert w.lease.round.phase is Phase.SUCCEEDED, describe(w)
    assert w.counted_failures() == 0


# ---- what planned departures cost ----------------------------------------------------------------


def crash_and_leave(seed: int, budget: int) -> World:
    """A world in which workers crash and pods are deleted at random times."""
    rng = random.Random(seed)
    w = world(seed, 4, min_members=rng.randint(1, 4), budget=budget)
    w.run(5)
    for _ in range(40):
        if w.lease.round.phase.is_terminal:
            break
        w.run(w.now + rng.uniform(0.02, 8))
        inject(w, rng.choice(["worker", "worker", "delete-pod", "delete-by-force"]), rng)
    w.run(w.now + QUIET_S)
    return w


def crashes(w: World) -> int:
    """The number of crashes that ended a round or the job."""
    return len({n for round_ in w.history for n in round_.charged.numbers})


@pytest.mark.parametrize("seed", range(SEEDS))
def test_departures_refund_no_crash(seed: int) -> None:
    """Every charged crash counts to the end, also if pods leave."""
    try:
        w = crash_and_leave(seed, budget=1000)
    except BrokenInvariantError as broken:
        pytest.fail(f"{broken} (seed {seed})")
    assert w.counted_failures() == crashes(w), describe(w)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_departures_do_not_change_the_budget(seed: int) -> None:
    """With 3 restarts the fourth crash ends the job, no earlier and no later one."""
    w = crash_and_leave(seed, budget=3)
    while not w.lease.round.phase.is_terminal and w.now < LONGEST_S:
        w.run(w.now + 5)
        live = [agent for agent in w.agents.values() if agent.running is not None]
        if live:
            w.fail(live[0])
    assert w.lease.round.phase is Phase.FAILED, describe(w)
    assert crashes(w) == 4, describe(w)


@pytest.mark.parametrize("seed", range(max(1, SEEDS // 6)))
@pytest.mark.parametrize("budget", [0, 3])
def test_no_departure_answers_the_last_crash(seed: int, budget: int) -> None:
    """The job fails with the crash over its budget, also if a pod is deleted after each crash."""
    w = world(seed, 4, min_members=1, budget=budget)
    failures = 0
    while not w.lease.round.phase.is_terminal and w.now < LONGEST_S:
        w.run(w.now + 1)
        n, members = w.lease.round.n, w.lease.round.pods
        running = [agent for pod, agent in sorted(w.agents.items()) if agent.running == n]
        if len(running) < 2 or len(running) < len(members):
            continue
        w.fail(running[0])
        failures += 1
        w.run(w.now + 0.3)
        w.cluster.delete(running[-1].me.who.pod)
    assert w.lease.round.phase is Phase.FAILED, describe(w)
    assert failures == budget + 1, describe(w)


@pytest.mark.slow
@pytest.mark.parametrize("clause", ["8-departures-strike-nothing", "8-keeps-delay"])
def test_the_clauses_that_keep_the_budget_are_needed(clause: str) -> None:
    """Histories break if one of the clauses is left out."""
    with without(clause):
        assert any(breaks(seed) for seed in range(10))


def breaks(seed: int) -> bool:
    """Whether crashes and departures break an invariant."""
    try:
        crash_and_leave(seed, budget=1000)
    except BrokenInvariantError:
        return True
    return False


# ---- jobs that wait for a pod --------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(max(1, SEEDS // 3)))
def test_a_job_that_waits_for_a_pod_keeps_the_others(seed: int) -> None:
    """F21: check_deletion finds an operator that takes the holder for silent."""
    rng = random.Random(seed)
    w = world(seed, 4, min_members=4)
    w.cluster.trouble.unschedulable.add(3)
    w.run(400 + rng.uniform(0, 100))
    assert [pod for pod, agent in w.agents.items() if not agent.alive] == [], describe(w)
    w.cluster.trouble.unschedulable.clear()
    assert comes_to_rest(w), describe(w)
    assert {pod.generation for pod in w.lease.round.pods} == {0}, describe(w)
    assert w.counted_failures() == 0


@pytest.mark.slow
@pytest.mark.parametrize("every_s", [20.0, 60.0])
@pytest.mark.parametrize("seed", range(max(1, SEEDS // 6)))
def test_pods_that_start_one_after_the_other_are_kept(seed: int, every_s: float) -> None:
    """Nodes join one by one, so the last pods wait for minutes."""
    w = world(seed, 8, min_members=8)
    w.cluster.trouble.unschedulable |= set(range(1, 8))
    for index in range(1, 8):
        w.after(every_s * index, partial(w.cluster.trouble.unschedulable.discard, index))
    w.run(every_s * 8)
    assert comes_to_rest(w), describe(w)
    assert {pod.generation for pod in w.lease.round.pods} == {0}, describe(w)


@pytest.mark.parametrize("seed", range(max(1, SEEDS // 6)))
def test_an_agent_that_leaves_and_then_is_silent_is_replaced(seed: int) -> None:
    """A node that shuts down sends SIGTERM, and then is gone."""
    w = world(seed, 4, min_members=4)
    w.cluster.trouble.unschedulable.add(3)
    w.run(40)
    holder = w.holder()
    agent = next(a for _, a in sorted(w.agents.items()) if a is not holder)
    pod = agent.me.who.pod
    w.feed(agent, LeaveRequested())
    while not w.leases[agent.me.who.name].state.leaving:
        w.run(w.now + 0.005)
    w.end(agent, reported=False)
    w.run(w.now + 40)  # long before the node's pods are evicted
    assert Pod(pod.index, 1) in w.cluster.pods, describe(w)


@pytest.mark.parametrize("seed", range(max(1, SEEDS // 3)))
def test_two_pods_of_a_dead_node_are_replaced_together(seed: int) -> None:
    """All pods are needed, so the round is Forming once the holder finds the first loss."""
    w = world(seed, 4, min_members=4)
    w.spread = 2
    w.run(5 + w.rng.random())
    assert w.lease.round.phase is Phase.ACTIVE, describe(w)
    holder = w.holder()
    dead = "node-0" if holder is None or holder.me.who.node == "node-1" else "node-1"
    lost = w.end_node(dead)
    at = w.now
    while {p.index for p in lost} - {p.index for p in w.agents if p.generation == 1}:
        w.run(w.now + 0.1)
        assert w.now < at + 6.0, describe(
            w
        )  # 3T until the first is silent, T for the second, and a GET
    assert comes_to_rest(w), describe(w)
    assert w.counted_failures() == 1, describe(w)
