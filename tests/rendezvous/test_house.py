"""The rules for the code of the protocol: pure, small, and each rule with its number.

A rule, a guard or a term is a function of at most 15 lines with the number of its rule in the
docstring. The name of each clause begins with that number: so a reader finds the rule in
docs/protocol.md. A test leaves out each clause, to show that it is needed.
"""

from __future__ import annotations

import ast
import functools
import inspect
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import pytest
from tests.support.mutants import clauses, table

import elasticjob.rendezvous
import elasticjob.wire
from elasticjob.rendezvous import step
from elasticjob.rendezvous.members import decide, judge

NAMED: dict[str, Callable[..., Any]] = {
    **table(step, "RULES"),
    **table(decide, "GUARDS"),
    **table(judge, "NEWCOMER"),
}
PACKAGES = [Path(p.__path__[0]) for p in (elasticjob.rendezvous, elasticjob.wire)]
FILES = [path for package in PACKAGES for path in sorted(package.rglob("*.py"))]

LONGEST = 15
LONGEST_STORY = 20
PURE = {
    "__future__", "array", "collections", "dataclasses", "elasticjob", "enum", "functools",
    "itertools", "json", "math", "operator", "re", "types", "typing",
}  # fmt: skip


@functools.cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


def functions(path: Path) -> Iterator[ast.FunctionDef]:
    for node in nodes(path):
        if isinstance(node, ast.FunctionDef):
            yield node


def length(node: ast.FunctionDef) -> int:
    """Lines from the first statement on: neither signature nor docstring."""
    body = node.body[1:] if ast.get_docstring(node) else node.body
    if not body:
        return 0
    return (node.end_lineno or 0) - body[0].lineno + 1


@pytest.mark.parametrize(("name", "function"), NAMED.items(), ids=list(NAMED))
def test_a_rule_is_short_and_names_its_number(name: str, function: Callable[..., Any]) -> None:
    (node,) = ast.parse(textwrap.dedent(inspect.getsource(function))).body
    assert isinstance(node, ast.FunctionDef)
    assert length(node) <= LONGEST
    number = name.split("-")[0]
    assert re.search(rf"Rules? .*{number}", ast.get_docstring(node) or ""), f"no rule {number}"


def test_every_function_is_short() -> None:
    """What only lists the fields of a record may be as long as the record."""
    lists = ("to_json", "from_json", "to_fields", "from_fields", "own_state")
    lengths = {
        f"{path}:{function.lineno}: {function.name}": length(function)
        for path in FILES
        for function in functions(path)
        if function.name not in lists
    }
    long = {name for name, lines in lengths.items() if lines > LONGEST_STORY}
    assert {name for name in long if not name.endswith("_manifest")} == set()


def test_a_function_with_a_clause_names_its_rule() -> None:
    """The elements of tables are in NAMED."""
    for clause in clauses("rendezvous").values():
        for function in functions(clause.path):
            if function.lineno <= clause.line <= (function.end_lineno or 0):
                docstring, number = ast.get_docstring(function) or "", clause.name.split("-")[0]
                assert re.search(rf"Rules? .*{number}", docstring), f"{clause}: rule {number}"


def test_only_has_come_compares_the_time() -> None:
    """So no rule can forget the time that it waits for (docs/adr/0005)."""
    shipped = {"has_come", "contact_since"}  # the second one: no rule waits for it
    compares = [
        (path, ast.unparse(node))
        for path in FILES
        for function in functions(path)
        if function.name not in shipped
        for node in ast.walk(function)
        if isinstance(node, ast.Compare)
    ]
    assert len(compares) > 100
    for path, text in compares:
        words = set(re.findall(r"\w+", text))
        assert "now" not in words or "has_come" in words, (path, text)


def imported_by(path: Path) -> set[str]:
    """The packages that a file imports."""
    imported = set()
    for node in nodes(path):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add((node.module or "").split(".")[0])
    return imported


def test_it_imports_nothing_that_could_do_anything() -> None:
    for path in FILES:
        assert imported_by(path) <= PURE, path
        assert {module.split(".")[1] for module in _ours(path)} <= {"wire", _package(path)}, path


def _package(path: Path) -> str:
    """The package of elasticjob that this file is in."""
    return next(package.name for package in PACKAGES if package in path.parents)


def _ours(path: Path) -> set[str]:
    text = path.read_text(encoding="utf-8")
    return set(re.findall(r"^(?:from|import) (elasticjob\.\w+)", text, re.MULTILINE))


def test_a_module_is_one_noun_of_readable_size() -> None:
    sizes = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}
    assert {path: lines for path, lines in sizes.items() if lines > 400} == {}


def test_it_runs_on_the_oldest_python_of_a_users_image() -> None:
    assert sys.version_info >= (3, 9)
