from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.support.protocol import identity

from elasticjob.agent.termination import LONGEST, termination_message, write_termination_message
from elasticjob.rendezvous import new_agent
from elasticjob.rendezvous.actions import Exit
from elasticjob.rendezvous.rules.exit import LEFT, terminal_exit
from elasticjob.rendezvous.state import EXIT_SETUP, EXIT_TERMINATED, setup_failure
from elasticjob.wire.cause import Cause, CauseKind
from elasticjob.wire.round import Phase, Round


@pytest.mark.parametrize(
    ("exit_", "fields"),
    [
        (setup_failure("no way"), {"cause": "SetupFailed", "code": 75}),
        (LEFT, {"cause": "Leaving", "code": 143}),
        (
            Exit(3, "loss is nan", "WorkerFailed", 5),
            {"cause": "WorkerFailed", "code": 3, "rank": 5},
        ),
        (Exit(1, "in another pod", "PodSilent"), {"cause": "PodSilent", "code": 1}),
        (Exit(1, "unknown"), {"cause": "", "code": 1}),
    ],
)
def test_the_fields_of_an_exit(exit_: Exit, fields: dict[str, object]) -> None:
    assert json.loads(termination_message(exit_)) == {**fields, "message": exit_.reason}


@pytest.mark.parametrize("kind", [CauseKind.WORKER_FAILED, CauseKind.WORKER_SIGNALED])
@pytest.mark.parametrize("code", [1, EXIT_SETUP, EXIT_TERMINATED, 137])
def test_a_worker_with_a_code_of_the_agent_is_still_the_cause(kind: CauseKind, code: int) -> None:
    signal = code - 128 if kind is CauseKind.WORKER_SIGNALED and code > 128 else None
    cause = Cause(kind, "demo-0-0", rank=5, code=None if signal else code, signal=signal)
    exit_ = terminal_exit(new_agent(identity(), 0.0), Round(4, Phase.FAILED, cause=cause))
    found = json.loads(termination_message(exit_))
    assert (found["cause"], found["code"], found["rank"]) == (kind.value, code, 5)


@pytest.mark.parametrize("letter", ["x", "ä", "\n", "\x00"])
def test_it_never_exceeds_what_the_kubelet_keeps(letter: str) -> None:
    text = termination_message(Exit(1, letter * 10_000 + "the end"))
    assert len(text.encode()) <= LONGEST
    assert json.loads(text)["message"].endswith("the end")


def test_it_is_written_where_that_is_possible(tmp_path: Path) -> None:
    log = tmp_path / "termination-log"
    log.write_text("something longer than the message, of an earlier agent")
    write_termination_message(str(log), "{}")
    assert log.read_text() == "{}"
    write_termination_message(str(tmp_path / "missing" / "log"), "{}")
    write_termination_message(str(tmp_path), "{}")
