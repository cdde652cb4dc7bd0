"""The whole local mode for each test module, and a namespace in it for each test.

Tests are coroutines on the loop that also runs API server and kubelet. The report of a test that
fails has status, rounds, events and logs of its jobs.
"""

from __future__ import annotations

import asyncio
import inspect
import re
import sys
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

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
    play(runner, found, found.clear())
    assert found.operator_restarts == restarts, "the operator has terminated by itself"


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    test = pyfuncitem.obj
    if not inspect.iscoroutinefunction(test):
        return None
    funcargs = pyfuncitem.funcargs
    arguments = {name: funcargs[name] for name in inspect.signature(test).parameters}
    runner, cluster = funcargs["runner"], funcargs["cluster"]
    assert isinstance(runner, asyncio.Runner)
    assert isinstance(cluster, LocalCluster)
    play(runner, cluster, test(**arguments))
    return True


def play(runner: asyncio.Runner, cluster: LocalCluster, part: Coroutine[Any, Any, None]) -> None:
    """Run a part of a test. If it fails, add the state of its jobs to the error."""
    try:
        runner.run(part)
    except Exception as error:
        error.add_note(runner.run(cluster.describe()))
        raise
