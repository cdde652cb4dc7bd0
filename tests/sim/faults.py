"""The faults of a history: what users, nodes, networks and workers do to a job."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from tests.sim.world import Agent, World

from elasticjob.rendezvous.events import LeaveRequested

HOLDER = -1  # as the index of a fault: the pod of the holder


@dataclass(frozen=True)
class Fault:
    """One fault. index: of the pod that it concerns, if it lives then. for_s: how long it lasts."""

    at: float
    kind: str
    index: int = 0
    for_s: float = 0.0


VICTIMS_FAIL = 0.5  # how often the workers of other members fail after a report
VICTIM_S = 0.3  # the time until then


def inject(world: World, fault: Fault) -> None:
    """Inject one fault now."""
    if fault.kind in _OF_WORLD:
        world.note(f"FAULT {fault.kind} {fault.index} for {fault.for_s:.1f} s")
        _OF_WORLD[fault.kind](world, fault)
        return
    agent = victim(world, fault.index)
    if agent is not None:
        world.note(f"FAULT {fault.kind} {agent.me.who.name} for {fault.for_s:.1f} s")
        _OF_AGENT[fault.kind](world, agent, fault)


def victim(world: World, index: int) -> Agent | None:
    """The living agent of this index whose generation is the highest, or the holder."""
    if index == HOLDER:
        holder = world.holder()
        return holder if holder is not None and holder.alive else None
    living = [p for p, agent in world.agents.items() if agent.alive and p.index == index]
    return world.agents[max(living, key=lambda p: p.generation)] if living else None


# ---- workers, agents and nodes -------------------------------------------------------------------


def crash(world: World, agent: Agent, fault: Fault) -> None:
    world.fail(agent)


def crash_all(world: World, agent: Agent, fault: Fault) -> None:
    """Workers of all members fail, within a moment."""
    if agent.running is not None:
        world.fail_all(agent.running, fault.for_s / 10)


def report(world: World, agent: Agent, fault: Fault) -> None:
    """A worker writes an error file, and those of other members fail before it exits."""
    n = agent.running
    world.report(agent)
    if n is not None and world.rng.random() < VICTIMS_FAIL:
        world.after(VICTIM_S, lambda: world.fail_all(n, fault.for_s / 10))


def fatal(world: World, agent: Agent, fault: Fault) -> None:
    world.fail(agent, fatal=True)


def finish(world: World, agent: Agent, fault: Fault) -> None:
    """The workers of all members exit with 0, at different times."""
    n = agent.running
    if n is None:
        return
    for pod in sorted(world.members_of(n)):
        when = world.rng.uniform(0, fault.for_s)
        world.after(when, partial(world.finish, world.agents[pod], n))


def die(world: World, agent: Agent, fault: Fault) -> None:
    world.end(agent, reported=True)


def die_silently(world: World, agent: Agent, fault: Fault) -> None:
    world.end(agent, reported=False)


def node(world: World, agent: Agent, fault: Fault) -> None:
    world.end_node(agent.me.who.node)


def leave(world: World, agent: Agent, fault: Fault) -> None:
    """SIGTERM without a deletion: nothing excuses it."""
    agent.harm(world.now)
    world.feed(agent, LeaveRequested())


def restart(world: World, agent: Agent, fault: Fault) -> None:
    world.cluster.restart_agent(agent.me.who.pod)


def cut(world: World, agent: Agent, fault: Fault) -> None:
    world.cut(agent)
    world.after(fault.for_s, lambda: world.heal(agent))


def mute(world: World, agent: Agent, fault: Fault) -> None:
    agent.writes = False
    agent.harm(world.now)
    world.after(fault.for_s, lambda: world.heal(agent))


def dark(world: World, agent: Agent, fault: Fault) -> None:
    """Its watch delivers nothing until it is opened again."""
    agent.reads = False
    agent.harm(world.now)
    world.after(fault.for_s, lambda: world.heal(agent))


def lose_answers(world: World, agent: Agent, fault: Fault) -> None:
    """Its requests are performed, and their answers are lost."""
    agent.answers = False
    agent.harm(world.now)
    world.after(fault.for_s, lambda: world.heal(agent))


def slow(world: World, agent: Agent, fault: Fault) -> None:
    """Its requests and answers take up to three seconds, so later ones may overtake them."""
    agent.slow_s = 3.0
    agent.harm(world.now)
    world.widen(4.0)
    world.after(fault.for_s, lambda: world.heal(agent))


def lag(world: World, agent: Agent, fault: Fault) -> None:
    """Its watch lags by seconds."""
    agent.lag_s = 2.0
    agent.harm(world.now)
    world.widen(3.0)
    world.after(fault.for_s, lambda: world.heal(agent))


def stuck(world: World, agent: Agent, fault: Fault) -> None:
    """It can neither reap nor start workers."""
    agent.stuck = True
    agent.harm(world.now)


def delete_pod(world: World, agent: Agent, fault: Fault) -> None:
    world.cluster.delete(agent.me.who.pod)


def delete_by_force(world: World, agent: Agent, fault: Fault) -> None:
    world.cluster.delete_by_force(agent.me.who.pod)


def evict(world: World, agent: Agent, fault: Fault) -> None:
    world.cluster.delete(agent.me.who.pod, disrupted=True)


def delete_stuck(world: World, agent: Agent, fault: Fault) -> None:
    """A user deletes a pod whose node has just died, so that its deletion does not end."""
    world.end(agent, reported=False)
    world.cluster.delete(agent.me.who.pod)


def delete_lease(world: World, agent: Agent, fault: Fault) -> None:
    world.drop_lease(agent.me.who.name)


# ---- clusters, users and the operator ------------------------------------------------------------


def api_away(world: World, fault: Fault) -> None:
    """Cut off all agents, each a little sooner or later: the API server has several endpoints."""
    for agent in world.agents.values():
        world.after(world.rng.uniform(0, 0.5), partial(world.cut, agent))
        world.after(fault.for_s + world.rng.uniform(0, 0.5), partial(world.heal, agent))
    world.operator_down(fault.for_s + 0.5)


def unschedulable(world: World, fault: Fault) -> None:
    """No node takes the next pods of this index."""
    world.cluster.trouble.unschedulable.add(fault.index)
    world.after(fault.for_s, lambda: world.cluster.trouble.unschedulable.discard(fault.index))


def pull(world: World, fault: Fault) -> None:
    """The next pod of this index waits for its image."""
    world.cluster.trouble.pulls_s[fault.index] = fault.for_s * 10


def dead_node(world: World, fault: Fault) -> None:
    """The next pod of this index is bound to a node without a kubelet."""
    world.cluster.trouble.dead_node.add(fault.index)


def cannot_join(world: World, fault: Fault) -> None:
    """The next agent of this index cannot reach the API server."""
    world.cluster.trouble.unreachable.add(fault.index)


def quota(world: World, fault: Fault) -> None:
    """A quota refuses pods."""
    world.cluster.trouble.quota = fault.index

    def end() -> None:
        world.cluster.trouble.quota = None

    world.after(fault.for_s, end)


def scale(world: World, fault: Fault) -> None:
    replicas = max(world.desired.min_members, fault.index + 1)
    world.scale(replicas)


def suspend(world: World, fault: Fault) -> None:
    world.cluster.edit(suspend=True)
    world.after(fault.for_s, lambda: world.cluster.edit(suspend=False))


def template(world: World, fault: Fault) -> None:
    world.cluster.change_template()


def delete_job(world: World, fault: Fault) -> None:
    """A user deletes the job, and creates another one of its name."""
    how = ("background", "foreground", "orphan")[fault.index % 3]
    world.cluster.delete_job(how)
    world.after(fault.for_s, world.cluster.create_job)


def delete_round(world: World, fault: Fault) -> None:
    world.delete_round(world.lease.job_uid)


def forge_round(world: World, fault: Fault) -> None:
    world.forge_round()


def operator_down(world: World, fault: Fault) -> None:
    """The operator's process ends, wherever it is in a plan."""
    world.operator_down(fault.for_s)


