"""What the builder of mutants changes, and what it refuses."""

from __future__ import annotations

import ast
import types
from pathlib import Path

import pytest
from tests.mutants.__main__ import every_mutant
from tests.support.mutants import ClauseError, clauses, mutated, replaced, table, without

from elasticjob.rendezvous import budget
from elasticjob.wire.charges import Charges
from elasticjob.wire.desired import Desired
from elasticjob.wire.round import Round


def module(tmp_path: Path, code: str) -> Path:
    path = tmp_path / "it.py"
    path.write_text(code)
    return path


def test_every_tag_has_a_form_and_every_bug_its_text() -> None:
    mutants = every_mutant()
    assert len(mutants) > 160
    assert len({mutant.name for mutant in mutants}) == len(mutants)
    for mutant in mutants:
        with mutant.enter():
            pass


def test_the_folders_of_clauses_are_those_of_the_tags() -> None:
    """A tag in another folder would leave out nothing."""
    root = Path(budget.__file__).parents[1]
    tagged = {path for path in root.rglob("*.py") if "  # clause " in path.read_text()}
    assert {clause.path for clause in clauses().values()} == tagged


@pytest.mark.parametrize(
    ("code", "without_it"),
    [
        ("def f(a, b):\n    return (\n        a\n        and b  # clause 1-x\n    )", "return a"),
        ("T = (\n    1,\n    2,  # clause 1-x\n)", "T = (1,)"),
        ("def f(a):\n    return max(\n        a,\n        2,  # clause 1-x\n    )", "max(a)"),
        ("def f(a):\n    if a:  # clause 1-x\n        return 1\n    return 2", "if False:"),
        ("def f(a):\n    a = a + 1\n    a = 2  # clause 1-x\n    return a", "pass"),
        (
            "def f(t, a, b):\n    return [\n        x\n        for x in t\n        if a(x)\n"
            "        and b(x)  # clause 1-x\n    ]",
            "[x for x in t if a(x)]",
        ),
    ],
)
def test_what_remains_without_a_clause(tmp_path: Path, code: str, without_it: str) -> None:
    tree, _ = mutated(module(tmp_path, code), ("1-x",))
    assert without_it in ast.unparse(tree)


@pytest.mark.parametrize(
    "code",
    [
        "def f(a, b):\n    return a and b  # clause 1-x",  # nothing says what it returns instead
        "def f():\n    a = 1  # clause 1-x\n    return a",  # the variable has no value before
        "def f(\n    a,  # clause 1-x\n):\n    return a",
    ],
)
def test_a_line_without_a_form_is_refused(tmp_path: Path, code: str) -> None:
    with pytest.raises(ClauseError, match="1-x"):
        mutated(module(tmp_path, code), ("1-x",))


def test_a_tag_that_is_alone_on_its_line_is_refused(tmp_path: Path) -> None:
    module(tmp_path, "def f():\n    # clause 1-x\n    return 1")
    with pytest.raises(ClauseError, match="not of the form"):
        clauses(str(tmp_path))


def test_two_clauses_of_one_name_are_refused(tmp_path: Path) -> None:
    for name in ("one.py", "two.py"):
        (tmp_path / name).write_text("def f(a):\n    if a:  # clause 1-x\n        return 1")
    with pytest.raises(ClauseError, match="1-x"):
        clauses(str(tmp_path))


def test_two_clauses_of_one_name_in_one_module_are_refused(tmp_path: Path) -> None:
    module(tmp_path, "def f(a):\n    g(a)  # clause 1-x\n    h(a)  # clause 1-x")
    with pytest.raises(ClauseError, match="1-x"):
        clauses(str(tmp_path))


def test_an_unknown_clause_is_refused() -> None:
    with pytest.raises(ClauseError, match="no clause 1-x"), without("1-x"):
        pass


def test_an_element_of_a_table_without_a_tag_is_refused(tmp_path: Path) -> None:
    made = types.ModuleType("it")
    made.__file__ = str(module(tmp_path, "T = (\n    1,\n    2,  # clause 1-x\n)"))
    made.T = (1, 2)  # type: ignore[attr-defined]
    with pytest.raises(ClauseError, match="has no clause"):
        table(made, "T")


def spent() -> bool:
    return budget.is_budget_spent(
        Round(charged=Charges(frozenset({2}))), Desired((), max_restarts=1)
    )


def test_a_text_is_replaced_and_put_back() -> None:
    assert spent()
    with replaced(
        "elasticjob.rendezvous.budget",
        "is_budget_spent",
        "desired) + 1 > desired",
        "desired) > desired",
    ):
        assert not spent()
    assert spent()


@pytest.mark.parametrize(
    ("function", "old"),
    [
        ("is_budget_spent", "no such text"),
        ("is_budget_spent", "desired"),  # twice
        ("is_budget_gone", "desired"),
    ],
)
def test_a_text_that_does_not_occur_once_is_refused(function: str, old: str) -> None:
    with pytest.raises(ClauseError), replaced("elasticjob.rendezvous.budget", function, old, ""):
        pass
