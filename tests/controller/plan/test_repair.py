"""What pods need was deleted by hand, or did not come back with its namespace."""

from __future__ import annotations

import math

import pytest
from tests.support.protocol import T
from tests.support.snapshots import NOW, apply, observed_pod, remembered, snapshot
from tests.support.world import TEAM, World, running_world

from elasticjob.controller import kube
from elasticjob.controller.act.bundle import Bundle
from elasticjob.controller.kube import Resource
from elasticjob.controller.observe import lasting
from elasticjob.controller.observe.containers import ContainerState, WorkerContainer
from elasticjob.controller.observe.memory import Lasting, Since
from elasticjob.controller.plan import repair
from elasticjob.controller.plan.actions import EnsurePrerequisites
from elasticjob.controller.settings import Settings
from elasticjob.wire.round import Phase, Round

HASH = Bundle(b"agent").hash
AGENT = f"elasticjob-agent-{HASH[:10]}"


@pytest.mark.parametrize(
    ("waited_s", "deployed_s", "left_s"),
    [
        (59.0, None, 1.0),
        (60.0, None, None),
        (60.0, 59.0, 1.0),
        (60.0, 60.0, None),
        (0.0, 900.0, 60.0),
    ],
)
def test_when_it_looks_again(
    waited_s: float, deployed_s: float | None, left_s: float | None
) -> None:
    pod = observed_pod(1, container=WorkerContainer(ContainerState.WAITING, "ContainerCreating"))
    memory = remembered(
        since={Since(Lasting.NOT_STARTING, pod.uid): NOW - waited_s},
        prerequisites_at=None if deployed_s is None else NOW - deployed_s,
    )
    s = snapshot(observed_pod(0), pod, memory=memory)
    expected = ([EnsurePrerequisites()], math.inf) if left_s is None else ([], left_s)
    assert apply(repair.ensure_prerequisites_again, s) == expected


@pytest.mark.parametrize(
    ("worker", "node", "expected"),
    [
        (WorkerContainer(ContainerState.WAITING, "ContainerCreating"), "node-1", True),
        (WorkerContainer(ContainerState.WAITING), "node-1", True),
        (WorkerContainer(ContainerState.WAITING, "PodInitializing"), "node-1", True),
        (WorkerContainer(ContainerState.WAITING), "", False),  # no node takes it
        (WorkerContainer(ContainerState.WAITING, "ImagePullBackOff"), "node-1", False),
        (WorkerContainer(ContainerState.RUNNING), "node-1", False),
    ],
)
def test_which_pods_hang(worker: WorkerContainer, node: str, expected: bool) -> None:
    assert (
        bool(list(lasting.not_starting(snapshot(observed_pod(0, container=worker, node=node)))))
        == expected
    )


@pytest.mark.parametrize(
    ("silent_s", "existed_s", "left_s"),
    [
        (9 * T - 1, 900.0, math.inf),  # lost.await_pulse waits
        (9 * T, 900.0, None),
        (9 * T, 9 * T, None),  # they existed before the silence
        (9 * T, None, None),
        (9 * T + 59, 59.0, 1.0),  # the operator has looked then
        (9 * T + 60, 60.0, None),
    ],
)
def test_it_looks_when_the_holder_sends_no_pulse(
    silent_s: float, existed_s: float | None, left_s: float | None
) -> None:
    memory = remembered(
        since={Since(Lasting.SAME_PULSE, ""): NOW - silent_s},
        prerequisites_at=None if existed_s is None else NOW - existed_s,
    )
    s = snapshot(observed_pod(0), holder="demo-0-0", memory=memory)
    expected = ([EnsurePrerequisites()], math.inf) if left_s is None else ([], left_s)
    assert apply(repair.ensure_prerequisites_again, s) == expected


@pytest.mark.parametrize("holder", ["", "demo-0-1"])
def test_without_a_holder_that_runs_no_pulse_is_missing(holder: str) -> None:
    memory = remembered(since={Since(Lasting.SAME_PULSE, ""): 0.0})
    s = snapshot(observed_pod(0), holder=holder, memory=memory)
    assert apply(repair.ensure_prerequisites_again, s) == ([], math.inf)