def operator_late(world: World, fault: Fault) -> None:
    """Another operator becomes the leader, and the last request of the old one arrives late."""
    world.operator_down(0.1, late_s=min(fault.for_s, 5.0))


def operator_lag(world: World, fault: Fault) -> None:
    """The operator's watches lag by seconds."""
    operator = world.operator
    operator.lag_s = 3.0

    def end() -> None:
        operator.lag_s = 0.0

    world.after(fault.for_s, end)


_OF_AGENT: dict[str, Callable[[World, Agent, Fault], None]] = {
    "worker": crash, "report": report, "workers": crash_all, "fatal": fatal, "finish": finish,
    "die": die, "die-silently": die_silently, "node": node, "leave": leave, "restart": restart,
    "cut": cut, "mute": mute, "dark": dark, "lose-answers": lose_answers, "slow": slow, "lag": lag,
    "stuck": stuck, "delete-pod": delete_pod, "delete-by-force": delete_by_force, "evict": evict,
    "delete-stuck": delete_stuck, "delete-lease": delete_lease,
}  # fmt: skip
_OF_WORLD: dict[str, Callable[[World, Fault], None]] = {
    "api-away": api_away, "unschedulable": unschedulable, "pull": pull, "dead-node": dead_node,
    "cannot-join": cannot_join, "quota": quota, "scale": scale, "suspend": suspend,
    "template": template, "delete-job": delete_job, "delete-round": delete_round,
    "forge-round": forge_round, "operator-down": operator_down, "operator-late": operator_late,
    "operator-lag": operator_lag,
}  # fmt: skip
KINDS = (*_OF_AGENT, *_OF_WORLD)
