from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.support.protocol import active, identity, parsed_round

from elasticjob.agent.log_lines import step_lines
from elasticjob.rendezvous import events, new_agent
from elasticjob.rendezvous.actions import Action, CasRound, Exit, Stop
from elasticjob.rendezvous.state import Me, Stage
from elasticjob.wire.cause import Cause, CauseKind
from elasticjob.wire.round import Phase, Round

ME = new_agent(identity("B"), 0.0)
CAUSE = Cause(CauseKind.WORKER_FAILED, "demo-0-0", rank=0, code=3, message="loss is nan\nstack")
TICK = events.Tick()
NOTHING: dict[str, Any] = {}
FROZEN = "agent is frozen: Round Lease deleted or access denied; workers continue"


def seen(round_: Round) -> Me:
    return replace(ME, lease=parsed_round(round_=round_), stage=Stage.JOINED)


CAUSED = {
    "cause": "WorkerFailed",
    "cause_pod": "demo-0-0",
    "cause_rank": 0,
    "message": "loss is nan",
}


@pytest.mark.parametrize(
    ("before", "after", "event", "actions", "lines"),
    [
        (ME, ME, TICK, (), []),
        (
            seen(active(1)),
            seen(active(2, cause=CAUSE)),
            TICK,
            (),
            [
                (
                    "agent received a round",
                    {"n": 2, "phase": "Active", "members": 2, "rank": 1, **CAUSED},
                )
            ],
        ),
        (
            seen(active(1)),
            seen(Round(2, Phase.FORMING)),
            TICK,
            (),
            [
                (
                    "agent received a round",
                    {"n": 2, "phase": "Forming", "members": None, "rank": None},
                )
            ],
        ),
        (seen(active(1)), seen(active(1)), TICK, (), []),
        (
            replace(seen(active(1)), stage=Stage.CREATING),
            seen(active(1)),
            TICK,
            (),
            [("agent joined", {"lease": "demo-1-0", "phase": "ready", "n": 0})],
        ),
        (ME, ME, events.WorkersStarted(3, 12), (), [("workers started", {"n": 3, "start_ms": 12})]),
        (ME, ME, events.WorkerExited(3, CAUSE), (), [("worker failed", {"n": 3, **CAUSED})]),
        (ME, ME, events.WorkerExited(3), (), [("workers succeeded", {"n": 3})]),
        (ME, ME, events.WorkersReaped(3), (), [("all worker processes have ended", {"n": 3})]),
        (
            ME,
            ME,
            events.LeaveRequested(),
            (),
            [("agent is leaving: termination signal received", NOTHING)],
        ),
        (ME, ME, TICK, (Stop(3, 2.0),), [("workers are stopping", {"n": 3, "grace_s": 2.0})]),
        (
            ME,
            ME,
            TICK,
            (CasRound("7", round=active(4)),),
            [("agent writes a round", {"n": 4, "phase": "Active"})],
        ),
        (ME, ME, TICK, (CasRound("7", holder="demo-1-0"),), []),
        (ME, ME, TICK, (Exit(75, "why"),), [("agent exits", {"code": 75, "reason": "why"})]),
        (ME, replace(ME, frozen=True), TICK, (), [(FROZEN, NOTHING)]),
    ],
)
def test_one_line_for_each_change(
    before: Me, after: Me, event: events.Event, actions: tuple[Action, ...], lines: list[Any]
) -> None:
    assert list(step_lines(before, after, event, actions)) == lines
