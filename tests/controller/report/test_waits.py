"""The times in STATUS: right once they are known, and never written again without a reason."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from tests.support.protocol import T, active
from tests.support.snapshots import AT, NOW, observed_pod, remembered, snapshot
from tests.support.world import P, World, running_world

from elasticjob.controller.observe.containers import ContainerState, WorkerContainer
from elasticjob.controller.observe.memory import Replacement, StatusTime, TimeOf
from elasticjob.controller.observe.snapshot import Snapshot
from elasticjob.controller.report import state, waits
from elasticjob.controller.report.pods.problem import PodProblem
from elasticjob.controller.report.texts import LONGEST_STATUS, Word
from elasticjob.controller.report.waits import Wait
from elasticjob.controller.settings import Settings
from elasticjob.wire import codec
from elasticjob.wire import lease as leases
from elasticjob.wire.member import Pod
from elasticjob.wire.report import JoinWait, JoinWaitKind, Report
from elasticjob.wire.round import Phase, Round

COOLDOWN, LAST_CALL = JoinWaitKind.COOLDOWN, JoinWaitKind.LAST_CALL

ENDED = WorkerContainer(ContainerState.TERMINATED, "Error", exit_code=1)


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        (datetime(2026, 1, 1, 14, 3, 20, tzinfo=UTC), "14:03:20Z"),
        (datetime(2026, 1, 2, 0, 3, 20, tzinfo=UTC), "2026-01-02 00:03:20Z"),
        (datetime(2025, 12, 31, 23, 59, 59, tzinfo=UTC), "2025-12-31 23:59:59Z"),
    ],
)
def test_a_time_of_another_day_has_its_date(at: datetime, expected: str) -> None:
    assert waits.clock_time(at, AT) == expected


@pytest.mark.parametrize("left_ms", [0, 1, codec.LARGEST])
def test_what_code_in_a_worker_writes_into_the_lease_is_a_time_or_none(left_ms: int) -> None:
    """A date has a limit, and the number in a report has none."""
    report = Report(4, delay_ms=left_ms, join_wait=JoinWait(COOLDOWN, left_ms))
    round_ = active(4, [P[0]], delay_ms=codec.LARGEST)
    s = snapshot(observed_pod(0), observed_pod(1), round_=round_, minReplicas=1, report=report)
    assert len(str(state.of(s))) <= LONGEST_STATUS
    assert all(wait.until.year <= 2027 for wait in waits.of(s).values())


# ---- a time stays while it is right --------------------------------------------------------------


def joining(left_ms: int, s: Snapshot | None = None, later_s: float = 0.0) -> Snapshot:
    """A job that runs with one of two pods. s: what the operator saw before."""
    report = Report(1, (P[0],), join_wait=JoinWait(COOLDOWN, left_ms))
    memory = remembered(status_times=waits.times(s) if s else {})
    made = snapshot(
        observed_pod(0), observed_pod(1), round_=active(1, [P[0]]), minReplicas=1, report=report,
        memory=memory, now=NOW + later_s,
    )  # fmt: skip
    return replace(made, utc_now=AT.replace(second=int(later_s)))


@pytest.mark.parametrize(
    ("left_ms", "later_s", "second"),
    [
        (36_500, 5, 43),  # without any jitter
        (37_900, 5, 43),  # the pulse was under way for longer than the last one
        (35_100, 5, 43),  # it was under way for less time
        (36_500, 5.9, 43),  # the wall clock has whole seconds
        (39_600, 5, 46),  # another wait
        (9_000, 5, 15),
    ],
)
def test_a_time_changes_only_if_the_wait_is_another_one(
    left_ms: int, later_s: float, second: int
) -> None:
    found = waits.of(joining(left_ms, joining(41_500), later_s))
    assert found["CoolingDown"].until == AT.replace(second=second)


def test_a_wait_of_another_round_has_another_time() -> None:
    first = snapshot(observed_pod(0), round_=active(4, [P[0]], delay_ms=10_000))
    memory = remembered(status_times=waits.times(first))
    again = snapshot(
        observed_pod(0), round_=active(5, [P[0]], delay_ms=10_000), now=NOW + 8, memory=memory
    )
    found = waits.of(replace(again, utc_now=AT.replace(second=8)))
    assert found["BackingOff"].until == AT.replace(second=19)


def test_a_wait_that_has_ended_is_none() -> None:
    s = snapshot(
        observed_pod(0), round_=active(4, [P[0]], delay_ms=10_000),
        memory=remembered(status_times={TimeOf("BackingOff", "4"): StatusTime(AT)}),
    )  # fmt: skip
    assert set(waits.of(s)) == {"WorkersStart"}


def test_the_time_of_a_report_counts_from_its_arrival() -> None:
    """The pass may be later: it was postponed, for example."""
    found = waits.of(replace(joining(30_000), pulse_at=NOW - 10))
    assert found["CoolingDown"].until == AT.replace(second=21)


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (("short", "x"), "Restarting: short; until 00:00:11Z"),
        ((60 * "a", "short"), "Restarting: short; until 00:00:11Z"),
        ((60 * "a", 50 * "b", "short"), "Restarting: short; until 00:00:11Z"),
        ((60 * "a", 50 * "b"), f"Restarting: {50 * 'b'}"),
        (("words " * 12,), f"Restarting: {'words ' * 8}words..."),
    ],
)
def test_a_short_form_with_the_end_of_the_wait_comes_before_a_long_one_without(
    texts: tuple[str, ...], expected: str
) -> None:
    wait = Wait("LastCall", AT.replace(second=11), "last call", "until 00:00:11Z", "")
    why = state.Why(PodProblem("X", texts[0], shorter=texts[1:]), wait)
    found = state.State(Word.RESTARTING, why.text, why.shorter, why=why)
    assert str(found) == expected


# ---- in an operator ------------------------------------------------------------------------------


def degraded(world: World) -> None:
    """Pods 0 and 1 of three run the round, and pod 2 has just joined."""
    world.run(*P[:2])
    pulse_with(world, JoinWait(COOLDOWN, 50_000))
    world.settle()


def pulse_with(world: World, wait: JoinWait | None) -> None:
    world.report(Report(1, P[:2], outside=True, join_wait=wait))


def status_writes(world: World) -> int:
    return world.api.writes.count("patch elasticjobs demo/status")


def test_the_pulses_of_a_job_that_waits_cost_neither_a_write_nor_a_pass() -> None:
    world = running_world(3, minReplicas=2)
    degraded(world)
    said = "Running: 2/3 pods in the round; cooldown until 00:00:51Z"
    assert world.status()["phase"] == said
    world.api.calls.clear()
    world.marked.clear()
    for k, jitter_ms in enumerate((300, -700, 0, 900, -900, 100, 0), start=1):
        world.now = 1000.0 + k * T
        pulse_with(world, JoinWait(COOLDOWN, 50_000 - k * 5_000 + jitter_ms))
        assert not world.marked
        world.settle()
    assert status_writes(world) == 0
    assert world.status()["phase"] == said


def test_a_restarted_operator_reads_the_time_from_the_next_report() -> None:
    world = running_world(3, minReplicas=2)
    degraded(world)
    world.now += 20
    pulse_with(world, JoinWait(COOLDOWN, 30_000))
    world.api.calls.clear()
    world.restart(Settings(heartbeat_s=T))
    world.settle()
    assert world.status()["phase"] == "Running: 2/3 pods in the round; cooldown until 00:00:51Z"
    assert status_writes(world) == 0


def test_a_new_holder_does_not_move_the_time() -> None:
    """A claim is a write of the Round Lease with a new time and the old report."""
    world = running_world(3, minReplicas=2)
    degraded(world)
    world.now += 10
    patch = leases.holder_patch("demo-1-0", "2026-01-01T00:00:10.000000Z", world.round().version)
    world._patch_lease(world.round_name(), patch)
    world.settle()
    assert world.status()["phase"] == "Running: 2/3 pods in the round; cooldown until 00:00:51Z"


def test_a_last_call_that_begins_again_has_a_later_end() -> None:
    world = running_world(3, minReplicas=2)
    world.run(*P[:2])
    pulse_with(world, JoinWait(LAST_CALL, 30_000))
    world.settle()
    assert world.status()["phase"].endswith("last call until 00:00:31Z")
    world.advance(5)
    world.marked.clear()
    pulse_with(world, JoinWait(LAST_CALL, 29_000))  # a pod has left, and another one has come
    world.now += 5
    pulse_with(world, JoinWait(LAST_CALL, 30_000))
    assert world.marked
    world.settle()
    assert world.status()["phase"].endswith("last call until 00:00:41Z")


def test_when_the_wait_has_ended_status_does_not_contain_it() -> None:
    world = running_world(3, minReplicas=2)
    degraded(world)
    pulse_with(world, None)
    assert world.marked
    world.settle()
    assert world.status()["phase"] == "Running: 2/3 pods in the round"


def test_a_delayed_restart_is_shown_with_its_end_and_then_with_its_deadline() -> None:
    """The end of the delay alone is no delivery: the operator wakes up for it."""
    world = running_world(2)
    world.write_round(active(4, P[:2], delay_ms=8_000, charged=[2, 3, 4]))
    world.sleep(0)
    assert world.status()["phase"] == "Restarting: restart delayed until 00:00:09Z"
    delayed = "the workers of round 4 start at 2026-01-01T00:00:09Z: later after repeated failures"
    assert world.condition("Restarting") == ("True", "BackingOff", delayed)
    world.sleep(9)
    assert world.status()["phase"] == "Restarting: waiting for workers until 00:00:37Z"
    assert world.condition("Restarting")[:2] == ("True", "WorkersStart")  # type: ignore[index]
    world.report(Report(4, P[:2], outside=True))
    world.sleep(0)
    assert world.status()["phase"] == "Running"
    assert world.condition("Restarting") == (
        "False",
        "NotRestarting",
        "no restart is known to be in progress",
    )


def test_an_index_that_is_lost_again_is_shown_with_the_time_of_its_next_pod() -> None:
    world = running_world(2)
    world.end_pod("demo-1-0")
    world.settle()
    world.start_all()
    world.end_pod("demo-1-1", 137, reason="OOMKilled")
    world.write_round(Round(2, Phase.FORMING, starts=1))
    world.settle()
    before = "Restarting: 1/2 pods ended: OOMKilled, exit code 137; until 00:01:01Z"
    assert world.status()["phase"] == before
    world.live(30)
    assert world.status()["phase"] == before
    world.live(30)
    assert "demo-1-2" in world.pod_names()
    assert world.status()["phase"] == "Restarting: 1/2 pods running"


def test_an_index_whose_next_pod_ends_at_once_is_shown_with_the_next_wait() -> None:
    """Between two passes the wait ends, the next pod is created, and it ends."""

    def lost(count: int, at: float, **fields: object) -> Snapshot:
        memory = remembered(
            replacements={0: Replacement(count, at)},
            marked=frozenset(Pod(0, generation) for generation in range(3)),
            **fields,
        )  # type: ignore[arg-type]
        pods = [observed_pod(0, k, container=ENDED) for k in range(count + 1)]
        return snapshot(
            *pods, round_=Round(1), status={"generations": f"0@{count + 1}"}, memory=memory
        )

    first = lost(1, NOW - 55)
    again = lost(2, NOW, status_times=waits.times(first))
    found = [waits.of(s)[waits.REPLACEMENT].until for s in (first, again)]
    assert [(at - AT).total_seconds() for at in found] == [6, 121]
