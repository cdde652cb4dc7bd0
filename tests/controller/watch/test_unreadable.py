"""Objects that the operator cannot read: their job's status shows it, and other jobs continue."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from tests.support.jobs import elastic_job, worker
from tests.support.protocol import T
from tests.support.world import KEY, TEAM, P, World, running_world

from elasticjob.controller import kube, resync
from elasticjob.controller.observe.key import Key
from elasticjob.controller.settings import Settings
from elasticjob.wire import names
from elasticjob.wire.codec import Json
from elasticjob.wire.round import Phase, Round

BRACKETS = "[" * 2000
UNCLOSED = "[" * 101 + '"' + '\\"' * 1996  # 4,096 bytes and less: a termination message


def annotate(world: World, lease: str, key: str, text: str) -> None:
    """What code in a worker container can write with its agent's token."""

    def change(old: Json) -> Json:
        old["metadata"]["annotations"][key] = text
        return old

    world.store.update(world.api.stored(kube.LEASES), TEAM, lease, change)


def settle_other(world: World) -> None:
    other = elastic_job("other")
    other["metadata"] = {"name": "other"}
    world.apply(other)
    world.settle(Key(TEAM, "other"))
    assert "other-0-0" in world.pod_names()


@pytest.mark.parametrize("code", [0, 1])
@pytest.mark.parametrize("text", [BRACKETS, UNCLOSED])
def test_brackets_in_a_termination_message_are_not_a_record(code: int, text: str) -> None:
    world = running_world()
    world.end_pod(world.pod_name(P[1]), code, text)
    world.restart(Settings(heartbeat_s=T))
    entry = world.cache.entry(KEY)
    assert entry is not None
    assert entry.pods[world.pod_name(P[1])].container.message == text
    world.settle()
    settle_other(world)


def test_a_round_that_cannot_be_read_is_in_the_status_with_the_cure(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = running_world()
    caplog.set_level(logging.WARNING)
    annotate(world, world.round_name(), names.ANNOTATION_ROUND, BRACKETS)
    world.settle()
    assert world.status()["phase"].startswith(
        "Unknown: the Lease demo-round cannot be read: round is not JSON"
    )
    said = world.condition("Running")
    assert said is not None
    assert said[:2] == ("Unknown", "RoundUnreadable")
    assert said[2].endswith("; delete it, and the operator creates it again")
    assert len(caplog.records) == 1
    world.edit(replicas=5)
    world.settle()
    assert "demo-4-0" not in world.pod_names()
    settle_other(world)
    world.store.delete(world.api.stored(kube.LEASES), TEAM, world.round_name())
    world.settle()
    assert "Unknown" not in world.status()["phase"]
    assert "demo-4-0" in world.pod_names()
    assert world.round().round.n > 1000


def test_a_round_that_can_be_read_again_is_worked_on_again() -> None:
    world = running_world()
    text = world.lease(world.round_name())["metadata"]["annotations"][names.ANNOTATION_ROUND]
    annotate(world, world.round_name(), names.ANNOTATION_ROUND, "{}")
    world.settle()
    assert world.status()["phase"].startswith("Unknown: ")
    annotate(world, world.round_name(), names.ANNOTATION_ROUND, text)
    world.settle()
    assert world.status()["phase"] == "Running"


def test_a_round_that_becomes_unreadable_during_a_reconcile_is_in_the_status_next() -> None:
    world = running_world()
    world.watches_fail = True
    annotate(world, world.round_name(), names.ANNOTATION_ROUND, "{}")
    world.edit(replicas=5)
    world.watches_fail = False
    asyncio.run(resync.compare(world.api, ("",), world.cache))
    world.settle()
    assert world.status()["phase"].startswith("Unknown: ")


def test_the_end_of_a_job_stays_what_it_was() -> None:
    world = running_world(replicas=1)
    world.write_round(Round(2, Phase.SUCCEEDED, starts=1))
    world.end_pod(world.pod_name(P[0]), 0)
    world.settle()
    assert world.status()["phase"] == "Complete"
    annotate(world, world.round_name(), names.ANNOTATION_ROUND, "{}")
    world.settle()
    assert world.status()["phase"] == "Complete"


def test_an_agents_lease_that_cannot_be_read_hides_no_other() -> None:
    world = running_world(cleanPodPolicy="All")
    for pod in P[:2]:
        world.remove_pod(world.pod_name(pod))
    annotate(world, world.pod_name(P[0]), names.ANNOTATION_AGENT, BRACKETS)
    memories = world.reconciler.memories
    find = resync.find_orphans(world.api, ("",), world.cache, memories)
    assert asyncio.run(find) == {KEY}
    assert set(memories[KEY].orphans) == {P[1]}


def test_a_job_that_is_nested_too_deep_has_the_cure_in_its_status() -> None:
    deep: Any = "bottom"
    for _ in range(60):
        deep = {"a": [deep]}
    world = World()
    body = elastic_job(pod={"containers": [worker()], "unknown": deep})
    body["metadata"] = {"name": "demo"}
    world.apply(body)
    world.settle()
    assert world.status()["phase"] == (
        "Invalid: spec.template: remove values that are nested more than 50..."
    )
    assert world.condition("Accepted") == (
        "False",
        "Invalid",
        "spec.template: remove values that are nested more than 50 levels deep",
    )
    assert world.pod_names() == []
    settle_other(world)
