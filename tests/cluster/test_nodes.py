"""Nodes that die, freeze or are cut off: their agents are silent, and the others continue.

The bound is D = 3T, plus T for a renewal that was just sent, plus time for the confirming GET and
this machine. Nothing waits for Kubernetes, which marks a node NotReady much later.
"""

from __future__ import annotations

import time

import pytest
from tests.support.cluster_jobs import RUNS, ClusterJob, Namespace, generation, python
from tests.support.kube import until
from tests.support.machine import Machine, worker_pid
from tests.support.release import HEARTBEAT_S, Release

from elasticjob.wire.member import Pod
from elasticjob.wire.round import Phase, Round

FOUND_WITHIN_S = 4 * HEARTBEAT_S + 3


@pytest.fixture
def spread(team: Namespace, machine: Machine, release: Release) -> ClusterJob:
    """A job with three members on three nodes, of which one is the minimum."""
    pod = python(team.image, RUNS)
    term = {
        "topologyKey": "kubernetes.io/hostname",
        "labelSelector": {"matchLabels": {"spread": "yes"}},
    }
    rule = {"weight": 100, "podAffinityTerm": term}
    pod["affinity"] = {
        "podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [rule]}
    }
    release.is_ready()
    spec = {"replicas": 3, "minReplicas": 1}
    job = team.start("spread", pod=pod, labels={"spread": "yes"}, **spec)
    job.runs(3)
    assert {node_of(job, of) for of in range(3)} == set(machine.nodes)
    return job


@pytest.fixture
def waiting(team: Namespace, machine: Machine, release: Release) -> ClusterJob:
    """A job of four pods that are all needed, two of them on one node."""
    pod = python(team.image, RUNS)
    spreads = {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"waiting": "yes"}},
    }
    pod["topologySpreadConstraints"] = [spreads]
    release.is_ready()
    return team.start("waiting", pod=pod, labels={"waiting": "yes"}, replicas=4)


def test_two_pods_of_a_node_that_dies_are_replaced_together(
    waiting: ClusterJob, machine: Machine
) -> None:
    """After the first is lost the round is Forming; the holder also judges the second."""
    first = waiting.runs(4)
    nodes = [node_of(waiting, of) for of in range(4)]
    shared = next(node for node in nodes if nodes.count(node) == 2)
    lost = [of for of in range(4) if nodes[of] == shared]
    others = {of: pod["metadata"]["uid"] for of, pod in waiting.pods.items() if of not in lost}
    with machine.killed(shared):
        began = time.monotonic()
        until("both indexes to have a next generation", lambda: replaced(waiting, lost))
        took_s = time.monotonic() - began
        assert took_s < FOUND_WITHIN_S + 2 * HEARTBEAT_S, f"replaced after {took_s:.1f} s"
        staying = {of: pod["metadata"]["uid"] for of, pod in waiting.pods.items()}
        assert {of: staying[of] for of in others} == others
    waiting.runs(4, first.n, within_s=150)
    staying = {of: pod["metadata"]["uid"] for of, pod in waiting.pods.items()}
    assert {of: staying[of] for of in others} == others
    assert len(waiting.charged) == 1


def replaced(job: ClusterJob, lost: list[int]) -> bool:
    """Whether each of these indexes has a pod of a later generation."""
    pods = job.pods
    return all(of in pods and generation(pods[of]) >= 1 for of in lost)


def node_of(job: ClusterJob, of: int) -> str:
    return str(job.pods[of]["spec"]["nodeName"])


def holder(job: ClusterJob) -> int:
    """The index of the member that holds the round."""

    def look() -> str:
        lease = job.lease
        return lease.holder if lease else ""

    return int(until("a holder", look).rsplit("-", 2)[1])


def other_than(job: ClusterJob, *others: int) -> int:
    return next(of for of in (1, 2, 0) if of not in (holder(job), *others))


def continues_without(job: ClusterJob, *lost: int, within_s: float = FOUND_WITHIN_S) -> Round:
    """Wait for an Active round without these members, and check the time."""
    began = time.monotonic()
    gone = {Pod(of, 0) for of in lost}

    def look() -> Round | None:
        round_ = job.round
        return round_ if round_.phase is Phase.ACTIVE and not gone & round_.pods else None

    round_ = until(f"a round without {lost}", look)
    took_s = time.monotonic() - began
    assert took_s < within_s, f"found after {took_s:.1f} s"
    return round_


def test_a_node_that_dies(spread: ClusterJob, machine: Machine) -> None:
    lost = other_than(spread, 0)
    dead = node_of(spread, lost)
    with machine.killed(dead):
        without = continues_without(spread, lost)
        assert len(without.charged.numbers) == 1
        spread.recovered("a node killed: two continue", 2, without.n - 1)
        # Its first replacement may have been bound to the dead node, which stays Ready for a while.
        whole = spread.recovered("a node killed: replaced", 3, without.n, within_s=150)
        assert node_of(spread, lost) != dead
    until("the dead pod to go", lambda: len(spread.all_pods) == 3)
    assert spread.round.n == whole.n
    assert spread.round.charged == whole.charged


def test_the_node_of_rank_0_dies(spread: ClusterJob, machine: Machine) -> None:
    with machine.killed(node_of(spread, 0)):
        without = continues_without(spread, 0, within_s=FOUND_WITHIN_S + 2 * HEARTBEAT_S)
        assert without.master is not None
        first = min(without.pods)
        assert without.master.address == spread.pods[first.index]["status"]["podIP"]
        spread.recovered("rank 0's node killed: two continue", 2, without.n - 1)


def test_a_node_that_freezes_and_thaws(spread: ClusterJob, machine: Machine) -> None:
    lost = other_than(spread, 0)
    old = spread.pods[lost]["metadata"]["uid"]
    with machine.frozen(node_of(spread, lost)):
        without = continues_without(spread, lost)
        spread.recovered("a node frozen: two continue", 2, without.n - 1)
    until("the old worker to end", lambda: worker_pid(old) is None)
    until("the old pod to go", lambda: len(spread.all_pods) == 3)
    assert len(spread.charged) == 1


def test_a_node_that_is_cut_off_and_reconnected(spread: ClusterJob, machine: Machine) -> None:
    lost = other_than(spread, 0)
    old = spread.pods[lost]["metadata"]["uid"]
    with machine.cut(node_of(spread, lost)):
        without = continues_without(spread, lost)
        spread.recovered("a node cut off: two continue", 2, without.n - 1)
        assert worker_pid(old) is not None  # the agent has no connection and keeps its worker
    until("the old worker to end", lambda: worker_pid(old) is None)
    assert Pod(lost, 0) not in spread.round.pods
    assert len(spread.charged) == 1


def test_the_holder_is_lost_together_with_another_member(
    spread: ClusterJob, machine: Machine
) -> None:
    """Most members are silent, on two nodes. The holder may be cut off, so it waits for 9T."""
    lost = (holder(spread), other_than(spread))
    nodes = [node_of(spread, of) for of in lost]
    with machine.killed(*nodes):
        without = continues_without(spread, *lost, within_s=14 * HEARTBEAT_S + 3)
        assert len(without.pods) == 1
        assert len(without.charged.numbers) == 1
    spread.recovered("holder and another lost: one continues", 1, without.n - 1)
