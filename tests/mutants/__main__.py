"""Show that the tests find each mutant: the shipped code without one clause, or with a seeded bug.

    uv run python -m tests.mutants                        # all
    uv run python -m tests.mutants --only '7-*' --jobs 4
    uv run python -m tests.mutants --by sim               # which of them the simulation finds
    uv run python -m tests.mutants --write                # also writes docs/mutants.md

Exit code 1 if a mutant survives, 2 if the tests fail with the shipped code.
"""

from __future__ import annotations

import argparse
import fnmatch
import os
import sys
from functools import partial

from tests.mutants import page
from tests.mutants.bugs import BUGS
from tests.mutants.runner import ORDER, BrokenError, Mutant, Options, Result, count, run, survivors
from tests.support.mutants import ROOT, clauses, replaced, without


def every_mutant() -> list[Mutant]:
    """The clauses by module, then the seeded bugs."""
    left_out = [
        Mutant(
            clause.name,
            f"without `{clause.name}`",
            clause.path.relative_to(ROOT).as_posix(),
            partial(without, clause.name),
        )
        for clause in sorted(clauses().values(), key=lambda c: (c.path, c.line))
    ]
    seeded = [
        Mutant(
            bug.name,
            bug.text,
            f"{bug.module.replace('.', '/')}.py",
            partial(replaced, f"elasticjob.{bug.module}", bug.function, bug.old, bug.new),
            bug.by,
        )
        for bug in BUGS
    ]
    return left_out + seeded


def line(result: Result) -> str:
    """One line of the output."""
    name = f"{result.mutant.name} ({result.only} alone)" if result.only else result.mutant.name
    if not result.test:
        return f"{name} -> SURVIVES: {result.mutant.text}"
    return f"{name} -> {result.test}: {result.text[:80]}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.mutants", description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="*", help="names, with * and ?; several with commas")
    parser.add_argument("--by", default="", help=f"only these, with commas: {', '.join(ORDER)}")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--limit", type=float, default=300.0, help="seconds of one test")
    parser.add_argument("--seeds", type=int, default=40, help="of the simulation")
    parser.add_argument("--write", action="store_true", help="write docs/mutants.md")
    given = parser.parse_args()
    by = [name for name in ORDER if name in (given.by.split(",") if given.by else ORDER)]
    os.environ["SIM_SEEDS"] = str(given.seeds)
    os.environ["EXAMPLES"] = "100"
    os.environ.pop("TEST_RECORD", None)
    mutants = [
        mutant
        for mutant in every_mutant()
        if any(fnmatch.fnmatch(mutant.name, pattern) for pattern in given.only.split(","))
    ]
    if not mutants or not by:
        parser.error("no mutant has this name" if by else f"--by: one of {', '.join(ORDER)}")
    options = Options(
        by, given.jobs, given.limit, report=lambda result: print(line(result), flush=True)
    )
    try:
        results = run(mutants, options)
    except BrokenError as error:
        print(f"the tests fail with the shipped code:\n{error}", file=sys.stderr)
        return 2
    alive = survivors(results)
    print(count(results))
    if given.write:
        page.write(results, given.seeds)
    return 1 if alive else 0


if __name__ == "__main__":
    sys.exit(main())
