from __future__ import annotations

import pytest

from elasticjob.wire.agent_state import AgentState, Word
from elasticjob.wire.cause import Cause, CauseKind
from elasticjob.wire.member import DEFAULT_ROLE

_LONG = AgentState(Word.FAILED, 2, cause=Cause(CauseKind.WORKER_FAILED, message="\ud800" * 999))


def test_the_default_role_is_not_written() -> None:
    text = AgentState(Word.READY, 1).to_json()
    assert "role" not in text
    assert AgentState.from_json(text).role == DEFAULT_ROLE


@pytest.mark.parametrize("state", [AgentState(Word.READY, 0), _LONG], ids=["short", "long"])
def test_what_was_read_is_written_alike(state: AgentState) -> None:
    """The agent compares texts to see whether its Lease says what it should."""
    text = state.to_json()
    assert AgentState.from_json(text).to_json() == text


@pytest.mark.parametrize("word", list(Word))
def test_every_word_is_read_back(word: Word) -> None:
    assert AgentState.from_json(AgentState(word, 4).to_json()).word is word
