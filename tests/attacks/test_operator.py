"""Code in the pods of one job attacks the operator, on which all other jobs depend."""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from dev.wait import wait_until_async
from tests.support.jobs import elastic_job
from tests.support.world import KEY, TEAM, P, World, running_world

from elasticjob.controller import kube, resync
from elasticjob.controller.observe.key import Key
from elasticjob.controller.reconcile import SOON_S
from elasticjob.controller.watch.cache import KEPT_ROUNDS
from elasticjob.local.api.call import Call
from elasticjob.local.api.objects.builtins import LEASES, PODS
from elasticjob.local.api.objects.resource import Object
from elasticjob.local.api.server import RunningServer, serve
from elasticjob.wire import names
from elasticjob.wire.charges import KEPT
from elasticjob.wire.codec import Json, dump
from elasticjob.wire.round import Phase, Round

DEADLINE_S = 60.0
OTHER = Key(TEAM, "other")
FINALIZER = "example.com/keep"
WRITES = 200
MOST_REQUESTS = 40  # of the operator in ten seconds, for a job that waits for a finalizer


def write_round(world: World, **fields: object) -> None:
    """Write any text as the round, with the token of an agent."""

    def change(old: Json) -> Json:
        notes = old["metadata"]["annotations"]
        notes[names.ANNOTATION_ROUND] = dump({"n": 1, "phase": "Active", **fields})
        return old

    world.store.update(world.api.stored(kube.LEASES), TEAM, world.round_name(), change)


def settle_other(world: World) -> None:
    """Another job starts, as if nothing happened."""
    world.apply({**elastic_job("other"), "metadata": {"name": "other"}})
    world.settle(OTHER)
    assert "other-0-0" in world.pod_names()


# ---- a round names pods that do not exist --------------------------------------------------------


@pytest.mark.parametrize(
    "members", ["0-9999@0", "0-99999@0", "7@0", "0-3@1", "0-3@0,4-203@0", "0@0,1@0,2@0,3@9"]
)
def test_a_round_of_pods_that_were_never_created_is_replaced(members: str) -> None:
    """Not one Lease is created or marked for them, and the job continues."""
    world = running_world()
    before = world.api.writes.copy()
    write_round(world, n=7, members=members, starts=1)
    world.settle()
    new = world.api.writes[len(before) :]
    assert [write for write in new if "leases" in write] == ["patch leases demo-round"]
    found = world.round().round
    assert (found.phase, found.n) == (Phase.FORMING, 1007)
    assert world.pod_names() == [world.pod_name(pod) for pod in P[:4]]
    condition = world.condition("Obstructed")
    assert condition is not None
    assert condition[:2] == ("True", "RoundReplaced")
    assert "round.members names " in condition[2]
    world.run(*P[:4], n=1008)
    world.settle()
    assert world.condition("Obstructed")[:2] == ("False", "NotObstructed")  # type: ignore[index]
    assert world.status()["phase"] == "Running"
    settle_other(world)


def test_a_report_of_pods_that_were_never_created_is_ignored_and_named() -> None:
    world = running_world()

    def change(old: Json) -> Json:
        report = dump({"n": 1, "silent": "0-9999@0"})
        old["metadata"]["annotations"][names.ANNOTATION_REPORT] = report
        return old

    world.store.update(world.api.stored(kube.LEASES), TEAM, world.round_name(), change)
    world.settle()
    condition = world.condition("Obstructed")
    assert condition is not None
    assert condition[:2] == ("True", "ReportIgnored")
    assert "report.silent names 4-9999@0" in condition[2]
    assert world.deleted_names() == []


def test_a_round_that_names_existing_pods_is_kept_without_the_status() -> None:
    """Another client has removed the status, which has the reserved generations."""
    world = running_world()

    def without_status(old: Json) -> Json:
        return {**old, "status": {}}

    world.store.update(world.api.stored(kube.ELASTIC_JOBS), TEAM, "demo", without_status, "status")
    world.run(*P[:4], n=2)
    world.settle()
    assert world.round().round.n == 2
    assert world.status()["phase"] == "Running"


def test_the_memory_of_a_job_does_not_depend_on_what_its_round_names() -> None:
    """Each round costs the sender 96 bytes."""
    world = running_world()
    for n in range(WRITES):
        write_round(world, n=n + 2, members=f"{n}-{n + 9000}@0", charged=f"1-{n + 2000}")
        write_round(world, n=n + 2, members="0-3@0", charged=f"{n}-{n + 63}", starts=n)
    entry = world.cache.entry(KEY)
    assert entry is not None
    assert len(entry.rounds) == KEPT_ROUNDS
    assert {round_.members for round_ in entry.rounds} == {"0-3@0"}
    assert max(len(round_.charged.numbers) for round_ in entry.rounds) <= KEPT
    assert entry.lease is not None
    assert len(entry.lease.round.members) == 4
    world.now += 60
    world.settle()
    assert len(world.reconciler.memories[KEY].restarts) <= KEPT_ROUNDS


