"""T for any number of namespaces and agents (ADR 21)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from elasticjob.controller.observe.heartbeat import LONGEST_S, SHORTEST_S, STEP_S, kept_s, needed_s

NAMES = ["a", "b", "c", "d", "e", "f"]
agents = st.dictionaries(st.sampled_from(NAMES), st.integers(0, 20_000))
rates = st.integers(1, 1000) | st.floats(1, 1000)


def intervals(running: dict[str, int], rate: float) -> dict[str, float]:
    return {name: needed_s(name, running, rate) for name in running}


@given(agents, rates)
def test_it_is_one_of_a_few_steps(running: dict[str, int], rate: float) -> None:
    for found in intervals(running, rate).values():
        assert SHORTEST_S <= found <= LONGEST_S
        assert found % STEP_S == 0


@given(agents, rates)
def test_a_namespace_below_an_equal_share_has_the_shortest(
    running: dict[str, int], rate: float
) -> None:
    for name, found in intervals(running, rate).items():
        if running[name] * len(running) <= rate * SHORTEST_S:
            assert found == SHORTEST_S


@given(agents, rates)
def test_none_is_longer_than_an_equal_share_requires(running: dict[str, int], rate: float) -> None:
    for name, found in intervals(running, rate).items():
        alone_s = running[name] * len(running) / rate
        assert found < max(SHORTEST_S, alone_s) + STEP_S + 1e-6


@given(agents, rates)
def test_together_they_write_at_most_the_rate_unless_the_longest_is_too_short(
    running: dict[str, int], rate: float
) -> None:
    found = intervals(running, rate)
    within = sum(running[name] / found[name] for name in running if found[name] < LONGEST_S)
    assert within <= rate * (1 + 1e-9)
    if all(each < LONGEST_S for each in found.values()):
        assert sum(running[name] / found[name] for name in running) <= rate * (1 + 1e-9)


@given(agents, rates, st.sampled_from(NAMES), st.integers(1, 20_000))
def test_more_agents_shorten_no_interval(
    running: dict[str, int], rate: float, name: str, more: int
) -> None:
    before = intervals(running, rate)
    after = intervals({**running, name: running.get(name, 0) + more}, rate)
    assert all(after[each] >= before[each] for each in before)


@given(agents, rates)
def test_a_namespace_that_has_a_longer_interval_than_another_runs_more_agents(
    running: dict[str, int], rate: float
) -> None:
    """The large ones become slow first."""
    found = intervals(running, rate)
    for one in found:
        for other in found:
            if found[one] > found[other]:
                assert running[one] > running[other]


@given(st.integers(1, 12), st.integers(1, 12))
def test_a_kept_interval_is_at_most_twice_the_needed_one(held: int, needed: int) -> None:
    kept = kept_s(held * STEP_S, needed * STEP_S)
    assert needed * STEP_S <= kept <= 2 * needed * STEP_S
    assert kept_s(kept, needed * STEP_S) == kept
