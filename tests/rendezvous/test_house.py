"""The rules for the code of the protocol: pure, small, and each rule with its number.

A guard or clause is a function of at most 15 lines with the number of its rule in the docstring,
and can be left out by a name that begins with that number: so a reader finds the rule in
docs/protocol.md, and a test can show that it is needed.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import pytest

import elasticjob.rendezvous
import elasticjob.wire
from elasticjob.rendezvous.members.decide import GUARDS
from elasticjob.rendezvous.members.judge import NEWCOMER
from elasticjob.rendezvous.step import RULES

NAMED: tuple[tuple[str, Callable[..., Any]], ...] = (*RULES, *GUARDS, *NEWCOMER)
PACKAGES = [Path(p.__path__[0]) for p in (elasticjob.rendezvous, elasticjob.wire)]
FILES = [path for package in PACKAGES for path in sorted(package.rglob("*.py"))]

LONGEST = 15
LONGEST_STORY = 20
PURE = {
    "__future__", "array", "collections", "dataclasses", "elasticjob", "enum", "functools",
    "itertools", "json", "math", "operator", "re", "types", "typing",
}  # fmt: skip


def functions(path: Path) -> Iterator[ast.FunctionDef]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef):
            yield node


def length(node: ast.FunctionDef) -> int:
    """Lines from the first statement on: neither signature nor docstring."""
    body = node.body[1:] if ast.get_docstring(node) else node.body
    if not body:
        return 0
    return (node.end_lineno or 0) - body[0].lineno + 1


@pytest.mark.parametrize(("name", "function"), NAMED, ids=[name for name, _ in NAMED])
def test_a_rule_is_short_and_names_its_number(name: str, function: Callable[..., Any]) -> None:
    (node,) = ast.parse(textwrap.dedent(inspect.getsource(function))).body
    assert isinstance(node, ast.FunctionDef)
    assert length(node) <= LONGEST
    number = name.split("-")[0]
    assert re.search(rf"Rules? .*{number}", ast.get_docstring(node) or ""), f"no rule {number}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_every_function_is_short(path: Path) -> None:
    """What only lists the fields of a record may be as long as the record."""
    lists = ("to_json", "from_json", "to_fields", "from_fields", "own_state")
    lengths = {f.name: length(f) for f in functions(path) if f.name not in lists}
    long = {name: n for name, n in lengths.items() if n > LONGEST_STORY}
    assert {name for name in long if not name.endswith("_manifest")} == set()


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_function_with_a_clause_names_its_rule(path: Path) -> None:
    for function in functions(path):
        source = ast.unparse(function)
        names = set(re.findall(r"'(\d)-[a-z0-9-]+' (?:not )?in me\.without", source))
        names |= set(re.findall(r"case\.on\('(\d)-", source))
        docstring = ast.get_docstring(function) or ""
        for number in names:
            assert re.search(rf"Rules? .*{number}", docstring), f"{function.name}: rule {number}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_it_imports_nothing_that_could_do_anything(path: Path) -> None:
    imported = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add((node.module or "").split(".")[0])
    assert imported <= PURE
    assert {module.split(".")[1] for module in _ours(path)} <= {"wire", _package(path)}


def _package(path: Path) -> str:
    """The package of elasticjob that this file is in."""
    return next(package.name for package in PACKAGES if package in path.parents)


def _ours(path: Path) -> set[str]:
    text = path.read_text(encoding="utf-8")
    return set(re.findall(r"^(?:from|import) (elasticjob\.\w+)", text, re.MULTILINE))


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_module_is_one_noun_of_readable_size(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


def test_names_of_rules_are_unique() -> None:
    names = [name for name, _ in NAMED]
    assert len(names) == len(set(names))


def test_it_runs_on_the_oldest_python_of_a_users_image() -> None:
    assert sys.version_info >= (3, 9)