def test_an_older_jobs_round_that_cannot_be_read_does_not_block_the_name() -> None:
    world = running_world()
    world.store.delete(world.api.stored(kube.ELASTIC_JOBS), TEAM, "demo")
    world.settle()
    lease = {
        "metadata": {
            "name": "demo-round",
            "labels": {
                names.LABEL_JOB: "demo",
                names.LABEL_JOB_UID: "older",
                names.LABEL_LEASE: "round",
            },
            "annotations": {names.ANNOTATION_ROUND: "[" * 2000},
        }
    }
    if world.store.find(world.api.stored(kube.LEASES), TEAM, "demo-round") is not None:
        world.store.delete(world.api.stored(kube.LEASES), TEAM, "demo-round")
    world.store.create(world.api.stored(kube.LEASES), TEAM, lease)
    world.apply(replicas=2)
    world.settle()
    world.end_deleted()  # the job waits for the pods of the older one
    world.settle()
    assert world.round().round.n == 0


# ---- requests ------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_job_that_changes_all_the_time_costs_a_bounded_number_of_requests() -> None:
    """100 writes a second, each of which changes what the status shows."""
    world = running_world()
    world.api.calls.clear()
    seconds = 10
    for k in range(seconds * 100):
        write_round(world, n=1, members="0-3@0", starts=1, charged=f"1-{k % 50 + 1}")
        world.sleep(0.01)
    assert len(world.api.calls) < 200 + 4 * 10 + seconds * 11
    settle_other(world)


def test_a_job_with_many_pods_leaves_its_turn_to_others() -> None:
    """Each request takes 50 ms: a pass of 100 creations would take 5 s."""
    world = World()
    world.apply(replicas=100)
    real = world.api.create

    async def create(resource: kube.Resource, namespace: str, body: Json) -> Json:
        world.now += 0.05
        return await real(resource, namespace, body)

    world.api.create = create  # type: ignore[method-assign]
    assert asyncio.run(world.reconciler.reconcile(KEY)) == SOON_S
    assert 0 < len(world.pod_names()) < 100
    world.settle()
    assert len(world.pod_names()) == 100
    created = [str(call) for call in world.api.calls if str(call).startswith("create pods")]
    assert len(created) == len(set(created)) == 100
    assert not [call for call in world.api.calls if str(call).startswith("get leases demo-9")]
    assert world.status()["generations"] == "0-99@1"


def test_a_job_whose_pods_are_refused_stops_asking() -> None:
    world = World()
    world.apply(replicas=2000)
    world.limit_pods(0)
    world.settle()
    tries = [call for call in world.api.calls if str(call).startswith("create pods")]
    assert len(tries) <= 8


# ---- objects that cannot be deleted --------------------------------------------------------------


def apply(running: RunningServer, name: str) -> None:
    body = {**elastic_job(name, replicas=1), "metadata": {"name": name}}
    running.store.create(running.store.resources[names.GROUP, names.PLURAL], "default", body)


def with_finalizers(*finalizers: str) -> object:
    def change(old: Object) -> Object:
        return {**old, "metadata": {**old["metadata"], "finalizers": list(finalizers)}}

    return change


@pytest.mark.process
async def test_a_finalizer_on_the_round_is_named_and_does_not_make_the_operator_spin(
    tmp_path: Path,
) -> None:
    async with serve(tmp_path) as running, asyncio.timeout(DEADLINE_S * 2):
        jobs = running.store.resources[names.GROUP, names.PLURAL]
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "elasticjob.controller"),
            *("--kubeconfig", str(running.operator_kubeconfig)),
            *("--health-host", "127.0.0.1", "--health-port", "0"),
            stderr=asyncio.subprocess.PIPE,
        )
        drain = asyncio.create_task(process.communicate())

        def status() -> Object:
            found: Object = running.store.get(jobs, "default", "demo").get("status") or {}
            return found

        def has_pod() -> bool:
            return running.store.find(PODS, "default", "demo-0-0") is not None

        async def until(holds: object, what: str) -> None:
            await wait_until_async(holds, what=what, within_s=DEADLINE_S)  # type: ignore[arg-type]

        apply(running, "demo")
        await until(has_pod, "a pod")
        running.store.update(LEASES, "default", "demo-round", with_finalizers(FINALIZER))  # type: ignore[arg-type]
        running.store.delete(jobs, "default", "demo")
        await until(lambda: running.store.find(jobs, "default", "demo") is None, "no job")
        apply(running, "demo")
        await until(lambda: "Obstructed" in str(status().get("conditions")), "the condition")
        assert str(status()["phase"]).startswith("Pending: the Lease demo-round of an older job")
        found = {c["type"]: c for c in status()["conditions"]}
        for type_ in ("Obstructed", "Stalled"):
            assert found[type_]["reason"] == "DeletionBlocked"
            assert FINALIZER in found[type_]["message"]
        calls: list[Call] = []

        def is_of_operator(call: Call) -> bool:
            if not call.is_watch and "demo" in call.path:
                calls.append(call)
            return False

        running.faults.delay(0.0, is_of_operator, times=None)
        await asyncio.sleep(10)  # the time of the measurement, not a wait
        assert len(calls) <= MOST_REQUESTS, [f"{call.method} {call.path}" for call in calls]
        running.store.update(LEASES, "default", "demo-round", with_finalizers())  # type: ignore[arg-type]
        await until(lambda: status().get("generations"), "pods of the new job")
        process.terminate()
        await drain


