"""What the runner reports: in a process with one file of tests, as it begins a pytest session."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from tests.mutants.page import text
from tests.mutants.runner import ROOT, Mutant, Options, Result, in_order, run
from tests.support.mutants import replaced

TESTS = "tests/rendezvous/test_budget.py"
SPENT = ("elasticjob.rendezvous.budget", "is_budget_spent")


def mutant(name: str, module: str, function: str, old: str, new: str) -> Mutant:
    return Mutant(name, name, "rendezvous/budget.py", partial(replaced, module, function, old, new))


def main() -> None:
    """Run three mutants, and print their results."""
    mutants = [
        mutant("changes-nothing", *SPENT, "desired) + 1 > desired", "desired) + 1 > 0 + desired"),
        mutant("breaks-a-rule", *SPENT, "desired) + 1 > desired", "desired) > desired"),
        mutant("never-ends", *SPENT, "most = ", "while True:\n        pass\n    most = "),
    ]
    results = run(mutants, Options(("unit",), jobs=2, limit_s=2.0, paths=(TESTS,)))
    print(json.dumps({x.mutant.name: [x.catcher, x.test.split("::")[0], x.text] for x in results}))


@pytest.mark.slow
def test_a_bug_is_found_and_a_change_without_effect_survives() -> None:
    command = [sys.executable, "-c", "from tests.mutants.test_runner import main; main()"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    found = json.loads(ran.stdout.splitlines()[-1])
    assert found["changes-nothing"] == ["", "", ""]
    assert found["breaks-a-rule"][:2] == ["unit", TESTS]
    assert found["never-ends"] == ["unit", TESTS, "the time limit of 2 s"]


@pytest.mark.slow
def test_a_test_that_fails_with_the_shipped_code_ends_the_run(tmp_path: Path) -> None:
    broken = tmp_path / "test_it.py"
    broken.write_text("def test_it():\n    assert False, 'as shipped'")
    code = (
        "from tests.mutants.runner import BrokenError, Options, run\n"
        "try:\n"
        f"    run([], Options(('unit',), paths=({str(broken)!r},)))\n"
        "except BrokenError as error:\n"
        "    print(error)\n"
    )
    command = [sys.executable, "-c", code]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "as shipped" in ran.stdout


def test_the_tests_of_the_module_come_first() -> None:
    tests = [
        "tests/sim/test_sim.py::test_a",
        "tests/rendezvous/test_scenarios.py::test_a",
        "tests/wire/test_lease.py::test_a",
        "tests/rendezvous/test_budget.py::test_a",
        "tests/rendezvous/rules/test_claim.py::test_a",
        "tests/rendezvous/rules/test_crash.py::test_a",
    ]
    assert in_order(tests, "rendezvous/rules/crash.py") == [5, 4, 3, 2, 1, 0]


def test_the_page_names_what_found_each_mutant() -> None:
    alive = mutant("lives", *SPENT, "", "")
    results = [
        Result(alive, "unit", "tests/test_a.py::test_b[1|2]", "assert", 1.0),
        Result(alive, "", "", "", 1.0, only="sim"),
    ]
    page = text(results, seeds=7)
    assert "1 mutants, 1 survive; 7 seeds" in page
    assert r"| lives | `tests/test_a.py::test_b[1\|2]` |" in page
    assert "| lives (sim) | **nothing** |" in page