@pytest.mark.parametrize("kind", [kube.ROLE_BINDINGS, kube.SERVICE_ACCOUNTS])
def test_rights_that_were_deleted_under_running_agents_are_restored(kind: Resource) -> None:
    """The API server refuses the writes of all agents, so their Leases do not change any more."""
    world = running_world()
    world.now += 100
    world.pulse()
    world.settle()
    world.store.delete(world.api.stored(kind), TEAM, "elasticjob-demo")
    world.sleep(9 * T - 1)
    assert world.status()["phase"] == "Running"
    world.sleep(1)
    assert world.store.find(world.api.stored(kind), TEAM, "elasticjob-demo") is not None
    assert world.status()["phase"] == "Unknown: no sign of life from the agents since 00:01:40Z"
    assert world.condition("Stalled")[:2] == ("True", "AgentsSilent")  # type: ignore[index]
    assert world.condition("Running")[:2] == ("Unknown", "NoSignOfLife")  # type: ignore[index]
    name = "RoleBinding" if kind == kube.ROLE_BINDINGS else "ServiceAccount"
    assert world.events()["RightsRestored"] == (
        1,
        f"created {name} elasticjob-demo again, without which the agents of this job cannot write"
        " their Leases",
    )
    world.live(60)  # they may write again
    assert world.deleted_names() == []
    assert world.status()["phase"] == "Running"


def test_a_role_binding_that_gives_other_rights_is_replaced() -> None:
    world = running_world()
    world.now += 100
    world.pulse()
    world.settle()
    bindings = world.api.stored(kube.ROLE_BINDINGS)
    world.store.update(bindings, TEAM, "elasticjob-demo", lambda old: {**old, "subjects": []})
    world.sleep(9 * T)
    assert world.store.get(bindings, TEAM, "elasticjob-demo")["subjects"] != []
    assert "RightsRestored" in world.events()


def test_rights_that_exist_are_not_reported() -> None:
    world = running_world()
    world.sleep(9 * T + 5)
    assert world.status()["phase"].startswith("Unknown: no sign of life from the agents since")
    assert "RightsRestored" not in world.events()


def agents(world: World) -> list[str]:
    found = world.store.list(world.api.stored(kube.CONFIG_MAPS), TEAM)
    names = [body["metadata"]["name"] for body in found]
    return [name for name in names if name.startswith("elasticjob-agent-")]


def lose_agents(world: World) -> None:
    for name in agents(world):
        world.store.delete(world.api.stored(kube.CONFIG_MAPS), TEAM, name)


def test_an_agent_that_was_deleted_is_made_again_for_the_next_pod() -> None:
    world = running_world()
    lose_agents(world)
    world.now += 3600
    world.end_pod("demo-2-0")
    world.settle()
    assert agents(world) == [AGENT]


def test_an_agent_that_was_deleted_under_a_pod_that_starts_is_made_again() -> None:
    """Its pod hangs in ContainerCreating, and no other pod is to be made."""
    world = running_world()
    world.end_pod("demo-2-0")
    world.settle()
    lose_agents(world)
    world.start_pod("demo-2-1")
    waiting = {"waiting": {"reason": "ContainerCreating"}}
    world.set_pod("demo-2-1", "Pending", waiting)
    for _ in range(2):
        world.live(59)
        assert agents(world) == []
        world.live(1)
        assert agents(world) == [AGENT]
        lose_agents(world)


def test_the_agent_of_another_release_is_reported_as_missing_and_suspending_cures_it() -> None:
    world = running_world()
    world.restart(Settings(heartbeat_s=T), agent=b"newer")
    lose_agents(world)
    world.end_pod("demo-2-0")
    world.write_round(Round(2, Phase.FORMING, starts=1))
    world.settle()
    assert "demo-2-1" not in world.pod_names()
    assert world.condition("Stalled") == (
        "True",
        "PodsRefused",
        f"no pods can be created: the ConfigMap {AGENT} with the agent of the job's pods does not"
        " exist, and this operator has another agent: suspend the job, then resume it",
    )
    world.edit(suspend=True)
    world.settle()
    world.end_deleted()
    world.settle()
    world.edit(suspend=False)
    world.settle()
    assert len(world.pod_names()) == 4 + 1  # and the one that failed is kept
    assert world.status()["agentHash"] != HASH
    assert agents(world) == [f"elasticjob-agent-{world.status()['agentHash'][:10]}"]


def test_replacements_run_the_agent_of_those_that_live() -> None:
    world = running_world()
    world.restart(Settings(heartbeat_s=T), agent=b"newer")
    world.end_pod("demo-2-0")
    world.settle()
    assert world.status()["agentHash"] == HASH
    assert len(agents(world)) == 1
    for name in ("demo-0-0", "demo-1-0", "demo-2-1", "demo-3-0"):
        world.end_pod(name)  # no agent is left that could be mixed with another
    world.now += 3600
    world.settle()
    assert world.status()["agentHash"] != HASH
    assert len(agents(world)) == 2
