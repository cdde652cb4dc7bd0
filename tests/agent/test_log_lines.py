from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.support.leases import active, round_lease, who

from elasticjob.agent.log_lines import narrate
from elasticjob.rendezvous import born
from elasticjob.rendezvous import states as s
from elasticjob.wire.cause import Cause, CauseKind
from elasticjob.wire.round import Phase, Round

ME = born(who(1), 0.0)
CAUSE = Cause(CauseKind.WORKER_FAILED, "demo-0-0", rank=0, code=3, message="loss is nan")
TICK = s.Tick()
NOTHING: dict[str, Any] = {}


def seen(round_: Round) -> s.Me:
    return replace(ME, round=round_lease(round_=round_), stage=s.Stage.JOINED)


CAUSED = {"cause": "WorkerFailed", "pod": "demo-0-0", "cause_rank": 0, "message": "loss is nan"}


@pytest.mark.parametrize(
    ("before", "after", "event", "actions", "lines"),
    [
        (ME, ME, TICK, (), []),
        (
            seen(active(1)),
            seen(active(2, cause=CAUSE)),
            TICK,
            (),
            [("round", {"n": 2, "phase": "Active", "members": 2, "rank": 1, **CAUSED})],
        ),
        (
            seen(active(1)),
            seen(Round(2, Phase.FORMING)),
            TICK,
            (),
            [("round", {"n": 2, "phase": "Forming", "members": None, "rank": None})],
        ),
        (seen(active(1)), seen(active(1)), TICK, (), []),
        (
            replace(seen(active(1)), stage=s.Stage.CREATING),
            seen(active(1)),
            TICK,
            (),
            [("joined", {"lease": "demo-1-0", "state": "ready 0"})],
        ),
        (ME, ME, s.WorkersStarted(3, 12), (), [("workers started", {"n": 3, "ms": 12})]),
        (ME, ME, s.WorkerExited(3, CAUSE), (), [("worker failed", {"n": 3, **CAUSED})]),
        (ME, ME, s.WorkerExited(3), (), [("workers done", {"n": 3})]),
        (ME, ME, s.WorkersReaped(3), (), [("workers ended", {"n": 3})]),
        (ME, ME, s.ToldToLeave(), (), [("told to leave", NOTHING)]),
        (ME, ME, TICK, (s.Stop(3, 2.0),), [("stopping workers", {"n": 3, "grace_s": 2.0})]),
        (
            ME,
            ME,
            TICK,
            (s.CasRound("7", round=active(4)),),
            [("steps", {"n": 4, "phase": "Active"})],
        ),
        (ME, ME, TICK, (s.CasRound("7", holder="demo-1-0"),), []),
        (ME, ME, TICK, (s.Exit(75, "why"),), [("exit", {"code": 75, "reason": "why"})]),
        (
            ME,
            replace(ME, frozen=True),
            TICK,
            (),
            [("frozen: the Round or every right is gone; workers go on", NOTHING)],
        ),
    ],
)
def test_one_line_for_each_change(
    before: s.Me, after: s.Me, event: s.Event, actions: tuple[s.Action, ...], lines: list[Any]
) -> None:
    assert list(narrate(before, after, event, actions)) == lines
