"""The operator has exactly the rights that it needs.

This module records them in a history in which the operator does everything that it can do.
test_account records the requests of a real operator on the local API server.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import pytest
from tests.support.chart import NAMESPACE, of_kind, one, rendered
from tests.support.jobs import elastic_job, worker
from tests.support.protocol import T
from tests.support.store_api import Call
from tests.support.world import TEAM, P, World

from elasticjob.agent.api.lease_requests import LeaseRequests
from elasticjob.controller import kube, resync
from elasticjob.controller.act import manifests
from elasticjob.controller.act.bundle import Bundle
from elasticjob.controller.settings import Settings
from elasticjob.controller.watch.cache import WATCHED
from elasticjob.local.api.server import AGENT_ROLE
from elasticjob.wire import names
from elasticjob.wire.cause import Cause, CauseKind
from elasticjob.wire.codec import Json
from elasticjob.wire.member import Pod
from elasticjob.wire.report import Recovery, Report

Right = tuple[str, str, str]  # group, resource or resource/subresource, verb
BIND: Right = ("rbac.authorization.k8s.io", "clusterroles", "bind")

NAMESPACED = ("scope=namespaced", "namespaces={red}")
ELECTION = "elasticjob-operator-election"
KINDS = {"ServiceAccount": kube.SERVICE_ACCOUNTS, "RoleBinding": kube.ROLE_BINDINGS}
GROUPS = {
    resource.plural: resource.group
    for resource in (
        kube.ELASTIC_JOBS, kube.PODS, kube.EVENTS, kube.CONFIG_MAPS, kube.SERVICE_ACCOUNTS,
        kube.LEASES, kube.ROLE_BINDINGS,
    )
}  # fmt: skip


def rights(role: Json) -> set[Right]:
    return {
        (group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def operator_role(scope: str) -> Json:
    if scope == "cluster":
        return one(rendered(), "ClusterRole", f"elasticjob-operator.{NAMESPACE}")
    return one(rendered(*NAMESPACED), "Role", f"elasticjob-operator.{NAMESPACE}")


def agent_role() -> Json:
    return one(rendered(), "ClusterRole", names.AGENT_CLUSTER_ROLE)


# ---- needed rights -------------------------------------------------------------------------------


LONG_S = 300.0  # more than each wait of the operator before an action


def life_of_a_job() -> World:
    """A history of a job that contains each request that the operator can make."""
    world = World()
    before(world)
    world.apply(replicas=3)
    world.settle()
    world.bind_pod("demo-1-0")  # it waits on its node: its Events are read
    world.sleep(10)
    world.start_all()
    members = (Pod(0, 1), P[1], P[2])
    for pod in members:
        world.join(pod)
    world.run(*members)
    world.settle()
    for name in ("demo-0-1", "demo-1-0"):  # marked and replaced
        world.end_pod(name)
        world.live(LONG_S)
    world.run(P[2], n=2)  # there is a later round, so the marked Leases are deleted
    world.run(P[2], n=3, cause=Cause(CauseKind.WORKER_FAILED, "demo-2-0", n=2), charged=[3])
    world.settle()
    world.report(Report(3, (P[2],), Recovery(3, 2), outside=True))  # the event has more to report
    resync_all(world)
    world.live(LONG_S)
    world.restart(Settings(heartbeat_s=T), agent=b"newer")
    world.end_pod(
        "demo-2-0"
    )  # replaced by one with the agent of the live pods, if its ConfigMap exists
    world.live(LONG_S)
    world.edit(suspend=True)  # the pods are deleted
    world.live(LONG_S)
    world.store.delete(world.api.stored(kube.ELASTIC_JOBS), TEAM, "demo")
    world.apply(replicas=1)  # the Round Lease of the older job is deleted
    world.settle()
    return world


def before(world: World) -> None:
    """Create objects with the same names: of an older job, of no job, of an older operator."""
    pod = {"metadata": {"name": "demo-0-0"}, "spec": {"containers": [worker()]}}
    world.store.create(world.api.stored(kube.PODS), TEAM, pod)
    agent = manifests.agent_config_map(TEAM, Bundle(b"older"))
    world.store.create(world.api.stored(kube.CONFIG_MAPS), TEAM, agent)
    for body in manifests.rights(elastic_job()):
        world.store.create(world.api.stored(KINDS[body["kind"]]), TEAM, body)


def resync_all(world: World) -> None:
    """Run the resync, the search for orphans and the deletion of unused agent ConfigMaps."""

    async def sync() -> None:
        memories = world.reconciler.memories
        await resync.compare(world.api, ("",), world.cache)
        await resync.find_orphans(world.api, ("",), world.cache, memories)
        later = datetime.now(UTC) + timedelta(days=1)
        await resync.delete_old_agents(world.api, ("",), world.cache, "none", later)

    asyncio.run(sync())


def recorded(calls: Iterable[Call]) -> set[Right]:
    found = set()
    for call in calls:
        _, slash, subresource = call.what.partition("/")
        is_object = call.verb != "list" and slash
        resource = f"{call.plural}/{subresource}" if is_object else call.plural
        found.add((GROUPS[call.plural], resource, call.verb))
    return found


def watched() -> set[Right]:
    """The rights that kopf's watches need."""
    return {(r.group, r.plural, verb) for r in WATCHED for verb in ("list", "watch")}


