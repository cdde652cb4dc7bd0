from __future__ import annotations

from bench.api_outage import renewed_since

from elasticjob.agent.clock import format_time
from elasticjob.wire.agent_state import AgentPhase, AgentState
from elasticjob.wire.desired import Desired
from elasticjob.wire.lease import AgentLease, RoundLease
from elasticjob.wire.member import Pod
from elasticjob.wire.round import Round

GONE_AT = 1_000_000_000.5


def agent(index: int, renewed_at: float) -> AgentLease:
    name, state = f"job-{index}-0", AgentState(AgentPhase.RUNNING, 1)
    return AgentLease(name, Pod(index, 0), "1", "uid", "job", "me", format_time(renewed_at), state)


def pulse(holder: str, at: float) -> RoundLease:
    return RoundLease("1", "uid", "job", Desired(()), Round(), holder, format_time(at))


def test_agents_renew_their_leases_and_the_holder_renews_the_round() -> None:
    leases = [agent(0, GONE_AT - 1), agent(1, GONE_AT + 1), agent(2, GONE_AT - 1)]
    found = renewed_since(GONE_AT, pulse("job-0-0", GONE_AT + 1), leases)
    assert found == {"job-0-0", "job-1-0"}


def test_a_renewal_before_the_outage_does_not_count() -> None:
    leases = [agent(0, GONE_AT - 1), agent(1, GONE_AT)]
    assert renewed_since(GONE_AT, pulse("job-0-0", GONE_AT - 0.1), leases) == set()


def test_a_round_without_a_holder_is_no_renewal() -> None:
    assert renewed_since(GONE_AT, pulse("", GONE_AT + 1), []) == set()
