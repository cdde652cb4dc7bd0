"""A namespace makes failure detection slow for itself, and for no other namespace (ADR 21)."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.support.local_cluster import LocalCluster

from elasticjob.local.api.call import Call
from elasticjob.local.up import up

pytestmark = pytest.mark.e2e

RATE = 1  # Lease writes a second: five agents write them at the shortest T


@asynccontextmanager
async def two_namespaces(root: Path) -> AsyncIterator[tuple[LocalCluster, LocalCluster]]:
    """A cluster whose operator sets T, and the namespaces of a user and of a neighbour."""
    operator = [sys.executable, "-m", "elasticjob.controller", "--health-host", "127.0.0.1"]
    operator += ["--health-port", "0", "--lease-writes-per-second", str(RATE)]
    async with up(root / "local", operator=operator, delay_s=lambda *_: 0.0) as local:
        found = LocalCluster(local, "user", root), LocalCluster(local, "neighbour", root)
        yield found
        for each in found:
            await each.clear()


async def test_replicas_without_pods_leave_the_interval_of_all_as_it_is(tmp_path: Path) -> None:
    async with two_namespaces(tmp_path) as (user, neighbour):
        mine = await user.running("mine", replicas=2)
        quota = user.faults.refuse(403, _creates_a_pod_of_the_neighbour, times=None)
        large = neighbour.apply("large", replicas=10_000)
        await large.is_("Pending: 10000/10000 pods cannot be created")
        mine.edit(maxRestarts=7)  # so that the operator writes `desired`
        await mine.until(lambda: mine.lease.desired.max_restarts == 7, "the new maxRestarts")
        assert mine.lease.desired.heartbeat_s == 5.0
        assert large.lease.desired.heartbeat_s == 5.0
        user.faults.remove(quota)


async def test_agents_beyond_an_equal_share_lengthen_their_own_interval(tmp_path: Path) -> None:
    """Two namespaces share five agents: two of the user fit, and leave three to the neighbour."""
    async with two_namespaces(tmp_path) as (user, neighbour):
        mine = await user.running("mine", replicas=2)
        large = await neighbour.running("large", replicas=4)
        for job in (mine, large):
            job.edit(maxRestarts=7)
            await job.until(lambda job=job: job.lease.desired.max_restarts == 7, "maxRestarts")
        assert mine.lease.desired.heartbeat_s == 5.0
        assert large.lease.desired.heartbeat_s == 10.0


def _creates_a_pod_of_the_neighbour(call: Call) -> bool:
    return call.method == "POST" and call.path.endswith("/neighbour/pods")
