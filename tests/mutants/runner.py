"""Run the tests once for each mutant, until one fails.

One pytest session collects the tests; its loop forks a process for each mutant, which enters the
mutant and runs the tests in order. So modules are imported and tests are collected once. The first
process runs the shipped code: what fails there shows nothing about a mutant.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import selectors
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.support.mutants import ClauseError

ROOT = Path(__file__).parents[2]
CATCHERS: dict[str, tuple[str, ...]] = {
    "scenarios": ("tests/rendezvous/test_scenarios.py",),
    "who-judges": ("tests/test_who_judges.py",),
    "unit": ("tests/rendezvous", "tests/controller", "tests/wire", "tests/agent"),
    "properties": ("tests/properties",),
    "model": ("tests/model",),
    "sim": ("tests/sim/test_sim.py",),
}
"""The tests that may find a mutant; a file belongs to the first one that has it."""
ORDER = ("unit", "scenarios", "who-judges", "properties", "model", "sim")  # cheap ones first
# They compare names in the code with names in a page or a table, and show nothing about behaviour.
NAMES_ONLY = ("test_house.py", "test_protocol_page.py")
WITH_PROCESSES = ("process", "e2e", "cluster", "torch")
SLOW = "slow"
LARGEST_BYTES = 4 << 30  # of a process: a mutant may collect events for ever
LONGEST_TEXT = 300


@dataclass(frozen=True)
class Mutant:
    """The shipped code with one change. path: of the changed module, below the package."""

    name: str
    text: str  # what is changed
    path: str
    enter: Callable[[], AbstractContextManager[None]]
    by: tuple[str, ...] = ()  # catchers that must each find it, in addition to the first one


SHIPPED = Mutant("", "the shipped code", "", contextlib.nullcontext)


@dataclass(frozen=True)
class Result:
    """The result of one mutant. test: the one that failed; empty: it survives."""

    mutant: Mutant
    catcher: str  # that found it, or empty
    test: str
    text: str  # the first line of the failure
    took_s: float
    only: str = ""  # the one catcher that was used


@dataclass
class Options:
    """How to run. limit_s: of one test; a test that takes longer finds the mutant."""

    by: Sequence[str] = ORDER
    jobs: int = 1
    limit_s: float = 300.0
    paths: Sequence[str] = ()  # instead of those of the catchers
    report: Callable[[Result], None] = field(default=lambda result: None)


class BrokenError(Exception):
    """The tests cannot be collected, or fail with the shipped code."""


def run(mutants: Sequence[Mutant], options: Options) -> list[Result]:
    """Run the tests for each mutant. Raises BrokenError, and ClauseError for a bad mutant."""
    for mutant in mutants:
        with mutant.enter():
            pass
    plugin = _Plugin(mutants, options)
    paths = options.paths or [path for name in options.by for path in CATCHERS[name]]
    found = [str(ROOT / path) for path in paths if (ROOT / path).exists()]
    arguments = ["--override-ini=addopts=--import-mode=importlib", "--capture=no"]
    arguments += [f"--rootdir={ROOT}", "-p", "no:terminal", "-p", "no:cacheprovider"]
    pytest.main([*arguments, *found], plugins=[plugin])
    if plugin.broken or plugin.results is None:
        raise BrokenError("\n".join(plugin.broken) or "no tests were found")
    return plugin.results


class _Plugin:
    """The loop of the session, and the first failure of the process that runs the tests."""

    def __init__(self, mutants: Sequence[Mutant], options: Options) -> None:
        self.mutants = mutants
        self.options = options
        self.results: list[Result] | None = None
        self.broken: list[str] = []
        self.failure: tuple[str, str] | None = None

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.broken.append(str(report.longrepr))

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = [item for item in items if _is_useful(item)]

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        if self.broken or not session.items:
            return True
        tasks = [_Task(SHIPPED), *map(_Task, self.mutants)]
        if len(self.options.by) > 1:
            tasks += [_Task(m, one) for m in self.mutants for one in m.by if one in self.options.by]
        results = []
        for result in _in_processes(session, self, tasks):
            if result.mutant is not SHIPPED:
                self.options.report(result)
                results.append(result)
            elif result.test:
                self.broken.append(f"{result.test}: {result.text}")
                return True
        self.results = results
        return True

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: Any) -> Iterator[None]:
        report = yield
        # The builder of mutants refuses to change what the mutant has changed already.
        if report.failed and not (call.excinfo and call.excinfo.errisinstance(ClauseError)):
            text = str(call.excinfo.value if call.excinfo else report.longrepr)
            self.failure = self.failure or (item.nodeid, text)
        return report


def _is_useful(item: pytest.Item) -> bool:
    marks = {mark.name for mark in item.iter_markers()}
    is_slow = SLOW in marks and catcher_of(item.nodeid) not in ("model", "sim")
    return (
        not is_slow and not marks.intersection(WITH_PROCESSES) and item.path.name not in NAMES_ONLY
    )


def catcher_of(test: str) -> str:
    """The catcher that a test belongs to."""
    for name, paths in CATCHERS.items():
        if any(test.startswith(path) for path in paths):
            return name
    return "unit"


def in_order(tests: Sequence[str], path: str) -> list[int]:
    """The positions of the tests in the order in which they are run for a mutant of this module:
    by catcher, then those of the module, those of its folder, and those of its package."""

    def distance(test: str) -> int:
        module = Path("tests", path)
        own = module.with_name(f"test_{module.name}")
        file = Path(test.partition("::")[0])
        if file == own:
            return 0
        if file.parent == own.parent:
            return 1
        return 2 if file.parts[:2] == own.parts[:2] else 3

    def key(position: int) -> tuple[int, int, int]:
        test = tests[position]
        return ORDER.index(catcher_of(test)), distance(test), position

    return sorted(range(len(tests)), key=key)


# ---- processes -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Task:
    mutant: Mutant
    only: str = ""  # the one catcher to use; empty: all


@dataclass(frozen=True)
class _Child:
    pid: int
    task: _Task
    began_at: float
    folder: str


def _in_processes(
    session: pytest.Session, plugin: _Plugin, tasks: Sequence[_Task]
) -> Iterator[Result]:
    """The result of each task, as they end. The first task ends before the others begin."""
    waiting = list(tasks)
    with selectors.DefaultSelector() as selector:
        while waiting or selector.get_map():
            jobs = 1 if waiting and waiting[0].mutant is SHIPPED else plugin.options.jobs
            while waiting and len(selector.get_map()) < jobs:
                child, pipe = _fork(session, plugin, waiting.pop(0))
                selector.register(pipe, selectors.EVENT_READ, child)
                if child.task.mutant is SHIPPED:
                    break
            for key, _ in selector.select():
                selector.unregister(key.fd)
                yield _result_of(key.data, key.fd)


def _fork(session: pytest.Session, plugin: _Plugin, task: _Task) -> tuple[_Child, int]:
    reader, writer = os.pipe()
    folder = tempfile.mkdtemp(prefix="mutant-")
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        os.close(writer)
        return _Child(pid, task, time.monotonic(), folder), reader
    try:
        _enter_process(folder)
        _write(writer, *_first_failure(session, plugin, task, writer))
    except BaseException as error:
        _write(writer, "the process", repr(error))
    finally:
        os._exit(0)


def _enter_process(folder: str) -> None:
    os.setpgid(0, 0)
    output = os.open(os.path.join(folder, "output"), os.O_WRONLY | os.O_CREAT)
    for number in (1, 2):
        os.dup2(output, number)
    os.environ["PYTEST_DEBUG_TEMPROOT"] = folder  # tmp_path
    resource.setrlimit(resource.RLIMIT_AS, (LARGEST_BYTES, LARGEST_BYTES))


def _first_failure(
    session: pytest.Session, plugin: _Plugin, task: _Task, writer: int
) -> tuple[str, str]:
    """The first test that fails for this mutant, and why; empty if none does."""
    by = (task.only,) if task.only else tuple(plugin.options.by)
    limit_s = plugin.options.limit_s
    every = [item for item in session.items if catcher_of(item.nodeid) in by]
    items = [every[k] for k in in_order([item.nodeid for item in every], task.mutant.path)]
    with task.mutant.enter():
        for item, following in zip(items, [*items[1:], None], strict=True):

            def end(*_: object, test: str = item.nodeid) -> None:
                _write(writer, test, f"the time limit of {limit_s:g} s")
                os._exit(0)

            signal.signal(signal.SIGALRM, end)
            signal.setitimer(signal.ITIMER_REAL, limit_s)
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if plugin.failure:
                return plugin.failure
    return "", ""


def _write(writer: int, test: str, text: str) -> None:
    """Write a result, which is short enough to be written as a whole."""
    line = next(iter(text.strip().splitlines()), "")
    os.write(writer, json.dumps([test, line[:LONGEST_TEXT]]).encode())


def _result_of(child: _Child, pipe: int) -> Result:
    written = os.read(pipe, 1 << 16)
    os.close(pipe)
    os.waitpid(child.pid, 0)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)  # what its tests have started
    shutil.rmtree(child.folder, ignore_errors=True)
    task = child.task
    test, text = json.loads(written) if written else ("the process", "it ended without a result")
    took_s = time.monotonic() - child.began_at
    catcher = catcher_of(test) if test else ""
    return Result(task.mutant, catcher, test, text, took_s, task.only)


def survivors(results: Iterable[Result]) -> list[Result]:
    """The results without a failure."""
    return [result for result in results if not result.test]


def count(results: Sequence[Result]) -> str:
    """How many mutants there are, and how many results are without a failure."""
    names = {result.mutant.name for result in results}
    return f"{len(names)} mutants, {len(survivors(results))} survive"
