from __future__ import annotations

import asyncio
from datetime import timedelta

from tests.support.operator_log import logged
from tests.support.world import KEY, START, TEAM, P, World, running_world

from elasticjob.controller import kube, resync
from elasticjob.controller.observe.key import Key
from elasticjob.controller.runtime import MISSED_RESYNCS, WatchHealth
from elasticjob.wire.round import Phase, Round


def sync(world: World) -> dict[kube.Resource, set[Key]]:
    return asyncio.run(resync.compare(world.api, ("",), world.cache))


def test_when_nothing_was_lost_there_is_nothing_to_do_and_it_costs_three_lists() -> None:
    world = running_world()
    world.api.calls.clear()
    assert set().union(*sync(world).values()) == set()
    assert len(world.api.calls) == 3


def test_a_deletion_that_no_watch_delivered() -> None:
    world = running_world()
    world.watches_fail = True
    world.remove_pod("demo-1-0")
    world.watches_fail = False
    world.settle()
    assert "demo-1-1" not in world.pod_names()
    assert sync(world)[kube.PODS] == {KEY}
    world.settle()
    assert "demo-1-1" in world.pod_names()


def orphans(world: World) -> set[Key]:
    find = resync.find_orphans(world.api, ("",), world.cache, world.reconciler.memories)
    return asyncio.run(find)


def test_orphan_leases_are_found_and_deleted_when_the_job_has_ended() -> None:
    world = running_world(cleanPodPolicy="All")
    assert orphans(world) == set()
    world.write_round(Round(2, Phase.SUCCEEDED, starts=1))
    for pod in P[:4]:
        world.end_pod(world.pod_name(pod), 0)
    world.settle()
    assert world.pod_names() == []
    assert orphans(world) == {KEY}
    world.settle()
    assert [world.agent(pod) for pod in P[:4]] == [None] * 4


def test_neither_another_jobs_lease_nor_a_broken_one_is_an_orphan() -> None:
    """S1: however it is labelled; and it keeps no other from being found."""
    world = running_world(cleanPodPolicy="All")
    world.write_round(Round(2, Phase.SUCCEEDED, starts=1))
    for pod in P[:4]:
        world.end_pod(world.pod_name(pod), 0)
    world.settle()
    world.spoil(P[1])
    for pod in P[:3]:
        world.intrude(pod)
    with logged(resync.log) as lines:
        assert orphans(world) == {KEY}
    assert set(world.reconciler.memories[KEY].orphans) == {P[0], P[2], P[3]}
    (line,) = lines
    assert line["job"] == "team/demo"
    assert line["event"].startswith("1 Leases are ignored; the first: ")
    world.settle()
    assert [world.lease(name)["metadata"]["name"] for name in ("evil-0-0", "evil-2-0")] == [
        "evil-0-0", "evil-2-0",
    ]  # fmt: skip


def test_an_agent_that_no_job_runs_is_deleted_after_an_hour() -> None:
    world = running_world()
    maps = world.api.stored(kube.CONFIG_MAPS)
    old = world.store.get(maps, TEAM, "elasticjob-agent-d4f0bc5a29")
    body = {
        "metadata": {"name": "elasticjob-agent-0000000000", "labels": old["metadata"]["labels"]}
    }
    created_at = world.store.now()
    world.store.create(maps, TEAM, body)

    def names_after(age: timedelta) -> list[str]:
        delete = resync.delete_old_agents(world.api, ("",), world.cache, "other", created_at + age)
        asyncio.run(delete)
        return [m["metadata"]["name"] for m in world.store.list(maps, TEAM)]

    assert "elasticjob-agent-0000000000" in names_after(timedelta(minutes=59))
    left = names_after(timedelta(minutes=61))
    assert "elasticjob-agent-0000000000" not in left
    assert "elasticjob-agent-d4f0bc5a29" in left  # the job's status names it
    assert created_at > START


def test_a_config_map_with_the_labels_of_an_agent_and_another_name_stays() -> None:
    world = running_world()
    maps = world.api.stored(kube.CONFIG_MAPS)
    agent = world.store.get(maps, TEAM, "elasticjob-agent-d4f0bc5a29")
    labels = agent["metadata"]["labels"]
    world.store.create(maps, TEAM, {"metadata": {"name": "settings", "labels": labels}})
    later = world.store.now() + timedelta(days=1)
    asyncio.run(resync.delete_old_agents(world.api, ("",), world.cache, "other", later))
    assert world.store.find(maps, TEAM, "settings")


def test_a_watch_fails_when_changes_come_by_resync_only() -> None:
    watch_health = WatchHealth()
    found = {kube.PODS: {KEY}, kube.LEASES: set[Key]()}
    for _ in range(MISSED_RESYNCS):
        assert watch_health.problem() == ""
        watch_health.compare(found)
    assert watch_health.problem() == "the watches of pods deliver nothing"
    watch_health.delivered.add(kube.PODS)
    watch_health.compare(found)
    assert watch_health.problem() == ""
