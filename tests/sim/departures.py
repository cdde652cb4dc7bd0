"""Count how often crashes and departures break the budget without the clauses that keep it.

    uv run python -m tests.sim.departures 300

prints in how many of 300 histories a departure lowered what was spent, or let workers start within
the delay of a crash: with all clauses, and without each of them.
"""

from __future__ import annotations

import sys

from tests.sim.checks import BrokenInvariantError
from tests.sim.test_sim import crash_and_leave, crashes
from tests.support.mutants import without

CLAUSES = ("", "8-departures-strike-nothing", "8-keeps-delay")


def main() -> None:
    histories = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    for clause in CLAUSES:
        broken = crashed = left = 0
        for seed in range(histories):
            try:
                with without(*clause.split()):
                    world = crash_and_leave(seed, budget=1000)
            except BrokenInvariantError:
                broken += 1
                continue
            crashed += crashes(world)
            left += sum("FAULT delete" in line for line in world.log)
        what = f"without {clause}" if clause else "all clauses"
        print(f"{what}: {broken} of {histories} histories broken")
        if not clause:
            print(f"  {crashed} crashes, {left} departures")


if __name__ == "__main__":
    main()
