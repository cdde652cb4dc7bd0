"""The whole local mode for each test module, and a namespace in it for each test.

Tests are coroutines on the loop that also runs API server and kubelet. The report of a test that
fails has status, rounds, events and logs of its jobs.
"""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.support.local_cluster import LocalCluster, local_mode

from elasticjob.local.node.process_table import pids_with_env
from elasticjob.local.node.processes import MARKER
from elasticjob.local.up import Local


@pytest.fixture(scope="module")
def python() -> Path:
    """The interpreter that pods find as python3. A module may override it."""
    return Path(sys.executable)


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as found:
        yield found


@pytest.fixture(scope="module")
def local(
    runner: asyncio.Runner, tmp_path_factory: pytest.TempPathFactory, python: Path
) -> Iterator[Local]:
    root = tmp_path_factory.mktemp("local").resolve()
    context = local_mode(root, python)
    yield runner.run(context.__aenter__())
    runner.run(context.__aexit__(None, None, None))
    assert not pids_with_env(MARKER, f"{root}/")


@pytest.fixture
def cluster(
    runner: asyncio.Runner, local: Local, request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[LocalCluster]:
    """Delete the jobs of a test after it, and check that no object and no process is left."""
    name = re.sub("[^a-z0-9]+", "-", request.node.name.removeprefix("test_"))[:60].strip("-")
    found = LocalCluster(local, name, tmp_path)
    restarts = found.operator_restarts
    yield found
    with described(runner, found):
        runner.run(found.clear())
    assert found.operator_restarts == restarts, "the operator has terminated by itself"


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    funcargs = pyfuncitem.funcargs
    if "cluster" not in funcargs:
        return (yield)
    with described(funcargs["runner"], funcargs["cluster"]):
        return (yield)


@contextmanager
def described(runner: asyncio.Runner, cluster: LocalCluster) -> Iterator[None]:
    """Add the state of the jobs to an error."""
    try:
        yield
    except Exception as error:
        error.add_note(runner.run(cluster.describe()))
        raise
