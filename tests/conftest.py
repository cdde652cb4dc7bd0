"""Run tests that are coroutines, and collect garbage after each test that may leave sockets open.

So an error about an open socket names the test that left it open, and not a later one.

With TEST_RECORD, the file of this name records each test that ran or was skipped; `dev/skipped.py`
reads it.
"""

from __future__ import annotations

import asyncio
import gc
import inspect
import json
import os
from collections.abc import Iterator

import pytest

os.environ.pop("KUBECONFIG", None)  # it is a developer's own cluster, and the operator reads it
LEAKING = ("process", "slow", "e2e")
RECORD = os.environ.get("TEST_RECORD")
LONGEST_S = 300  # a test that is a coroutine fails then


def pytest_collection_finish() -> None:
    """Leave all loaded modules out of later collections, which then take 7 ms and not 76."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def own_garbage() -> Iterator[None]:
    """Collect after all other fixtures of the test have ended."""
    yield
    gc.collect()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let tests that may leave sockets open collect, and mark those that draw their input."""
    for item in items:
        if any(item.get_closest_marker(mark) for mark in LEAKING):
            # Not in place: all cases of a test share the list, and most of them leave nothing open.
            item.fixturenames = ["own_garbage", *item.fixturenames]  # type: ignore[attr-defined]
        if hasattr(getattr(item, "obj", None), "hypothesis"):
            item.add_marker("examples")  # EXAMPLES inputs


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    """The event loop of a test that is a coroutine, and of its fixtures."""
    with asyncio.Runner() as found:
        yield found


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a test that is a coroutine in the event loop of its fixtures."""
    test, funcargs = pyfuncitem.obj, pyfuncitem.funcargs
    if not inspect.iscoroutinefunction(test):
        return None
    arguments = {name: funcargs[name] for name in inspect.signature(test).parameters}
    run = funcargs["runner"].run if "runner" in funcargs else asyncio.run
    run(asyncio.wait_for(test(**arguments), LONGEST_S))
    return True


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Record a test that ran or was skipped. With pytest-xdist, its main process does."""
    if not RECORD or "PYTEST_XDIST_WORKER" in os.environ:
        return
    if report.skipped or report.when == "call":
        reason = str(report.longrepr[2]) if isinstance(report.longrepr, tuple) else ""
        with open(RECORD, "a") as record:
            record.write(json.dumps([report.nodeid, report.outcome, reason]) + "\n")
