from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from bench.api_server import NAME, ApiServer
from dev.cluster.errors import ClusterError
from dev.cluster.processes import Identity, Processes
from tests.support.deadline import eventually

pytestmark = pytest.mark.process


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    """Its API server sleeps."""
    found = Processes(tmp_path)
    found.start(NAME, ["sleep", "60"])
    yield found
    found.stop(NAME)


def present(processes: Processes) -> Identity:
    """Who is the API server now."""
    who = processes.find(NAME)
    assert who is not None
    return who


def state(who: Identity) -> str:
    """T is stopped, S sleeps."""
    return Path(f"/proc/{who.pid}/stat").read_text().rpartition(")")[2].split()[0]


def words(who: Identity) -> bytes:
    """Its command line."""
    return Path(f"/proc/{who.pid}/cmdline").read_bytes()


def test_frozen_it_is_the_same_process_and_goes_on(processes: Processes) -> None:
    who = present(processes)
    with ApiServer(processes).frozen():
        eventually(lambda: state(who) == "T")
    eventually(lambda: state(who) == "S")
    assert present(processes) == who


def test_from_frozen_to_dead_to_another_process_of_the_same_command(processes: Processes) -> None:
    who, server = present(processes), ApiServer(processes)
    eventually(lambda: words(who) == b"sleep\x0060\x00")
    with server.frozen(), server.dead():
        assert processes.find(NAME) is None
    eventually(lambda: words(present(processes)) == b"sleep\x0060\x00")
    assert present(processes) != who


def test_it_comes_back_when_the_measurement_fails(processes: Processes) -> None:
    server = ApiServer(processes)
    with pytest.raises(ZeroDivisionError), server.frozen(), server.dead():
        raise ZeroDivisionError
    eventually(lambda: state(present(processes)) == "S")


def test_nothing_that_does_not_run_can_go_away(tmp_path: Path) -> None:
    server = ApiServer(Processes(tmp_path))
    with pytest.raises(ClusterError, match="does not run"), server.dead():
        raise AssertionError
