from __future__ import annotations

import math

import pytest
from tests.support.protocol import desired

from elasticjob.rendezvous import timing
from elasticjob.wire.cause import Cause, CauseKind
from elasticjob.wire.codec import LARGEST
from elasticjob.wire.desired import Desired
from elasticjob.wire.round import Phase, Round

PLANNED = ("Leaving", "Scaled", "Suspended")


def after(kind: str | None, delay_ms: int = 0, starts: int = 1) -> Round:
    cause = Cause(CauseKind(kind)) if kind else None
    return Round(2, Phase.ACTIVE, cause=cause, delay_ms=delay_ms, starts=starts)


@pytest.mark.parametrize(
    ("heartbeat_s", "pulses", "silence_s"), [(5.0, 3, 15.0), (5.0, 9, 45.0), (0.2, 3, 0.6)]
)
def test_silence(heartbeat_s: float, pulses: int, silence_s: float) -> None:
    assert timing.silence_s(heartbeat_s, pulses) == pytest.approx(silence_s)


@pytest.mark.parametrize("kind", [None, *(kind.value for kind in CauseKind)])
def test_only_planned_stops_have_the_long_grace(kind: str | None) -> None:
    """After a crash nothing collective can be saved."""
    long = kind in PLANNED
    wanted = desired(stop_grace_s=25.0, crash_grace_s=3.0)
    assert timing.stop_grace_s(wanted, after(kind)) == (25.0 if long else 3.0)


@pytest.mark.parametrize(
    ("kind", "delay_ms", "heartbeat_s", "deadline_s"),
    [
        ("WorkerFailed", 0, 5.0, 28.0),  # 3 + 0 + 2 * 5 + 15
        ("WorkerFailed", 4000, 5.0, 32.0),
        ("Leaving", 500, 5.0, 50.5),  # 25 + 0.5 + 2 * 5 + 15
        (None, 0, 0.2, 18.4),
        ("PodSilent", 0, 60.0, 138.0),
    ],
)
def test_start_deadline(
    kind: str | None, delay_ms: int, heartbeat_s: float, deadline_s: float
) -> None:
    wanted = desired(heartbeat_s=heartbeat_s, stop_grace_s=25.0, crash_grace_s=3.0)
    assert timing.start_deadline_s(wanted, after(kind, delay_ms)) == pytest.approx(deadline_s)


@pytest.mark.parametrize(("starts", "call_s"), [(0, 300.0), (1, 30.0), (7, 30.0)])
def test_the_first_start_waits_for_images(starts: int, call_s: float) -> None:
    assert timing.last_call_s(desired(), after(None, starts=starts)) == call_s


@pytest.mark.parametrize(
    ("position", "jitter", "delay_s"),
    [(0, 0.0, 0.0), (0, 1.0, 0.05), (1, 0.0, 0.05), (1, 0.5, 0.075), (39, 0.9, 1.995), (40, 0, 2.0),
     (1000, 0.5, 2.0)],
)  # fmt: skip
def test_claims_are_staggered_by_position(position: int, jitter: float, delay_s: float) -> None:
    assert timing.claim_delay_s(position, jitter) == pytest.approx(delay_s)


@pytest.mark.parametrize(
    ("members", "jitter", "delay_s"),
    [(1, 1.0, 0.0), (2, 0.5, 0.0004), (128, 1.0, 0.0512), (1000, 0.5, 0.2), (1000, 0.0, 0.0)],
)
def test_crash_steps_are_spread(members: int, jitter: float, delay_s: float) -> None:
    assert timing.crash_delay_s(members, jitter) == pytest.approx(delay_s)


@pytest.mark.parametrize(("leases", "pause_s"), [(1, 0.0), (100, 0.0), (128, 0.0064), (1000, 0.05)])
def test_a_large_view_is_judged_less_often(leases: int, pause_s: float) -> None:
    assert timing.judge_pause_s(leases) == pytest.approx(pause_s)


@pytest.mark.parametrize(
    ("members", "jitter", "delay_s"), [(1, 0.0, 0.0), (8, 1.0, 0.2), (1000, 0.5, 12.5)]
)
def test_a_small_group_reports_running_sooner(members: int, jitter: float, delay_s: float) -> None:
    assert timing.running_delay_s(members, jitter) == pytest.approx(delay_s)


@pytest.mark.parametrize(
    ("members", "jitter", "delay_s"), [(4, 1.0, 0.01), (400, 0.5, 0.5), (1000, 1.0, 2.5), (0, 1, 0)]
)
def test_herds_are_spread(members: int, jitter: float, delay_s: float) -> None:
    assert timing.herd_delay_s(members, jitter) == pytest.approx(delay_s)


@pytest.mark.parametrize(
    ("charges", "jitter", "delay_ms"),
    [
        (0, 0.0, 0),
        (1, 0.0, 0),
        (2, 0.0, 1000),
        (3, 0.0, 2000),
        (4, 0.0, 4000),
        (10, 0.0, 256_000),
        (11, 0.0, 300_000),
        (10_000, 0.0, 300_000),
        (2, 0.5, 950),
        (11, 1.0, 270_000),
    ],
)
def test_restarts_are_delayed_from_the_second_charge_on(
    charges: int, jitter: float, delay_ms: int
) -> None:
    assert timing.restart_delay_ms(charges, jitter) == delay_ms


@pytest.mark.parametrize(
    ("heartbeat_s", "stop_grace_s", "wait_s"),
    [(5.0, 55.0, 15.0), (5.0, 25.0, 12.5), (0.2, 25.0, 0.6), (60.0, 25.0, 12.5), (5.0, 0.0, 0.0)],
)
def test_a_leaver_waits_at_most_half_of_its_grace(
    heartbeat_s: float, stop_grace_s: float, wait_s: float
) -> None:
    wanted = desired(heartbeat_s=heartbeat_s, stop_grace_s=stop_grace_s)
    assert timing.leave_wait_s(wanted) == pytest.approx(wait_s)


@pytest.mark.parametrize(("heartbeat_s", "pause_s"), [(5.0, 0.5), (1.0, 0.5), (0.2, 0.1)])
def test_a_failed_write_is_repeated_twice_within_t(heartbeat_s: float, pause_s: float) -> None:
    assert timing.retry_s(heartbeat_s) == pytest.approx(pause_s)


def test_start_deadline_by_default() -> None:
    assert timing.start_deadline_s(Desired(wanted=()), after(None)) == 28.0


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(1.5, 1500), (-1.0, 0), (-math.inf, 0), (math.inf, LARGEST)],
)
def test_a_measured_time_is_a_number_that_a_lease_may_have(seconds: float, expected: int) -> None:
    assert timing.millis(seconds) == expected
