"""Restarts that no budget counts, as tables; and the storm as a person sees it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.support.protocol import T, active
from tests.support.snapshots import NOW, observed_pod, remembered, snapshot
from tests.support.world import P, World, running_world

from elasticjob.controller.observe.memory import Restart
from elasticjob.controller.observe.rounds import past
from elasticjob.controller.observe.snapshot import Snapshot
from elasticjob.controller.plan.restarts import uncounted
from elasticjob.controller.report import conditions, state
from elasticjob.controller.settings import Settings
from elasticjob.wire.cause import Cause, CauseKind
from elasticjob.wire.desired import Desired
from elasticjob.wire.round import Phase, Round

LEFT = Cause(CauseKind.LEAVING, pod="demo-1-0", n=1)
ENDED = Cause(CauseKind.POD_ENDED, pod="demo-1-0", n=1)


@pytest.mark.parametrize(
    ("round_", "expected"),
    [
        (active(1, [P[0]]), []),  # the first start
        (active(2, [P[0]], cause=LEFT), [2]),
        (active(2, [P[0]], cause=ENDED, charged=[2]), []),
        (active(3, [P[0]], cause=ENDED, charged=[2]), []),  # after a Forming that was charged
        (active(3, [P[0]], cause=LEFT), [2]),
        (active(4, [P[0]], cause=Cause(CauseKind.SCALED, n=3), charged=[2]), [4]),
        (Round(2, Phase.FORMING, cause=LEFT, starts=2), []),  # no worker started
    ],
)
def test_which_rounds_are_restarts_that_do_not_count(round_: Round, expected: list[int]) -> None:
    assert [r.number for r in uncounted.of_rounds([past(round_)], 0, NOW)] == expected
    assert list(uncounted.of_rounds([past(round_)], round_.n, NOW)) == []  # seen before


def stormy(count: int, at: float = NOW, **fields: object) -> Snapshot:
    """A job with this many restarts, watched for long, which tolerates two."""
    seen = tuple(Restart(n, CauseKind.LEAVING, at) for n in range(2, count + 2))
    memory = replace(remembered(restarts=seen, watched_at=0.0, **fields))  # type: ignore[arg-type]
    return snapshot(observed_pod(0), memory=memory, uncounted_restarts_per_hour=2, now=NOW)


def truth(s: Snapshot) -> tuple[str, str]:
    found = next(c for c in conditions.of(s, state.of(s)) if c.type == "Unstable")
    return found.status, found.message


FEW = "restarts within an hour that do not count against maxRestarts: {}; the limit is {}"
STORM = "3 restarts within an hour that do not count against maxRestarts: 3 Leaving"


@pytest.mark.parametrize(
    ("s", "expected"),
    [
        (stormy(0), ("False", FEW.format(0, 2))),
        (stormy(2), ("False", FEW.format(2, 2))),
        (stormy(3), ("True", STORM)),
        (stormy(3, at=NOW - 3599), ("True", STORM)),
        (stormy(3, at=NOW - 3600), ("False", FEW.format(0, 2))),
    ],
)
def test_when_a_job_is_unstable(s: Snapshot, expected: tuple[str, str]) -> None:
    assert truth(s) == expected


def test_what_the_operator_charges_counts_against_the_budget_instead() -> None:
    told = Desired((P[0],), charged=frozenset({3}))
    s = snapshot(
        observed_pod(0), memory=stormy(3).memory, uncounted_restarts_per_hour=2, desired=told
    )
    assert truth(s) == ("False", FEW.format(2, 2))


# ---- a storm -------------------------------------------------------------------------------------


def storm(world: World, rounds: int) -> None:
    for n in range(2, rounds + 2):
        world.run(*P[:4], n=n, cause=Cause(CauseKind.LEAVING, pod="demo-1-0", n=n - 1))
        world.now += 60
    world.settle()


def test_a_storm_is_a_condition_an_event_and_a_metric_but_no_end() -> None:
    world = running_world(maxRestarts=0)
    storm(world, 12)
    assert world.condition("Unstable") == ("False", "FewUncountedRestarts", FEW.format(12, 12))
    world.run(*P[:4], n=14, cause=Cause(CauseKind.SCALED, n=13))
    world.settle()
    message = (
        "13 restarts within an hour that do not count against maxRestarts: 12 Leaving, 1 Scaled"
    )
    assert world.condition("Unstable") == ("True", "UncountedRestarts", message)
    assert world.events()["Unstable"] == (1, message)
    assert world.metrics.registry.get_sample_value("elasticjob_jobs_unstable") == 1
    assert (world.status()["phase"], world.status()["counted"]) == ("Running", 0)
    world.now += 3600
    world.settle()
    assert world.condition("Unstable") == ("False", "FewUncountedRestarts", FEW.format(0, 12))
    assert world.metrics.registry.get_sample_value("elasticjob_jobs_unstable") == 0


def test_a_restarted_operator_takes_nothing_back_before_it_has_watched_for_an_hour() -> None:
    world = running_world()
    storm(world, 13)
    said = world.condition("Unstable")
    world.restart(Settings(heartbeat_s=T))
    world.settle()
    world.advance(3599)
    assert world.settled_writes() == []
    assert world.condition("Unstable") == said
    world.now += 1
    world.settle()
    assert world.condition("Unstable") == ("False", "FewUncountedRestarts", FEW.format(0, 12))


def test_a_restarted_operator_keeps_the_number_of_restarts_until_it_has_seen_one() -> None:
    world = running_world()
    storm(world, 2)
    said = world.condition("Unstable")
    assert said == ("False", "FewUncountedRestarts", FEW.format(2, 12))
    world.restart(Settings(heartbeat_s=T))
    world.settle()
    assert world.condition("Unstable") == said
    world.now += 3600
    world.settle()
    assert world.condition("Unstable") == ("False", "FewUncountedRestarts", FEW.format(0, 12))


def test_a_job_that_has_ended_is_not_unstable() -> None:
    world = running_world()
    storm(world, 13)
    world.write_round(Round(15, Phase.SUCCEEDED, starts=14))
    world.settle()
    assert world.condition("Unstable") == ("False", "Ended", "the job has ended")
