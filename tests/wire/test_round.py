from __future__ import annotations

import pytest

from elasticjob.wire.member import Member, Pod
from elasticjob.wire.round import DEFAULT_PORT_BASE, PORTS_PER_JOB, Endpoint, Phase, Round


def test_a_job_starts_at_round_0_forming() -> None:
    assert (Round().n, Round().phase, Round().members) == (0, Phase.FORMING, ())


@pytest.mark.parametrize(
    ("phase", "is_terminal"),
    [(Phase.FORMING, False), (Phase.ACTIVE, False), (Phase.SUCCEEDED, True), (Phase.FAILED, True)],
)
def test_terminal_phases(phase: Phase, is_terminal: bool) -> None:
    assert phase.is_terminal is is_terminal


def test_members_are_found_by_pod_and_not_by_index() -> None:
    round_ = Round(1, Phase.ACTIVE, (Member(Pod(0, 0)), Member(Pod(1, 2), 4)))
    assert round_.member(Pod(1, 2)) == Member(Pod(1, 2), 4)
    assert round_.member(Pod(1, 1)) is None
    assert round_.pods == {Pod(0, 0), Pod(1, 2)}


@pytest.mark.parametrize(
    ("n", "port"), [(0, 29500), (1, 29501), (15, 29515), (16, 29500), (1000, 29508)]
)
def test_each_round_has_another_port(n: int, port: int) -> None:
    assert Endpoint("10.0.0.1").port(n) == port


def test_all_ports_are_below_the_ephemeral_range() -> None:
    assert DEFAULT_PORT_BASE + PORTS_PER_JOB <= 32768
