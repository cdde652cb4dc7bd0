"""Elections on their own threads, against the local API server."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from dev.wait import wait_until_async

from elasticjob.controller.kube import LEASES, Kube
from elasticjob.controller.lead.candidate import Candidate, LeaseName, LeaseTimes
from elasticjob.controller.lead.election import Alone, Election
from elasticjob.local.api.call import Call
from elasticjob.local.api.objects.builtins import LEASES as STORED
from elasticjob.local.api.server import RunningServer, serve
from elasticjob.wire.codec import Json

pytestmark = pytest.mark.slow

LEASE = LeaseName("default", "operator")
TIMES = LeaseTimes(1.0)  # a leader gives up after 0.67 s, a candidate waits for 1 s
DEADLINE_S = 10.0


class Party:
    """A candidate of a cluster, and what became of it."""

    def __init__(self, kubeconfig: Path, name: str) -> None:
        self.kube = Kube(kubeconfig, threads=2)
        self.won = threading.Event()
        self.lost: list[str] = []
        self.ended = threading.Event()
        self.election = Election(self.kube, LEASE, Candidate(name, TIMES), lost=self._note)

    def _note(self, why: str) -> None:
        self.lost.append(why)
        self.ended.set()

    def start(self) -> Party:
        self.election.start(self.won.set)
        return self


@asynccontextmanager
async def server(root: Path) -> AsyncIterator[tuple[RunningServer, Callable[[str], Party]]]:
    """A server, and parties that are stopped with it: 'person' and 'operator' by their tokens."""
    parties: list[Party] = []
    async with serve(root) as running:
        configs = {"person": running.kubeconfig, "operator": running.operator_kubeconfig}

        def party(name: str) -> Party:
            parties.append(Party(configs[name], name))
            return parties[-1]

        try:
            yield running, party
        finally:
            for each in parties:
                await asyncio.to_thread(each.election.stop)
                await asyncio.to_thread(each.kube.close)


async def happens(event: threading.Event) -> None:
    assert await asyncio.to_thread(event.wait, DEADLINE_S)


def spec(running: RunningServer) -> Json:
    lease = running.store.get(STORED, LEASE.namespace, LEASE.name)
    found: Json = lease["spec"]
    return found


def write(running: RunningServer, **fields: Any) -> None:
    def change(lease: Json) -> Json:
        return {**lease, "spec": {**lease["spec"], **fields}}

    running.store.update(STORED, LEASE.namespace, LEASE.name, change)


async def test_the_first_leads_and_the_next_follows_when_it_stops(tmp_path: Path) -> None:
    async with server(tmp_path) as (running, party):
        first, second = party("person").start(), party("operator")
        await happens(first.won)
        assert first.election.leads
        assert spec(running)["holderIdentity"] == "person"
        second.start()
        assert not second.election.leads
        await asyncio.to_thread(first.election.stop)
        assert not first.election.leads
        await happens(second.won)
        assert spec(running)["leaseTransitions"] == 1
        assert first.lost == second.lost == []


async def test_a_leader_that_is_cut_off_ends_before_the_next_begins(tmp_path: Path) -> None:
    async with server(tmp_path) as (running, party):
        leader, follower = party("person").start(), party("operator")
        await happens(leader.won)
        follower.start()
        running.faults.refuse(503, lambda c: running.token in c.authorization, times=None)
        await happens(leader.ended)
        assert not follower.won.is_set()
        assert "no renewal succeeded in time" in leader.lost[0]
        await happens(follower.won)


async def test_a_request_that_hangs_does_not_keep_the_leader(tmp_path: Path) -> None:
    def is_write(call: Call) -> bool:
        return call.method == "PATCH"

    async with server(tmp_path) as (running, party):
        only = party("person").start()
        await happens(only.won)
        running.faults.delay(1.5, is_write, times=None)
        await happens(only.ended)
        assert not only.election.leads


@pytest.mark.parametrize("holder", ["stranger", None])
async def test_a_lease_that_another_has_is_lost(tmp_path: Path, holder: str | None) -> None:
    async with server(tmp_path) as (running, party):
        only = party("person").start()
        await happens(only.won)
        write(running, holderIdentity=holder)
        await happens(only.ended)
        why = f"its holder is {holder}" if holder else "it has no holder"
        assert only.lost[0].endswith(why)


async def test_a_lease_that_is_deleted_is_made_again(tmp_path: Path) -> None:
    async with server(tmp_path) as (running, party):
        only = party("person").start()
        await happens(only.won)
        made = asyncio.Event()
        running.store.listeners.append(
            lambda resource, event: made.set() if event.type == "ADDED" else None
        )
        running.store.delete(STORED, LEASE.namespace, LEASE.name)
        await asyncio.wait_for(made.wait(), DEADLINE_S)
        assert spec(running)["holderIdentity"] == "person"
        assert only.lost == []


async def test_only_a_leader_may_write(tmp_path: Path) -> None:
    async with server(tmp_path) as (running, party):
        only = party("person")
        checked = Kube(running.kubeconfig, threads=1, before_write=only.election.check)
        await checked.list(LEASES, "default", "").__anext__()
        assert only.lost == []
        body = {"metadata": {"name": "x"}, "spec": {}}
        await checked.create(LEASES, "default", body)
        assert only.lost == ["a write was due after the renew deadline"]
        await asyncio.to_thread(checked.close)


async def test_a_candidate_is_ready_from_its_first_answer_on_and_not_after_a_long_silence(
    tmp_path: Path,
) -> None:
    now = 100.0
    async with server(tmp_path) as (running, party):
        refused = running.faults.refuse(503, lambda call: True, times=None)
        only = party("person")
        election = Election(only.kube, LEASE, Candidate("me", TIMES), clock=lambda: now)
        assert election.problem() == "no answer about the Lease default/operator yet"
        election.start(only.won.set)
        await wait_until_async(
            lambda: election.problem().endswith("503: fault: ServiceUnavailable")
        )
        assert election.problem().startswith("no answer about the Lease default/operator yet")
        running.faults.remove(refused)
        await happens(only.won)
        await wait_until_async(lambda: election.problem() == "")
        await asyncio.to_thread(election.stop)
        now = 102.0
        assert election.problem() == ""
        now = 103.0
        assert election.problem() == "no answer about the Lease default/operator for 3 s"


def test_alone_leads_at_once() -> None:
    won = threading.Event()
    alone = Alone()
    alone.start(won.set)
    assert won.is_set()
    assert alone.leads
    assert alone.problem() == ""
