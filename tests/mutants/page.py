"""The page docs/mutants.md: the result of the last full run."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime

from tests.mutants.runner import ROOT, Result, count

PAGE = ROOT / "docs" / "mutants.md"
HEAD = """\
# Mutants

For reviewers of the protocol: the shipped code without one clause of a rule, or with one bug of the
kinds that people make, and the test that finds it. `make mutants MUTANTS=--write` writes this page.
A row with `(sim)` was run with the simulation alone.
"""


def write(results: Sequence[Result], seeds: int) -> None:
    """Write the page."""
    PAGE.write_text(text(results, seeds), encoding="utf-8")


def text(results: Sequence[Result], seeds: int) -> str:
    """The page."""
    revision = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    last = f"{datetime.now(UTC):%Y-%m-%d}, {revision}: {count(results)}; "
    rows = [f"| {_what(result)} | {_how(result)} |" for result in results]
    head = [HEAD, f"{last}{seeds} seeds of the simulation.", "", "| mutant | found by |"]
    return "\n".join([*head, "|---|---|", *rows, ""])


def _what(result: Result) -> str:
    only = f" ({result.only})" if result.only else ""
    return f"{result.mutant.text}{only}".replace("|", r"\|")


def _how(result: Result) -> str:
    return f"`{result.test}`".replace("|", r"\|") if result.test else "**nothing**"
