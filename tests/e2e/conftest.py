"""The whole system for the tests of a module, a namespace of it for each test.

Tests are coroutines: they run on the loop that also runs API server and kubelet. One that fails
tells of everything that there was to see.
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

from elasticjob.local.node.process_table import carriers
from elasticjob.local.node.processes import MARKER
from elasticjob.local.up import Local


@pytest.fixture(scope="module")
def python() -> Path:
    """What pods find as python3; a module may have another."""
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
    assert not carriers(MARKER, f"{root}/")


@pytest.fixture
def cluster(
    runner: asyncio.Runner, local: Local, request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[LocalCluster]:
    """After the test its jobs are deleted, and neither an object nor a process of them is left."""
    name = re.sub("[^a-z0-9]+", "-", request.node.name.removeprefix("test_"))[:60].strip("-")
    found = LocalCluster(local, name, tmp_path)
    restarts = found.operator_restarts
    yield found
    play(runner, found, found.clear())
    assert found.operator_restarts == restarts, "the operator has ended by itself"


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    test = pyfuncitem.obj
    if not inspect.iscoroutinefunction(test):
        return None
    given = pyfuncitem.funcargs
    arguments = {name: given[name] for name in inspect.signature(test).parameters}
    runner, cluster = given["runner"], given["cluster"]
    assert isinstance(runner, asyncio.Runner)
    assert isinstance(cluster, LocalCluster)
    play(runner, cluster, test(**arguments))
    return True


def play(runner: asyncio.Runner, cluster: LocalCluster, part: Coroutine[Any, Any, None]) -> None:
    """Run a part of a test; if it fails, everything that there was to see is told with it."""
    try:
        runner.run(part)
    except Exception as error:
        error.add_note(runner.run(cluster.describe()))
        raise
