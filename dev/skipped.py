#!/usr/bin/env python3
"""List the tests that a run of CI has skipped. A test that no command of CI has run is an error.

    TEST_RECORD=FILE make test; TEST_RECORD=FILE make contract; dev/skipped.py FILE

`tests/conftest.py` writes the file: a line of JSON for each test of each command.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path


def report(lines: Iterable[str]) -> tuple[list[str], list[str]]:
    """The skips that another command made up for, and the tests that never ran: lines of text."""
    ran: set[str] = set()
    skipped: set[tuple[str, str]] = set()
    for line in lines:
        test, outcome, reason = json.loads(line)
        if outcome == "skipped":
            skipped.add((test, reason.removeprefix("Skipped: ")))
        else:
            ran.add(test)
    elsewhere = Counter(reason for test, reason in skipped if test in ran)
    never = sorted(f"{test}: {reason}" for test, reason in skipped if test not in ran)
    return [f"{count:5} {reason}" for reason, count in elsewhere.most_common()], never


def main(path: str) -> int:
    """Print both lists; the result is the exit code."""
    elsewhere, never = report(Path(path).read_text().splitlines())
    print("== skipped by one command, run by another", *elsewhere, sep="\n")
    if never:
        print("== skipped by all commands", *never, sep="\n")
    return 1 if never else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