def test_a_pod_that_a_finalizer_keeps_is_named() -> None:
    world = running_world()
    pods = world.api.stored(kube.PODS)
    world.store.update(pods, TEAM, "demo-1-0", with_finalizers(FINALIZER))  # type: ignore[arg-type]
    world.delete_pod("demo-1-0")
    world.set_pod("demo-1-0", "Failed", {"terminated": {"exitCode": 143}})
    world.settle()
    assert "demo-1-1" in world.pod_names()
    condition = world.condition("Obstructed")
    assert condition is not None
    assert condition[:2] == ("True", "DeletionBlocked")
    assert (
        f"the pod demo-1-0 is being deleted, and is kept by the finalizer {FINALIZER}"
        in condition[2]
    )


# ---- objects that cannot be read -----------------------------------------------------------------


def test_an_agent_lease_that_cannot_be_read_is_named_in_the_condition_of_its_job_only() -> None:
    world = running_world()
    world.spoil(P[1], "{}")
    world.intrude(P[2])
    world.resync()
    world.settle()
    condition = world.condition("Obstructed")
    assert condition is not None
    assert condition[:2] == ("True", "LeaseUnreadable")
    assert condition[2].startswith("the Lease demo-1-0 cannot be read: agent has version None")
    assert "evil" not in condition[2]
    settle_other(world)


def test_the_operator_deletes_no_config_map_that_another_client_has_labelled() -> None:
    world = running_world()
    maps = world.api.stored(kube.CONFIG_MAPS)
    labels = world.store.get(maps, TEAM, "elasticjob-agent-d4f0bc5a29")["metadata"]["labels"]
    body = {"metadata": {"name": "settings", "labels": labels}, "data": {"a": "b"}}
    world.store.create(maps, TEAM, body)
    later = world.store.now() + timedelta(days=1)
    asyncio.run(resync.delete_old_agents(world.api, ("",), world.cache, "other", later))
    assert world.store.find(maps, TEAM, "settings") is not None


def test_a_pod_that_cannot_be_read_is_named_and_hides_no_other() -> None:
    world = running_world()
    pods = world.api.stored(kube.PODS)
    body = world.store.get(pods, TEAM, "demo-1-0")
    broken = {**body, "status": ["no", "object"]}
    broken["metadata"] = {**body["metadata"], "resourceVersion": str(world.store.version + 1)}
    world.cache.update(kube.PODS, broken)
    entry = world.cache.entry(KEY)
    assert entry is not None
    assert list(entry.unreadable_pods) == ["demo-1-0"]
    assert len(entry.pods) == 3
    settle_other(world)


def test_the_round_of_a_job_that_is_over_is_not_read_again_when_it_becomes_unreadable() -> None:
    """The job's pods are deleted as cleanPodPolicy says, and nothing is repeated."""
    world = running_world()
    write_round(world, n=2, phase="Succeeded", members="0-3@0", starts=1)
    world.settle()

    def change(old: Json) -> Json:
        old["metadata"]["annotations"][names.ANNOTATION_ROUND] = "["
        return old

    world.store.update(world.api.stored(kube.LEASES), TEAM, world.round_name(), change)
    world.sleep(300)
    assert len(world.deleted_names()) == 4
    assert world.status()["phase"] == "Complete"
    world.api.calls.clear()
    world.sleep(300)
    assert world.api.calls == []


def test_a_round_with_a_final_phase_stays_with_any_members() -> None:
    """I6: agents have received it, and end."""
    world = running_world()
    write_round(world, n=7, phase="Succeeded", members="0-9999@0", starts=1)
    world.settle()
    assert world.status()["phase"] == "Complete"
    assert world.round().round == Round(
        7, Phase.SUCCEEDED, members=world.round().round.members, starts=1
    )
