"""An outage of the API server costs no restart; failures meanwhile are handled after it."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from tests.support.cluster_jobs import Namespace, identities
from tests.support.kube import throughout, until
from tests.support.machine import API_SERVER, Machine, kill_worker, worker_pid
from tests.support.release import HEARTBEAT_S, Release

SECOND = "kube-apiserver-2"
SLOW_HEARTBEAT_S = 5.0
"""The default heartbeat of agents. A request that hangs ends after 2 s."""
FROZEN_S = 40.0
"""The Service keeps an API server that does not respond for 15 to 25 s."""

JUDGED_S = 9 * HEARTBEAT_S + 30.0
"""The time after which the holder or the operator would have found a silent agent."""

AWAY_S = float(os.environ.get("E2E_API_AWAY_S") or 120)


def test_an_outage_costs_no_restart_and_a_crash_is_handled_after_it(
    team: Namespace, machine: Machine
) -> None:
    steady = team.start("steady", replicas=2)
    crashed = team.start("crashed", replicas=2)
    first, other = steady.runs(2), crashed.runs(2)
    uids = [pod["metadata"]["uid"] for pod in steady.pods.values()]
    pids = [worker_pid(uid) for uid in uids]
    victim = crashed.pods[1]["metadata"]["uid"]
    before = identities(steady.pods) | identities(crashed.pods)
    with machine.killed(API_SERVER):
        kill_worker(victim)
        throughout("the workers continue", lambda: [worker_pid(u) for u in uids] == pids, AWAY_S)
    second = crashed.recovered("kill -9 while the API was away", 2, other.n)
    assert second.n == other.n + 1
    assert crashed.charged == {second.n}
    until("an answer", lambda: steady.lease)
    throughout("no round follows", lambda: steady.round.n == first.n, JUDGED_S)
    assert crashed.round.n == second.n
    assert [worker_pid(uid) for uid in uids] == pids
    assert steady.charged == set()
    assert identities(steady.pods) | identities(crashed.pods) == before


def test_the_api_server_dies_during_a_crash(team: Namespace, machine: Machine) -> None:
    job = team.start("amid", replicas=3)
    first = job.runs(3)
    victim = job.pods[2]["metadata"]["uid"]
    kill_worker(victim)
    with machine.killed(API_SERVER):
        pass
    second = job.recovered("the API server killed during a crash", 3, first.n)
    assert second.n == first.n + 1
    assert job.charged == {second.n}


@pytest.fixture
def default_heartbeat(release: Release) -> Iterator[Release]:
    """Give agents the default heartbeat during the test."""
    release.install(SLOW_HEARTBEAT_S)
    yield release
    release.install(HEARTBEAT_S)


@pytest.fixture
def two_servers(machine: Machine, team: Namespace) -> Iterator[Machine]:
    """Start a second API server on the same etcd, behind the same Service."""
    machine.cluster.start(SECOND)
    endpoints = "/api/v1/namespaces/default/endpoints/kubernetes"

    def addresses() -> int:
        subsets = team.kube.get(endpoints).get("subsets") or []
        return sum(len(subset["addresses"]) for subset in subsets)

    until("two endpoints", lambda: addresses() == 2)
    yield machine
    machine.cluster.kill(SECOND)
    until("one endpoint", lambda: addresses() == 1)


def test_one_of_two_api_servers_freezes_and_no_job_restarts(
    team: Namespace, two_servers: Machine, default_heartbeat: Release
) -> None:
    """Half of the connections hang without an error."""
    job = team.start("half", replicas=4)
    first = job.runs(4)
    with two_servers.frozen(SECOND):
        throughout("the round stays", lambda: job.round.n == first.n, FROZEN_S)
        job.kill_worker(0)
        second = job.recovered("kill -9, one API server frozen", 4, first.n)
    assert second.n == first.n + 1
    assert job.charged == {second.n}
