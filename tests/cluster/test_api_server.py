"""The API server is away: nobody restarts for it, and what happens meanwhile is made up for."""

from __future__ import annotations

import os

from tests.support.cluster_jobs import Namespace, identities
from tests.support.kube import throughout, until
from tests.support.machine import API_SERVER, Machine, kill_worker, worker_pid

AWAY_S = float(os.environ.get("E2E_API_AWAY_S") or 120)


def test_no_restart_while_it_is_away_and_a_crash_is_made_up_for(
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
        throughout("the workers go on", lambda: [worker_pid(u) for u in uids] == pids, AWAY_S)
    second = crashed.recovered("kill -9 while the API was away", 2, other.n)
    assert second.n == other.n + 1
    assert crashed.charged == {second.n}
    pulse = until("an answer", lambda: steady.lease)

    def beats() -> bool:
        lease = steady.lease
        return lease is not None and lease.renewed != pulse.renewed

    until("the steady job's pulse", beats)
    assert steady.round.n == first.n
    assert [worker_pid(uid) for uid in uids] == pids
    assert steady.charged == set()
    assert identities(steady.pods) | identities(crashed.pods) == before


def test_it_dies_in_the_middle_of_a_crash(team: Namespace, machine: Machine) -> None:
    job = team.start("amid", replicas=3)
    first = job.runs(3)
    victim = job.pods[2]["metadata"]["uid"]
    kill_worker(victim)
    with machine.killed(API_SERVER):
        pass
    second = job.recovered("the API server killed amid a crash", 3, first.n)
    assert second.n == first.n + 1
    assert job.charged == {second.n}
