from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.protocol import identity, parsed_round

from elasticjob.agent.termination import LONGEST, termination_message, write_termination_message
from elasticjob.rendezvous import new_agent
from elasticjob.rendezvous.actions import Exit
from elasticjob.rendezvous.state import EXIT_FAILED, EXIT_SETUP, EXIT_TERMINATED
from elasticjob.wire.cause import Cause, CauseKind
from elasticjob.wire.round import Phase, Round

CAUSE = Cause(CauseKind.WORKER_FAILED, "demo-1-0", rank=5, code=3, message="loss is nan")
ROUND = parsed_round(round_=Round(4, Phase.FAILED, cause=CAUSE))
FAILED = replace(new_agent(identity(), 0.0), lease=ROUND)


@pytest.mark.parametrize(
    ("exit_", "me", "fields"),
    [
        (Exit(EXIT_SETUP, "no way"), None, {"cause": "SetupFailed", "code": 75}),
        (Exit(EXIT_SETUP, "no way"), FAILED, {"cause": "SetupFailed", "code": 75}),
        (
            Exit(EXIT_TERMINATED, "received a termination signal"),
            FAILED,
            {"cause": "Leaving", "code": 143},
        ),
        (Exit(3, "loss is nan"), FAILED, {"cause": "WorkerFailed", "code": 3, "rank": 5}),
        (Exit(EXIT_FAILED, "x"), FAILED, {"cause": "WorkerFailed", "code": 1, "rank": 5}),
    ],
)
def test_the_cause_of_the_exit(exit_: Exit, me: object, fields: dict[str, object]) -> None:
    found = json.loads(termination_message(exit_, me))  # type: ignore[arg-type]
    assert found == {**fields, "message": exit_.reason}


@pytest.mark.parametrize("letter", ["x", "ä", "\n", "\x00"])
def test_it_never_exceeds_what_the_kubelet_keeps(letter: str) -> None:
    text = termination_message(Exit(1, letter * 10_000 + "the end"), FAILED)
    assert len(text.encode()) <= LONGEST
    assert json.loads(text)["message"].endswith("the end")


def test_it_is_written_where_that_is_possible(tmp_path: Path) -> None:
    log = tmp_path / "termination-log"
    log.write_text("something longer than the message, of an earlier agent")
    write_termination_message(str(log), "{}")
    assert log.read_text() == "{}"
    write_termination_message(str(tmp_path / "missing" / "log"), "{}")
    write_termination_message(str(tmp_path), "{}")
