"""Operators that are away, killed or frozen: jobs continue, and no pod is created twice."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from dev.kube_client import Json
from tests.support.cluster_jobs import Namespace, identities
from tests.support.kube import Kube, until
from tests.support.machine import Machine, container_pids
from tests.support.release import PODS, Release

from elasticjob.wire.member import Pod


@pytest.fixture
def no_operator(release: Release) -> Iterator[Release]:
    """The release, which has two operators again after the test."""
    yield release
    release.scale(2)


def leader(release: Release) -> str:
    """The name of the leader's pod."""
    found: Json = until("a leader", lambda: release.leader)
    return str(found["metadata"]["name"])


def test_a_crash_recovers_without_an_operator(team: Namespace, no_operator: Release) -> None:
    job = team.start("alone", replicas=2)
    first = job.runs(2)
    before = identities(job.pods)
    no_operator.scale(0)
    job.kill_worker(0)
    second = job.runs(2, first.n)
    assert second.n == first.n + 1
    no_operator.scale(2)
    assert job.recovered("kill -9 without an operator", 2, first.n).n == second.n
    assert identities(job.pods) == before
    until("STATUS", lambda: job.phase == "Running" and job.status["counted"] == 1)


def test_a_pod_that_was_lost_without_an_operator_is_replaced(
    team: Namespace, no_operator: Release
) -> None:
    job = team.start("later", replicas=3, minReplicas=2)
    first = job.runs(3)
    no_operator.scale(0)
    job.delete_pod(2)
    without = job.runs(2, first.n)
    no_operator.scale(2)
    job.recovered("a pod deleted without an operator", 3, without.n)
    assert job.charged == set()


def test_a_leader_that_is_killed_is_replaced(team: Namespace, release: Release) -> None:
    release.is_ready()
    old = leader(release)
    team.kube.delete(f"{PODS}/{old}", gracePeriodSeconds=0)
    job = team.start("next", replicas=2)
    job.runs(2)
    assert leader(release) != old
    release.is_ready()


def test_a_leader_that_was_frozen_does_nothing_twice(
    team: Namespace, release: Release, machine: Machine
) -> None:
    """It resumes with its watches and its queue, as if it were still the leader."""
    release.is_ready()
    job = team.start("once", replicas=2)
    first = job.runs(2)
    old = leader(release)
    pod = team.kube.get(f"{PODS}/{old}")
    with machine.paused(container_pids(pod["metadata"]["uid"])):
        job.delete_pod(1)
        until("another leader", lambda: release.leader and leader(release) != old)
        second = job.recovered("a pod deleted, the leader frozen", 2, first.n)
    release.is_ready()
    assert leader(release) != old
    job.kill_worker(0)
    third = job.runs(2, second.n)
    assert third.pods == second.pods == {Pod(0, 0), Pod(1, 1)}
    assert job.charged == {third.n}
    made = created(team.kube, team.name)
    assert sorted(made) == ["once-0-0", "once-1-0", "once-1-1"]


def test_an_upgrade_of_the_operator_restarts_nothing(team: Namespace, release: Release) -> None:
    job = team.start("stays", replicas=2)
    first = job.runs(2)
    before, operators = identities(job.pods), {p["metadata"]["uid"] for p in release.pods}
    release.install()
    release.is_ready()
    assert not operators & {pod["metadata"]["uid"] for pod in release.pods}
    assert until("a leader", lambda: release.leader)
    job.kill_worker(1)
    second = job.recovered("kill -9 after an upgrade", 2, first.n)
    assert second.n == first.n + 1
    assert identities(job.pods) == before


def created(kube: Kube, namespace: str) -> list[str]:
    """The pods that were scheduled in a namespace, by its events."""
    events = kube.items(f"/api/v1/namespaces/{namespace}/events")
    return [e["involvedObject"]["name"] for e in events if e["reason"] == "Scheduled"]
