"""Pods that are lost in different ways are replaced by the next generation of their index."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import pytest
from tests.support.local_cluster import LocalCluster
from tests.support.local_job import LocalJob
from tests.support.supervised import stub
from tests.support.survivors import is_dead

from elasticjob.local.api.objects.builtins import LEASES
from elasticjob.rendezvous import timing
from elasticjob.wire.member import Pod
from elasticjob.wire.round import Phase

pytestmark = pytest.mark.e2e

Who = Callable[[LocalJob], str]


def a_member(job: LocalJob) -> str:
    """Index and generation of a member that does not hold the round."""
    return next(f"{p.index}-{p.generation}" for p in sorted(job.round.pods) if not holds(job, p))


def the_holder(job: LocalJob) -> str:
    return next(f"{p.index}-{p.generation}" for p in job.round.pods if holds(job, p))


def holds(job: LocalJob, pod: Pod) -> bool:
    return job.lease.holder == f"{job.name}-{pod.index}-{pod.generation}"


def members(job: LocalJob) -> list[list[tuple[int, int]]]:
    """The members of each Active round, as (index, generation)."""
    active = [r for r in job.rounds if r.phase is Phase.ACTIVE]
    return [sorted((p.index, p.generation) for p in r.pods) for r in active]


async def test_a_deleted_pod_is_replaced_after_one_round_without_it(cluster: LocalCluster) -> None:
    job = cluster.apply("job", replicas=3, minReplicas=2)
    await job.hurry()
    await job.runs(1, pods=3)
    cluster.kubelet.hold(cluster.namespace, "job-1-1")
    job.delete_pod("1-0")
    await job.starts(2, 2)
    cluster.kubelet.release(cluster.namespace, "job-1-1")
    await job.runs(3, pods=3)
    assert members(job) == [[(0, 0), (1, 0), (2, 0)], [(0, 0), (2, 0)], [(0, 0), (1, 1), (2, 0)]]
    assert [each.rank for each in job.workers(2)] == [0, 1]
    assert (job.status["restarts"], job.status["counted"]) == (2, 0)
    assert job.failure == {}
    await job.until(lambda: "job-1-0" not in job.pods, "the old pod gone")
    await job.reports("PodsReplaced", "job-1-1, each in place of the last pod of its index")


async def test_when_all_are_needed_no_pod_runs_until_the_deleted_one_is_replaced(
    cluster: LocalCluster,
) -> None:
    job = await cluster.running("job", replicas=2)
    job.delete_pod("0-0")
    await job.runs_again(pods=2)
    assert [r.phase for r in job.rounds if r.n] == [Phase.ACTIVE, Phase.FORMING, Phase.ACTIVE]
    assert members(job)[-1] == [(0, 1), (1, 0)]
    assert job.status["counted"] == 0


@pytest.mark.parametrize("who", [a_member, the_holder])
async def test_a_killed_agent_is_counted_once_and_its_pod_replaced(
    cluster: LocalCluster, who: Who
) -> None:
    job = cluster.apply("job", replicas=3, minReplicas=2)
    await job.hurry()
    await job.runs(1, pods=3)
    lost = who(job)
    worker = job.workers(1)[int(lost[0])]
    cluster.kubelet.kill(cluster.namespace, f"job-{lost}")
    await job.runs_again(pods=3)
    assert is_dead(worker.pid)
    assert members(job)[-1] == [(i, int(i == int(lost[0]))) for i in range(3)]
    assert job.status["counted"] == 1
    failure = job.failure
    assert (failure["pod"], failure["exitCode"], failure["round"]) == (f"job-{lost}", 137, 1)
    assert failure["reason"] in ("PodEnded", "PodSilent")


async def test_two_pods_killed_at_once_are_one_failure(cluster: LocalCluster) -> None:
    job = cluster.apply("job", replicas=4, minReplicas=2)
    await job.hurry()
    await job.runs(1, pods=4)
    for lost in ("job-1-0", "job-2-0"):
        cluster.kubelet.kill(cluster.namespace, lost)
    await job.runs_again(pods=4)
    assert members(job)[-1] == [(0, 0), (1, 1), (2, 1), (3, 0)]
    assert job.status["counted"] == 1


async def test_sigterm_of_unknown_origin_is_counted(cluster: LocalCluster) -> None:
    """`kill 1` in the container, or a failing liveness probe, is a failure of the pod."""
    job = await cluster.running("job", replicas=2)
    cluster.kubelet.kill(cluster.namespace, "job-1-0", signal.SIGTERM)
    await job.runs_again(pods=2)
    assert members(job)[-1] == [(0, 0), (1, 1)]
    assert job.ended("1-0")["exitCode"] == 143
    assert job.status["counted"] == 1
    assert job.failure["pod"] == "job-1-0"
    assert job.failure["reason"] == "Leaving"


@pytest.mark.parametrize("who", [a_member, the_holder])
async def test_a_silent_pod_is_found_and_replaced(cluster: LocalCluster, who: Who) -> None:
    job = cluster.apply("job", replicas=3, minReplicas=2)
    await job.hurry()
    await job.runs(1, pods=3)
    lost = who(job)
    cluster.kubelet.freeze(cluster.namespace, f"job-{lost}")
    n = await job.runs_again(pods=3)
    assert Pod(int(lost[0]), 1) in job.round.pods
    assert job.status["counted"] == 1
    assert (job.failure["pod"], job.failure["reason"]) == (f"job-{lost}", "PodSilent")
    cluster.kubelet.thaw(cluster.namespace, f"job-{lost}")
    await job.until(lambda: f"job-{lost}" not in job.pods, "the silent pod gone")
    await job.renews(2)
    assert job.round.n == n


def recovery_parts(job: LocalJob) -> dict[str, int]:
    """The parts of the last recovery, which add up to the whole."""
    found = job.status["lastRecovery"]
    parts = {part: found[f"{part}Millis"] for part in ("detect", "stop", "rendezvous", "start")}
    assert sum(parts.values()) == found["totalMillis"]
    assert found["round"] == job.status["round"]
    return parts


@pytest.mark.parametrize("who", [a_member, the_holder])
async def test_detection_begins_with_the_last_sign_of_life(cluster: LocalCluster, who: Who) -> None:
    """All pods are needed, so that the job waits without members in between."""
    job = await cluster.running("job", replicas=2)
    cluster.kubelet.freeze(cluster.namespace, f"job-{who(job)}")
    await job.runs_again(pods=2, after=2)
    silence_s = timing.silence_s(job.lease.desired.heartbeat_s, timing.SILENT_PULSES)
    assert recovery_parts(job)["detect"] >= 1000 * silence_s


async def test_a_slow_stop_is_not_a_part_of_the_rendezvous(cluster: LocalCluster) -> None:
    job = await cluster.running("job", stub("stubborn"), replicas=2, stopGraceSeconds=2)
    for index in range(2):
        await cluster.prints(job.pod(f"{index}-0"), "stubborn")
    job.delete_pod("1-0")
    await job.runs_again(pods=2, after=2)
    assert recovery_parts(job)["stop"] >= 2000


async def test_when_all_agents_are_silent_at_once_their_pods_are_replaced(
    cluster: LocalCluster,
) -> None:
    """While the round is Active. No agent is left to notice it; the next resync is far away."""
    job = await cluster.running("job", replicas=2)
    silent = list(job.pods)
    for name in silent:
        cluster.kubelet.freeze(cluster.namespace, name)
    await job.runs_again(pods=2)
    assert job.round.pods == {Pod(0, 1), Pod(1, 1)}
    for name in silent:
        cluster.kubelet.thaw(cluster.namespace, name)
    await job.until(lambda: not {*silent} & {*job.pods}, "the silent pods gone")


async def test_a_pod_that_cannot_be_deleted_does_not_delay_its_replacement(
    cluster: LocalCluster,
) -> None:
    """The kubelet of a lost node never completes the deletion of its pod."""
    job = await cluster.running("job", replicas=2)
    lost = a_member(job)
    cluster.kubelet.freeze(cluster.namespace, f"job-{lost}")
    cluster.kubelet.disconnect_node()
    try:
        replacement = f"job-{lost[0]}-1"
        await job.until(lambda: replacement in job.pods, "the next generation")
        assert "deletionTimestamp" in job.pod(lost)["metadata"]
    finally:
        cluster.kubelet.thaw(cluster.namespace, f"job-{lost}")
        cluster.kubelet.reconnect_node()
    await job.runs_again(pods=2)
    assert job.status["counted"] == 1


async def test_a_pod_that_is_slow_to_start_is_waited_for(cluster: LocalCluster) -> None:
    cluster.kubelet.hold(cluster.namespace, "job-1-0")
    job = cluster.apply("job", replicas=2)
    await job.is_("Pending: 1/2 pods running")
    assert job.round.n == 0
    cluster.kubelet.release(cluster.namespace, "job-1-0")
    await job.runs(1, pods=2)


async def test_a_silent_pod_outside_of_the_round_is_replaced_and_no_other(
    cluster: LocalCluster,
) -> None:
    """All pods are needed and one does not start, so the round stays Forming."""
    cluster.kubelet.hold(cluster.namespace, "job-2-0")
    job = cluster.apply("job", replicas=3)
    await job.until(lambda: {"job-0-0", "job-1-0"} <= set(job.agents), "two Leases")
    await job.until(lambda: job.rounds and job.lease.holder, "a holder")
    holder = job.lease.holder
    (lost,) = {"job-0-0", "job-1-0"} - {holder}
    before = job.pods
    cluster.kubelet.freeze(cluster.namespace, lost)
    replacement = f"{lost.removesuffix('-0')}-1"
    await job.until(lambda: replacement in job.pods, "the next generation of the silent pod")
    assert job.pods[holder] == before[holder]
    assert "deletionTimestamp" not in job.pod(holder.removeprefix("job-"))["metadata"]
    cluster.kubelet.thaw(cluster.namespace, lost)
    cluster.kubelet.release(cluster.namespace, "job-2-0")
    await job.runs_again(pods=3, after=0)
    assert job.pods[holder] == before[holder]
    assert job.status["counted"] == 0


async def test_a_deleted_pod_refunds_no_crash_and_shortens_no_delay(cluster: LocalCluster) -> None:
    job = cluster.apply("job", replicas=3, minReplicas=2)
    await job.hurry()
    for n in (1, 2):
        await job.starts(n, 3)
        await job.runs(n, pods=3)
        os.kill(job.workers(n)[0].pid, signal.SIGKILL)
    await job.until(lambda: job.rounds[-1].n == 3, "the round of the second crash")
    delay_ms = job.rounds[-1].delay_ms
    job.delete_pod("2-0")
    await job.until(lambda: job.rounds[-1].n > 3, "a round without the deleted pod")
    without = next(r for r in job.rounds if r.n == 4)
    assert sorted(without.charged.numbers) == [2, 3]
    assert 500 <= without.delay_ms <= delay_ms
    await job.runs_again(pods=3, after=4)
    assert job.workers(3) == []
    assert job.status["counted"] == 2


async def test_a_pod_that_fails_three_times_is_replaced(cluster: LocalCluster) -> None:
    """Its worker fails three times, so the node may be bad. No later round has the pod."""
    job = cluster.apply("job", replicas=2, minReplicas=1, maxStartRestarts=3)
    await job.hurry()
    for n in (1, 2, 3):
        await job.starts(n, 2)
        await job.runs(n, pods=2)
        os.kill(job.workers(n)[1].pid, signal.SIGKILL)
    await job.runs_again(pods=2, after=4)
    assert members(job)[-1] == [(0, 0), (1, 1)]
    assert job.workers(4) == []
    assert job.status["counted"] == 3
    await job.reports("PodsDeleted", "blamed for 3 failures")
    await job.reports("PodsLeft", "the operator replaces the pod, as 3 failures of its workers")


async def test_the_last_words_of_a_pod_that_is_replaced_stay(cluster: LocalCluster) -> None:
    """Its log is deleted with it."""
    lives = '[ "$RANK" = 0 ] || [ "$ELASTICJOB_GENERATION" = 1 ] && exec sleep 1000'
    command = ["bash", "-c", f"{lives}; echo epoch 1 >&2; echo no data on node 7 >&2; exit 5"]
    job = cluster.apply("job", command, replicas=2, maxStartRestarts=10)
    await job.hurry()
    await job.until(lambda: "job-1-1" in job.pods and "job-1-0" not in job.pods, "a replacement")
    await job.is_("Running")
    failure = job.failure
    assert (failure["pod"], failure["exitCode"]) == ("job-1-0", 5)
    assert failure["message"].split("\n") == [
        "no data on node 7",
        "the end of stderr:",
        "epoch 1",
        "no data on node 7",
    ]
    assert "logCommand" not in failure
    assert job.condition("Running")["status"] == "True"


async def test_a_lost_round_lease_is_created_again(cluster: LocalCluster) -> None:
    job = await cluster.running("job", replicas=2)
    workers = job.workers(1)
    cluster.store.delete(LEASES, cluster.namespace, "job-round")
    assert await job.runs_again(pods=2) > 1000
    assert all(is_dead(each.pid) for each in workers)


async def test_all_pods_deleted_at_once_are_replaced_and_not_counted(cluster: LocalCluster) -> None:
    """Two of them may run before the third has joined."""
    job = cluster.apply("job", replicas=3, minReplicas=2)
    await job.hurry()
    await job.runs(1, pods=3)
    for index in range(3):
        job.delete_pod(f"{index}-0")
    await job.runs_again(pods=3)
    assert members(job)[-1] == [(0, 1), (1, 1), (2, 1)]
    assert job.status["counted"] == 0


async def test_all_agents_killed_at_once_are_one_failure(cluster: LocalCluster) -> None:
    """As after a reboot of a node on which all agents run."""
    job = await cluster.running("job", replicas=3)
    for index in range(3):
        cluster.kubelet.kill(cluster.namespace, f"job-{index}-0")
    await job.runs_again(pods=3)
    assert members(job)[-1] == [(0, 1), (1, 1), (2, 1)]
    assert job.status["counted"] == 1


@pytest.mark.parametrize("who", [a_member, the_holder])
async def test_a_pod_that_is_deleted_by_force_is_not_counted(
    cluster: LocalCluster, who: Who
) -> None:
    """Its agent cannot write anything, but the operator sees that the pod was deleted."""
    job = await cluster.running("job", replicas=2, maxRestarts=0)
    lost = who(job)
    worker = job.workers(1)[int(lost[0])]
    job.delete_pod(lost, {"gracePeriodSeconds": 0})
    await job.runs_again(pods=2)
    assert members(job)[-1] == [(i, int(i == int(lost[0]))) for i in range(2)]
    assert is_dead(worker.pid)
    assert (job.status["counted"], job.failure) == (0, {})


async def test_a_deleted_agent_lease_is_created_again_without_a_restart(
    cluster: LocalCluster,
) -> None:
    job = await cluster.running("job", replicas=2)
    before = job.agents[f"job-{a_member(job)}"]
    cluster.store.delete(LEASES, cluster.namespace, before.name)
    await job.until(lambda: before.name in job.agents, "the Lease again")
    await job.renews(3)
    assert job.agents[before.name].uid != before.uid
    assert job.round.n == 1


async def test_a_silent_kubelet_of_live_agents_costs_nothing(cluster: LocalCluster) -> None:
    job = await cluster.running("job", replicas=2)
    cluster.kubelet.disconnect_node()
    try:
        os.kill(job.workers(1)[0].pid, signal.SIGKILL)
        await job.runs(2, pods=2)
        await job.renews(3)
        assert job.round.n == 2
    finally:
        cluster.kubelet.reconnect_node()
    assert sorted(job.pods) == ["job-0-0", "job-1-0"]
