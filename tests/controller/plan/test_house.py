"""The rules for the code of the operator's decisions (docs/adr/0005)."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.mutants import clauses

import elasticjob.controller
from elasticjob.controller import plan as plans

CONTROLLER = Path(elasticjob.controller.__path__[0])
FILES = sorted(path for name in ("plan", "observe") for path in (CONTROLLER / name).rglob("*.py"))

READ_THE_TIME = {
    "plan/__init__.py": {"plan"},  # makes the Now of all policies
    "plan/job_over.py": {"_ends_at"},  # an instant of the status, in monotonic seconds
    "plan/memory.py": {"after_snapshot", "after_actions", "_refusals", "_replacements"}
    | {"_next_renewal"},  # records
    "plan/missing.py": {"after_replacement"},  # a record
    "plan/refused.py": {"after_refusal"},  # a record
    "plan/repeated.py": {"after"},  # a record
    "plan/restarts/uncounted.py": {"of_rounds", "recent", "restarts", "has_seen_an_hour"},  # status
    "observe/lasting.py": {"has_no_pulse"},  # whom the operator judges; lost.await_pulse waits
    "observe/snapshot.py": {"since", "same_pulse_at"},  # a condition that is new begins now
}


def functions_that_read_the_time(tree: ast.Module) -> Iterator[str]:
    """The functions that read more of the time than what has_come answers."""
    for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
        instants = {a.arg for a in function.args.args if a.annotation and _is_float(a.annotation)}
        if any(_reads_time(node, instants) for node in ast.walk(function)):
            yield function.name


def _is_float(annotation: ast.expr) -> bool:
    return ast.unparse(annotation) == "float"


def _reads_time(node: ast.AST, instants: set[str]) -> bool:
    if isinstance(node, ast.Attribute):
        is_now = ast.unparse(node) in ("now.at", "now.again_at")
        return is_now or node.attr in ("now", "utc_now")
    return isinstance(node, ast.Name) and node.id == "now" and "now" in instants


def test_only_has_come_compares_the_time() -> None:
    """So no policy can forget the time that it waits for."""
    found = {
        str(path.relative_to(CONTROLLER)): set(
            functions_that_read_the_time(ast.parse(path.read_text(encoding="utf-8")))
        )
        for path in FILES
    }
    assert {name: functions for name, functions in found.items() if functions} == READ_THE_TIME


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("def f(snapshot): return snapshot.now > 1", ["f"]),
        ("def f(snapshot): return 1 < snapshot.utc_now", ["f"]),
        ("def f(now: Now): return now.at - 1", ["f"]),
        ("def f(now: Now): return min(now.again_at, 1)", ["f"]),
        ("def f(now: float): return now - 1", ["f"]),
        ("def f(snapshot, now: Now): return now.has_come(snapshot.since[1])", []),
    ],
)
def test_a_function_that_reads_the_time_is_found(code: str, expected: list[str]) -> None:
    assert list(functions_that_read_the_time(ast.parse(code))) == expected


@pytest.mark.parametrize("name", ["WAITS", "OVER", "WITHOUT_ROUND", "WITH_FALSE_ROUND", "RUNS"])
def test_a_policy_is_a_function_of_the_snapshot_and_the_time(name: str) -> None:
    for policy in getattr(plans, name):
        assert list(inspect.signature(policy).parameters) == ["snapshot", "now"]


def test_the_clauses_of_the_operator_have_the_number_of_its_rule() -> None:
    found = clauses("controller/plan", "controller/observe")
    assert [name for name in found if not name.startswith("9-")] == []
