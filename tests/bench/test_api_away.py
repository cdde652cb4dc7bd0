from __future__ import annotations

from bench.api_away import signs

from elasticjob.agent.clock import format_time
from elasticjob.wire.agent_state import AgentPhase, AgentState
from elasticjob.wire.desired import Desired
from elasticjob.wire.lease import AgentLease, RoundLease
from elasticjob.wire.member import Pod
from elasticjob.wire.round import Round

GONE_AT = 1_000_000_000.5


def agent(index: int, renewed_at: float) -> AgentLease:
    """Renewed at a wall time."""
    name, state = f"job-{index}-0", AgentState(AgentPhase.RUNNING, 1)
    return AgentLease(name, Pod(index, 0), "1", "uid", "job", "me", format_time(renewed_at), state)


def pulse(holder: str, at: float) -> RoundLease:
    """The holder's, at a wall time."""
    return RoundLease("1", "uid", "job", Desired(()), Round(), holder, format_time(at))


def test_agents_renew_and_the_holder_pulses() -> None:
    leases = [agent(0, GONE_AT - 1), agent(1, GONE_AT + 1), agent(2, GONE_AT - 1)]
    found = signs(pulse("job-0-0", GONE_AT + 1), leases, GONE_AT)
    assert found == {"job-0-0", "job-1-0"}


def test_what_was_said_before_it_went_away_is_no_sign() -> None:
    leases = [agent(0, GONE_AT - 1), agent(1, GONE_AT)]
    assert signs(pulse("job-0-0", GONE_AT - 0.1), leases, GONE_AT) == set()


def test_a_round_without_a_holder_is_nobody_s_sign() -> None:
    assert signs(pulse("", GONE_AT + 1), [], GONE_AT) == set()
