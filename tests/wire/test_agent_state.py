from __future__ import annotations

import pytest

from elasticjob.wire.agent_state import AgentPhase, AgentState
from elasticjob.wire.cause import Cause, CauseKind
from elasticjob.wire.member import DEFAULT_ROLE

_LONG = AgentState(
    AgentPhase.FAILED, 2, cause=Cause(CauseKind.WORKER_FAILED, message="\ud800" * 999)
)


def test_the_default_role_is_not_written() -> None:
    text = AgentState(AgentPhase.READY, 1).to_json()
    assert "role" not in text
    assert AgentState.from_json(text).role == DEFAULT_ROLE


@pytest.mark.parametrize("state", [AgentState(AgentPhase.READY, 0), _LONG], ids=["short", "long"])
def test_a_record_is_written_as_it_was_read(state: AgentState) -> None:
    """The agent compares texts to find out whether its Lease has its current state."""
    text = state.to_json()
    assert AgentState.from_json(text).to_json() == text


@pytest.mark.parametrize("word", list(AgentPhase))
def test_every_phase_is_read_back(word: AgentPhase) -> None:
    assert AgentState.from_json(AgentState(word, 4).to_json()).phase is word
