"""Agents behind the faulty proxy, for a few hundred rounds: `make split-brain` in short.

The API server is that of CONTRACT_KUBECONFIG (`make contract`), where a second one lags, or else
the local one.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.splitbrain.__main__ import summary
from tests.splitbrain.run import Plan, Result, run
from tests.splitbrain.sabotage import SABOTAGES
from tests.support.local_server import local_server

from elasticjob.controller.act.bundle import Bundle, build

pytestmark = pytest.mark.slow

REAL = os.environ.get("CONTRACT_KUBECONFIG")
ROUNDS = 300 if REAL else 60
MOST_ROUNDS = 3000  # an error shows within about a hundred
QUICK = ("does-not-reap", "skips-cas")  # the others show within several hundred


@pytest.fixture(scope="module")
def kubeconfig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    if REAL:
        yield Path(REAL)
        return
    with local_server(tmp_path_factory.mktemp("server")) as server:
        yield server.running.kubeconfig


def result_of(kubeconfig: Path, agent: Bundle, root: Path, rounds: int) -> tuple[Result, str]:
    """Run with a new seed; return the result, and the text that a failure prints."""
    plan = Plan(random.randrange(1_000_000), rounds, jobs=2, look_s=1.0)
    found = run(plan, kubeconfig, agent, root, report=lambda _: None)
    return found, summary(plan, found, str(kubeconfig))


def test_no_fault_makes_a_rank_run_twice_or_a_round_run_late(
    kubeconfig: Path, tmp_path: Path
) -> None:
    found, text = result_of(kubeconfig, build(), tmp_path, ROUNDS)
    assert not found.has_failed, text
    assert found.rounds >= ROUNDS
    assert len(found.faults) > 5, text
    assert found.lags == bool(REAL)


@pytest.mark.parametrize("name", QUICK)
def test_an_agent_with_an_error_is_found(kubeconfig: Path, tmp_path: Path, name: str) -> None:
    agent = SABOTAGES[name].apply(build())
    found, text = result_of(kubeconfig, agent, tmp_path, MOST_ROUNDS)
    assert found.violations, text
