"""Four real agents with stub workers on the local mode, without an operator, under failures.

The bounds are the times of the protocol (in T, the heartbeat interval) plus a second.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.local_agents import Agents, active, agents_on_local
from tests.support.supervised import stub
from tests.support.survivors import alive, is_dead, kill_together

from elasticjob.local.api.call import Call
from elasticjob.wire.cause import CauseKind
from elasticjob.wire.member import Pod
from elasticjob.wire.round import Phase, Round

pytestmark = pytest.mark.e2e

T = 0.5
SLACK_S = 1.0
ALL_PODS = [Pod(index, 0) for index in range(4)]


@pytest.fixture
def agents(runner: asyncio.Runner, tmp_path: Path) -> Iterator[Agents]:
    """Four agents that run round 1."""
    context = agents_on_local(tmp_path, heartbeat_s=T)
    agents = runner.run(context.__aenter__())
    try:
        runner.run(active(agents))
        yield agents
    finally:
        runner.run(context.__aexit__(None, None, None))


def pods(round_: Round) -> list[Pod]:
    return sorted(round_.pods)


def charges(round_: Round) -> set[int]:
    return set(round_.charged.numbers)


def other_than(holder: int) -> int:
    """The index of a member that does not hold the round."""
    return (holder + 1) % 4


async def test_four_pods_meet_and_run_one_round(agents: Agents) -> None:
    assert [each.rank for each in agents.sign_ins(1)] == [0, 1, 2, 3]
    assert pods(agents.round) == ALL_PODS
    assert charges(agents.round) == set()
    assert agents.holder >= 0


async def test_a_killed_worker_costs_one_write_and_no_pod(agents: Agents) -> None:
    before = agents.sign_ins(1)
    rounds = len(agents.job.rounds)
    began = time.monotonic()
    os.kill(before[2].pid, signal.SIGKILL)
    after = await agents.run(2, 4)
    assert max(each.at for each in after) - began < SLACK_S
    assert all(is_dead(each.pid) for each in before)
    assert pods(agents.round) == ALL_PODS
    assert charges(agents.round) == {2}
    cause = agents.round.cause
    assert cause is not None
    assert (cause.kind, cause.pod) == (CauseKind.WORKER_SIGNALED, "demo-2-0")
    assert (cause.rank, cause.signal, cause.n) == (2, 9, 1)
    await agents.settled(2, 0, 1, 2, 3)
    assert len(agents.job.rounds) == rounds + 1


async def test_all_workers_killed_at_once_are_one_incident(agents: Agents) -> None:
    kill_together([each.pid for each in agents.sign_ins(1)])
    await agents.run(2, 4)
    await agents.settled(2, 0, 1, 2, 3)
    assert charges(agents.round) == {2}
    assert agents.round.n == 2


async def test_a_killed_agent_is_silent_and_the_other_three_continue(agents: Agents) -> None:
    lost = other_than(agents.holder)
    began = time.monotonic()
    agents.local.kubelet.kill("team", f"demo-{lost}-0")
    round_ = await agents.next_round(1)
    took_s = time.monotonic() - began
    assert 2 * T <= took_s < 3 * T + T + SLACK_S  # its last renewal was up to T ago
    assert pods(round_) == [pod for pod in ALL_PODS if pod.index != lost]
    assert charges(round_) == {2}
    assert round_.cause is not None
    assert round_.cause.kind is CauseKind.POD_SILENT
    assert [each.rank for each in await agents.run(2, 3)] == [0, 1, 2]
    assert agents.ended(lost)["exitCode"] == 137


async def test_a_killed_holder_is_replaced_and_the_other_three_continue(agents: Agents) -> None:
    lost = agents.holder
    began = time.monotonic()
    agents.local.kubelet.kill("team", f"demo-{lost}-0")
    round_ = await agents.next_round(1)
    took_s = time.monotonic() - began
    assert 2 * T <= took_s < 3 * T + 2 * T + SLACK_S  # three renewals of the claimant
    assert pods(round_) == [pod for pod in ALL_PODS if pod.index != lost]
    assert charges(round_) == {2}
    assert agents.holder not in (lost, -1)
    await agents.run(2, 3)


async def test_a_replacement_takes_the_index_of_the_lost_pod(agents: Agents) -> None:
    lost = other_than(agents.holder)
    agents.local.kubelet.kill("team", f"demo-{lost}-0")
    await agents.run(2, 3)
    agents.add(lost, generation=1)
    await agents.run(3, 4)
    expected = [Pod(index, int(index == lost)) for index in range(4)]
    assert pods(agents.round) == expected
    assert charges(agents.round) == {2}


@pytest.mark.parametrize("is_holder", [False, True], ids=["a member", "the holder"])
async def test_a_departure_takes_effect_at_once_and_is_not_charged(
    agents: Agents, is_holder: bool
) -> None:
    leaver = agents.holder if is_holder else other_than(agents.holder)
    worker = agents.sign_ins(1)[leaver].pid
    began = time.monotonic()
    agents.delete(leaver)
    round_ = await agents.next_round(1)
    assert time.monotonic() - began < SLACK_S
    assert pods(round_) == [pod for pod in ALL_PODS if pod.index != leaver]
    assert charges(round_) == set()
    assert round_.cause is not None
    assert (round_.cause.kind, round_.cause.pod) == (CauseKind.LEAVING, f"demo-{leaver}-0")
    after = await agents.run(2, 3)
    assert max(each.at for each in after) - began < SLACK_S + 0.5  # the start delay
    await agents.until(lambda: not agents.pod(leaver), "the pod's end")
    assert is_dead(worker)
    await agents.until(lambda: agents.holder not in (leaver, -1), "a holder")


async def test_below_the_minimum_no_pod_runs_until_another_joins(agents: Agents) -> None:
    agents.delete(2)
    agents.delete(3)
    await agents.until(lambda: agents.round.phase is Phase.FORMING, "forming")
    await agents.until(lambda: not agents.pod(2) and not agents.pod(3), "the pods' end")
    assert all(is_dead(each.pid) for each in agents.sign_ins(1))
    agents.add(2, generation=1)
    round_ = await agents.until(
        lambda: agents.round if agents.round.phase is Phase.ACTIVE else None
    )
    assert pods(round_) == [Pod(0, 0), Pod(1, 0), Pod(2, 1)]
    assert charges(round_) == set()


async def test_a_frozen_agent_is_lost_and_joins_again(agents: Agents) -> None:
    frozen = other_than(agents.holder)
    worker = agents.sign_ins(1)[frozen].pid
    agents.local.kubelet.freeze("team", f"demo-{frozen}-0")
    await agents.run(2, 3)
    agents.local.kubelet.thaw("team", f"demo-{frozen}-0")
    await agents.run(3, 4)
    assert is_dead(worker)
    assert pods(agents.round) == ALL_PODS
    assert charges(agents.round) == {2}


async def test_an_api_server_that_is_away_costs_no_restart(agents: Agents) -> None:
    server = agents.local.server
    server.faults.freeze()
    await asyncio.sleep(8 * T)
    server.faults.thaw()
    server.faults.cut_streams()
    pulse = agents.job.lease.renew_time
    await agents.until(lambda: agents.job.lease.renew_time != pulse, "a pulse")
    await asyncio.sleep(4 * T)
    assert agents.round.n == 1
    assert not any(is_dead(each.pid) for each in agents.sign_ins(1))
    os.kill(agents.sign_ins(1)[0].pid, signal.SIGKILL)
    await agents.run(2, 4)


async def test_a_write_of_the_holder_that_hangs_costs_no_member(agents: Agents) -> None:
    """The holder writes no pulse meanwhile; after 3T without one, the others would replace it."""

    def writes_the_round(call: Call) -> bool:
        return call.method == "PATCH" and b"WorkerSignaled" in call.body

    agents.local.server.faults.delay(10.0, writes_the_round)
    os.kill(agents.sign_ins(1)[agents.holder].pid, signal.SIGKILL)
    await agents.run(2, 4)
    assert pods(agents.round) == ALL_PODS
    assert charges(agents.round) == {2}


async def test_lost_watches_are_resumed(agents: Agents) -> None:
    for n in (2, 3):
        assert agents.local.server.faults.cut_streams() >= 4
        os.kill(agents.sign_ins(n - 1)[1].pid, signal.SIGKILL)
        await agents.run(n, 4)
    assert charges(agents.round) == {2, 3}


async def test_all_members_finish(tmp_path: Path) -> None:
    async with agents_on_local(tmp_path, heartbeat_s=T, command=stub("ends", "0")) as agents:
        await agents.until(lambda: agents.round.phase is Phase.SUCCEEDED, "success")
        await agents.until(lambda: all(agents.ended(index) for index in range(4)), "the ends")
        assert [agents.ended(index)["exitCode"] for index in range(4)] == [0, 0, 0, 0]


async def test_when_the_budget_is_spent_the_blamed_pod_reports_it(tmp_path: Path) -> None:
    async with agents_on_local(
        tmp_path, heartbeat_s=T, command=stub("ends", "5"), max_restarts=1
    ) as agents:
        await agents.until(lambda: agents.round.phase is Phase.FAILED, "failure")
        await agents.until(lambda: all(agents.ended(index) for index in range(4)), "the ends")
        codes = sorted(agents.ended(index)["exitCode"] for index in range(4))
        assert codes == [1, 1, 1, 5]
        assert charges(agents.round) == {2, 3}
        (blamed,) = (i for i in range(4) if agents.ended(i)["exitCode"] == 5)
        assert '"cause": "WorkerFailed"' in agents.ended(blamed)["message"]


async def test_a_command_that_does_not_exist_fails_the_job_and_is_named(tmp_path: Path) -> None:
    async with agents_on_local(tmp_path, heartbeat_s=T, command=("python4", "train.py")) as agents:
        await agents.until(lambda: agents.round.phase is Phase.FAILED, "failure")
        cause = agents.round.cause
        assert cause is not None
        assert "cannot execute 'python4'" in cause.message
        await agents.until(lambda: all(agents.ended(index) for index in range(4)), "the ends")
        assert sorted(agents.ended(index)["exitCode"] for index in range(4)) == [1, 1, 1, 127]


async def test_workers_that_are_hard_to_end_have_ended_before_the_next_round(
    tmp_path: Path,
) -> None:
    """The workers ignore SIGTERM, run in other sessions, and leave orphans without environment."""

    def family(agents: Agents, n: int) -> set[int]:
        uids = [agents.pod(index)["metadata"]["uid"] for index in range(4)]
        rounds = [alive(ELASTICJOB_POD_UID=uid, ELASTICJOB_ROUND=str(n)) for uid in uids]
        return set().union(*rounds) if all(len(found) == 3 for found in rounds) else set()

    async with agents_on_local(
        tmp_path, heartbeat_s=T, command=stub("family"), crash_grace_s=0.5
    ) as agents:
        first = await agents.until(lambda: family(agents, 1), "four families")
        os.kill(min(first), signal.SIGKILL)
        second = await agents.until(lambda: family(agents, 2), "four new families")
        assert all(map(is_dead, first))
        assert not first & second


async def test_two_workers_in_each_pod(tmp_path: Path) -> None:
    async with agents_on_local(tmp_path, heartbeat_s=T, workers=2) as agents:
        await active(agents, count=8)
        assert [each.rank for each in agents.sign_ins(1)] == list(range(8))
        os.kill(agents.sign_ins(1)[5].pid, signal.SIGKILL)
        await agents.run(2, 8)
        assert agents.round.cause is not None
        assert (agents.round.cause.pod, agents.round.cause.rank) == ("demo-2-0", 5)
