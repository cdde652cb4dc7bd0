"""An API server that responds wrongly, late or not at all: each change happens exactly once."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable
from functools import partial

import pytest
from tests.support.local_cluster import LocalCluster
from tests.support.survivors import is_dead

from elasticjob.local.api.call import Call
from elasticjob.local.api.faults import Fault, Faults
from elasticjob.wire import names
from elasticjob.wire.round import Phase

pytestmark = pytest.mark.e2e

MakeFault = Callable[[Faults, Callable[[Call], bool]], Fault]
FAULTS: dict[str, MakeFault] = {
    "conflict": lambda f, when: f.refuse(409, when),
    "broken": lambda f, when: f.refuse(500, when, times=2),
    "throttled": lambda f, when: f.refuse(429, when, retry_after_s=1),
    "cut": lambda f, when: f.cut(when),
    "unanswered": lambda f, when: f.cut(when, after=True),
    "late": lambda f, when: f.delay(1, when),
}


def is_step(name: str, call: Call) -> bool:
    """Whether a call writes the next round. A pulse is also a PATCH of that Lease."""
    path = f"/leases/{names.round_lease_name(name)}"
    return call.path.endswith(path) and names.ANNOTATION_ROUND.encode() in call.body


async def test_the_write_of_a_crash_goes_wrong_and_counts_once(cluster: LocalCluster) -> None:
    jobs = [cluster.apply(name, replicas=2) for name in FAULTS]
    for job in jobs:
        await job.runs(1, pods=2)
    orders = [FAULTS[job.name](cluster.faults, partial(is_step, job.name)) for job in jobs]
    for job in jobs:
        os.kill(job.workers(1)[1].pid, signal.SIGKILL)
    for job in jobs:
        await job.runs(2, pods=2)
        await job.renews(2)
    for job, order in zip(jobs, orders, strict=True):
        assert order.times == 0, f"{job.name}: the fault met no request"
        assert job.round.n == 2, job.name
        assert (job.status["counted"], job.status["restarts"]) == (1, 1), job.name


async def test_the_operators_writes_go_wrong_and_a_pod_is_replaced_once(
    cluster: LocalCluster,
) -> None:
    job = await cluster.running("job", replicas=2)
    base = f"/namespaces/{cluster.namespace}"
    creates = lambda call: call.method == "POST" and call.path.endswith(f"{base}/pods")  # noqa: E731
    reports = lambda call: call.path.endswith(f"{base}/{names.PLURAL}/job/status")  # noqa: E731
    orders = [
        cluster.faults.refuse(500, creates),
        cluster.faults.cut(creates, after=True),
        cluster.faults.refuse(409, reports),
        cluster.faults.cut(reports, after=True),
    ]
    job.delete_pod("1-0")
    await job.runs_again(pods=2)
    assert [order.times for order in orders] == [0] * len(orders)
    assert sorted(job.pods) == ["job-0-0", "job-1-1"]
    assert job.status["counted"] == 0


async def test_all_watches_are_lost_and_versions_forgotten(cluster: LocalCluster) -> None:
    job = await cluster.running("job", replicas=2)
    cluster.store.compact()
    assert cluster.faults.cut_streams() >= 2
    os.kill(job.workers(1)[0].pid, signal.SIGKILL)
    await job.runs(2, pods=2)
    job.edit(suspend=True)
    await job.is_("Suspended")
    assert job.status["counted"] == 1


async def test_a_server_that_does_not_answer_costs_no_restart(cluster: LocalCluster) -> None:
    """The server is frozen until each agent has tried twelve times: longer than 9T, after which the
    operator, too, misses the holder's pulse. Then time passes in which a silent agent is found."""
    job = await cluster.running("job", replicas=3)
    pods, workers = job.pods, job.workers(1)
    tries: Counter[str] = Counter()

    def count(call: Call) -> bool:
        if call.method == "PATCH" and f"/{cluster.namespace}/leases/" in call.path:
            tries[call.path.rpartition("/")[2]] += 1
        return False

    order = cluster.faults.refuse(500, count, times=None)
    cluster.faults.freeze()
    try:
        await job.until(lambda: len(tries) == 3 and min(tries.values()) >= 12, "twelve tries each")
    finally:
        cluster.faults.thaw()
        cluster.faults.cut_streams()
        cluster.faults.remove(order)
    await job.renews(12)
    assert [r.phase for r in job.rounds] == [Phase.FORMING, Phase.ACTIVE]
    assert job.pods == pods
    assert not any(is_dead(each.pid) for each in workers)
    assert job.status["counted"] == 0
    os.kill(workers[0].pid, signal.SIGKILL)
    await job.runs(2, pods=3)
    assert job.status["counted"] == 1


async def test_a_server_away_for_longer_than_workers_are_kept_costs_one_failure(
    cluster: LocalCluster,
) -> None:
    """`desired` has an apiGraceSeconds of 2 s here instead of half an hour."""
    job = cluster.apply("job", replicas=2)
    await job.hurry(api_grace_s=2.0)
    await job.runs(1, pods=2)
    workers = job.workers(1)
    cluster.faults.freeze()
    try:
        await job.until(lambda: all(is_dead(each.pid) for each in workers), "the workers stopped")
    finally:
        cluster.faults.thaw()
        cluster.faults.cut_streams()
    await job.runs(2, pods=2)
    assert (job.status["counted"], job.failure["reason"]) == (1, "ApiDark")
