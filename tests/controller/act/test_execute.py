"""Objects that exist before the operator creates them, and agents of another release."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from tests.support.protocol import T
from tests.support.snapshots import shown
from tests.support.world import TEAM, World, running_world

from elasticjob.controller import kube
from elasticjob.controller.act import manifests
from elasticjob.controller.act.bundle import Bundle
from elasticjob.controller.settings import Settings
from elasticjob.local.api.objects.resource import Object
from elasticjob.wire import names
from elasticjob.wire.round import Phase, Round

AGENT = Bundle(b"agent")
SHORT = AGENT.hash[:10]
NAME = f"elasticjob-agent-{SHORT}"
FOREIGN = base64.b64encode(b"foreign").decode()


def config_map(world: World) -> Object:
    return world.store.get(world.api.stored(kube.CONFIG_MAPS), TEAM, NAME)


def exchange(world: World, **fields: Any) -> None:
    """Another user deletes the ConfigMap of the agent, and creates it with these fields."""
    stored = world.api.stored(kube.CONFIG_MAPS)
    if world.store.find(stored, TEAM, NAME):
        world.store.delete(stored, TEAM, NAME)
    body = {**manifests.agent_config_map(TEAM, AGENT), **fields}
    world.store.create(stored, TEAM, body)


def created_first(**fields: Any) -> World:
    """A world with this ConfigMap, in which a job is created then."""
    world = World()
    exchange(world, **fields)
    world.apply(replicas=1)
    world.settle()
    return world


def bare(**fields: Any) -> Object:
    return {"metadata": {"name": NAME}, **fields}


def agent_of(world: World, pod: str) -> str:
    """The hash in the command of a pod."""
    body = world.store.get(world.api.stored(kube.PODS), TEAM, pod)
    command = body["spec"]["containers"][0]["command"]
    return str(command[command.index("--") - 1])


# ---- the ConfigMap of the agent ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "fields"),
    [
        (bare(binaryData={"agent.pyz": FOREIGN}), "binaryData"),
        (bare(binaryData={}, data={"agent.pyz": "print(1)"}), "binaryData and data"),
        (bare(immutable=False), "immutable"),
    ],
)
def test_an_unlabelled_config_map_with_another_content_is_refused(
    found: Object, fields: str
) -> None:
    world = created_first(**found)
    why = f"the ConfigMap {NAME} has another {fields}: delete it"
    assert world.pod_names() == []
    assert world.status()["phase"] == shown(f"Pending: no pods can be created: {why}")
    assert world.condition("PodsReady") == (
        "False", "PodsRefused", f"0/1 pods running; no pods can be created: {why}",
    )  # fmt: skip
    assert world.events()["PodsRefused"] == (1, f"0/1 pods running; no pods can be created: {why}")
    world.store.delete(world.api.stored(kube.CONFIG_MAPS), TEAM, NAME)
    world.now += 1
    world.settle()
    assert world.pod_names() == ["demo-0-0"]


def test_a_labelled_config_map_with_another_content_is_replaced() -> None:
    world = created_first(binaryData={"agent.pyz": FOREIGN})
    assert world.pod_names() == ["demo-0-0"]
    assert Bundle(base64.b64decode(config_map(world)["binaryData"]["agent.pyz"])) == AGENT


def test_an_unlabelled_config_map_with_the_same_content_is_used() -> None:
    world = created_first(**bare())
    assert world.pod_names() == ["demo-0-0"]
    assert "labels" not in config_map(world)["metadata"]


def test_a_config_map_that_exists_costs_one_request() -> None:
    world = created_first(**bare())
    calls = [str(call) for call in world.api.calls if call.plural == "configmaps"]
    assert calls == [f"get configmaps {NAME}"]


def test_a_config_map_that_always_comes_back_is_reported() -> None:
    world = World()
    kept = {"name": NAME, "labels": manifests.agent_config_map(TEAM, AGENT)["metadata"]["labels"]}
    exchange(world, metadata={**kept, "finalizers": ["example.com/x"]}, data={"x": "y"})
    world.apply(replicas=1)
    world.settle()
    assert world.pod_names() == []
    assert world.condition("PodsReady")[2].endswith(  # type: ignore[index]
        f"the ConfigMap {NAME} has another data, and is still there after its deletion: remove its"
        " finalizers, or stop what creates it"
    )


def test_pods_whose_agent_was_exchanged_end_slowly_and_the_operator_repairs_it() -> None:
    world = running_world()
    exchange(world, binaryData={"agent.pyz": FOREIGN})
    world.end_pod("demo-2-0")
    world.settle()
    world.end_pod("demo-2-1", 75, "ConfigMap: agent.pyz has another SHA-256")
    world.write_round(Round(2, Phase.FORMING, starts=1))
    world.settle()
    assert "demo-2-2" not in world.pod_names()
    why = "1/4 agents cannot start: ConfigMap: agent.pyz has another SHA-256"
    assert why in world.condition("PodsReady")[2]  # type: ignore[index]
    assert "1/4 agents cannot start" in world.status()["phase"]
    world.advance(60)
    world.settle()
    assert "demo-2-2" in world.pod_names()
    assert Bundle(base64.b64decode(config_map(world)["binaryData"]["agent.pyz"])) == AGENT


# ---- agents of another release -------------------------------------------------------------------


def upgraded(recorded: str = SHORT, agent: bytes = b"newer") -> World:
    """An operator of this release, with a job whose status an operator of another one wrote."""
    world = running_world()
    jobs = world.api.stored(kube.ELASTIC_JOBS)
    change = lambda old: {**old, "status": {**old["status"], "agentHash": recorded}}  # noqa: E731
    world.store.update(jobs, TEAM, "demo", change, "status")
    world.restart(Settings(heartbeat_s=T), agent)
    return world


@pytest.mark.parametrize("agent", [b"newer", b"agent"])
@pytest.mark.parametrize("recorded", [SHORT, AGENT.hash])
def test_the_next_pods_of_an_older_job_have_the_whole_hash_of_its_agent(
    agent: bytes, recorded: str
) -> None:
    world = upgraded(recorded, agent)
    world.settle()
    assert world.status()["agentHash"] == recorded
    world.end_pod("demo-2-0")
    world.settle()
    assert agent_of(world, "demo-2-1") == world.status()["agentHash"] == AGENT.hash
    assert "demo-0-0" in world.pod_names()


@pytest.mark.parametrize("recorded", [SHORT, AGENT.hash])
def test_an_older_job_never_gets_an_agent_with_another_hash(recorded: str) -> None:
    world = upgraded(recorded)
    exchange(world, binaryData={"agent.pyz": FOREIGN})
    world.end_pod("demo-2-0")
    world.write_round(Round(2, Phase.FORMING, starts=1))
    world.settle()
    assert "demo-2-1" not in world.pod_names()
    assert world.condition("PodsReady")[2].endswith(  # type: ignore[index]
        f"no pods can be created: the ConfigMap {NAME} with the agent of the job's pods has another"
        " binaryData, and this operator has another agent: suspend the job, then resume it"
    )
    assert world.status()["agentHash"] == recorded


def test_an_exchange_after_the_prerequisites_of_an_older_job_were_found_is_refused() -> None:
    world = upgraded()
    world.end_pod("demo-2-0")
    world.api.refuse["create", "pods"] = kube.error_of(403, "Forbidden", "no", "no")
    world.settle()
    exchange(world, binaryData={"agent.pyz": FOREIGN})
    jobs = world.api.stored(kube.ELASTIC_JOBS)
    change = lambda old: {**old, "status": {**old["status"], "agentHash": SHORT}}  # noqa: E731
    world.store.update(jobs, TEAM, "demo", change, "status")
    world.api.refuse.clear()
    world.now += 1
    world.settle()
    assert "demo-2-1" not in world.pod_names()
    assert "has another binaryData" in world.condition("PodsReady")[2]  # type: ignore[index]


# ---- other objects -------------------------------------------------------------------------------


def test_a_pod_with_the_jobs_uid_that_another_user_created_costs_its_name_only() -> None:
    world = World()
    job = world.apply(replicas=1)
    body = {
        "metadata": {"name": "demo-0-0", "labels": {names.LABEL_JOB_UID: job["metadata"]["uid"]}},
        "spec": {"containers": [{"name": "a", "image": "b"}]},
    }
    world.store.create(world.api.stored(kube.PODS), TEAM, body)
    world.settle()
    assert world.pod_names() == ["demo-0-0", "demo-0-1"]


@pytest.mark.parametrize("field", ["roleRef", "subjects"])
def test_a_role_binding_with_another_content_is_replaced(field: str) -> None:
    world = World()
    job = world.apply(replicas=1)
    binding = manifests.rights(job)[1]
    foreign = {
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "mine"},
        "subjects": [],
    }
    stored = world.api.stored(kube.ROLE_BINDINGS)
    world.store.create(stored, TEAM, {**binding, field: foreign[field]})
    world.settle()
    assert world.store.get(stored, TEAM, "elasticjob-demo")[field] == binding[field]
    assert world.pod_names() == ["demo-0-0"]


def test_an_account_with_secrets_of_a_user_is_kept() -> None:
    """Deleting it would end the tokens of running agents."""
    world = World()
    job = world.apply(replicas=1)
    account = {**manifests.rights(job)[0], "imagePullSecrets": [{"name": "registry"}]}
    stored = world.api.stored(kube.SERVICE_ACCOUNTS)
    made = world.store.create(stored, TEAM, account)
    world.settle()
    assert (
        world.store.get(stored, TEAM, "elasticjob-demo")["metadata"]["uid"]
        == (made["metadata"]["uid"])
    )