@pytest.mark.parametrize("scope", ["cluster", "namespaced"])
def test_the_operator_may_do_what_it_does_and_no_more(scope: str) -> None:
    needed = recorded(life_of_a_job().api.calls) | watched()
    assert rights(operator_role(scope)) == needed | {BIND}


@pytest.mark.parametrize("scope", ["cluster", "namespaced"])
def test_the_operator_may_bind_the_agents_role_and_no_other(scope: str) -> None:
    """It needs `bind` if another release has made that role, with more rights than it holds."""
    (rule,) = [rule for rule in operator_role(scope)["rules"] if "bind" in rule["verbs"]]
    assert rule == {
        "apiGroups": ["rbac.authorization.k8s.io"],
        "resources": ["clusterroles"],
        "resourceNames": [names.AGENT_CLUSTER_ROLE],
        "verbs": ["bind"],
    }


def test_the_election_has_one_lease() -> None:
    made, held = one(rendered(), "Role", ELECTION)["rules"]
    assert (made["verbs"], held["verbs"]) == (["create"], ["get", "patch"])
    lease = one(rendered(), "Deployment")["spec"]["template"]["spec"]["containers"][0]["args"][0]
    assert lease == f"--elect={NAMESPACE}/{held['resourceNames'][0]}"


# ---- other rights -------------------------------------------------------------------------------


@pytest.mark.parametrize("values", [(), NAMESPACED], ids=str)
def test_no_role_is_more_than_a_list_of_verbs(values: tuple[str, ...]) -> None:
    roles = [*of_kind(rendered(*values), "ClusterRole"), *of_kind(rendered(*values), "Role")]
    for role in roles:
        for group, resource, verb in rights(role):
            assert verb not in ("escalate", "impersonate"), role["metadata"]["name"]
            assert verb != "bind" or resource == "clusterroles", role["metadata"]["name"]
            assert "*" not in (group, resource, verb), role["metadata"]["name"]
            assert resource not in ("secrets", "pods/exec", "serviceaccounts/token", "nodes")


def test_an_agent_may_do_what_its_requests_need_and_no_more() -> None:
    needs = {"get": "get", "list": "list", "watch": "watch", "create": "create", "patch": "patch"}
    requests = {name for name in vars(LeaseRequests) if not name.startswith("_")} - {"namespace"}
    assert requests == set(needs)
    assert {verb for _, _, verb in rights(agent_role())} == set(needs.values())


def test_the_agents_role_is_that_of_the_local_mode() -> None:
    assert rights(agent_role()) == rights(AGENT_ROLE)


def test_editors_of_a_namespace_edit_its_jobs() -> None:
    objects = rendered()
    editor = one(objects, "ClusterRole", "elasticjob-editor")
    viewer = one(objects, "ClusterRole", "elasticjob-viewer")
    prefix = "rbac.authorization.k8s.io/aggregate-to-"
    labels = {label for label in editor["metadata"]["labels"] if label.startswith(prefix)}
    assert labels == {f"{prefix}admin", f"{prefix}edit"}
    assert viewer["metadata"]["labels"][f"{prefix}view"] == "true"
    assert {verb for _, _, verb in rights(viewer)} == {"get", "list", "watch"}
    apart = one(rendered("rbac.aggregate=false"), "ClusterRole", "elasticjob-viewer")
    assert not any(label.startswith(prefix) for label in apart["metadata"]["labels"])
