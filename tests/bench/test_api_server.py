from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from bench.api_server import API_SERVER, frozen, parse_requests, stopped
from dev import proc
from dev.cluster.errors import ClusterError
from dev.cluster.processes import Identity, Processes
from dev.wait import wait_until

METRICS = """\
# TYPE apiserver_request_total counter
apiserver_request_total{code="200",group="coordination.k8s.io",resource="leases",verb="PATCH"} 12
apiserver_request_total{code="409",group="coordination.k8s.io",resource="leases",verb="PATCH"} 1
apiserver_request_total{code="200",dry_run="x",resource="leases",verb="PATCH"} 3
apiserver_request_total{code="200",resource="pods",verb="GET"} 7
apiserver_request_total_other{code="200",resource="leases",verb="GET"} 7
"""


def test_requests_of_one_resource_are_added_up_by_verb_and_code() -> None:
    assert parse_requests(METRICS) == {("PATCH", "200"): 15, ("PATCH", "409"): 1}


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    """The API server is a process that sleeps."""
    found = Processes(tmp_path)
    found.start(API_SERVER, ["sleep", "60"])
    yield found
    found.stop(API_SERVER)


def current(processes: Processes) -> Identity:
    found = processes.find(API_SERVER)
    assert found is not None
    return found


def wait_for_state(processes: Processes, state: str) -> None:
    """T is stopped, S sleeps."""

    def reached() -> bool:
        stat = proc.stat(current(processes).pid)
        return stat is not None and stat.state == state

    wait_until(reached, what=f"state {state}")


def wait_for_command(processes: Processes) -> None:
    def reached() -> bool:
        return proc.command_line(current(processes).pid) == ["sleep", "60"]

    wait_until(reached, what="the command line")


@pytest.mark.process
def test_after_a_freeze_the_same_process_continues(processes: Processes) -> None:
    before = current(processes)
    with frozen(processes):
        wait_for_state(processes, "T")
    wait_for_state(processes, "S")
    assert current(processes) == before


@pytest.mark.process
def test_after_a_stop_another_process_runs_the_same_command(processes: Processes) -> None:
    before = current(processes)
    wait_for_command(processes)
    with frozen(processes), stopped(processes):
        assert processes.find(API_SERVER) is None
    wait_for_command(processes)
    assert current(processes) != before


@pytest.mark.process
def test_the_api_server_comes_back_when_the_measurement_fails(processes: Processes) -> None:
    wait_for_command(processes)
    with pytest.raises(ZeroDivisionError), frozen(processes), stopped(processes):
        raise ZeroDivisionError
    wait_for_state(processes, "S")


def test_an_api_server_that_does_not_run_cannot_be_stopped(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="does not run"), stopped(Processes(tmp_path)):
        raise AssertionError
