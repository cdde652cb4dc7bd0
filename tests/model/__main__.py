"""Search exhaustively through what agents, API server and operator can do (README.md).

    .venv/bin/python -m tests.model --pods 2 --faults 1

prints progress while it runs, then bounds, states, time, and what is not covered. A violation is
printed as a scenario, and ends the search.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.model import bounds as of_bounds
from tests.model.machine import Machine
from tests.model.search import Move, OtherSearchError, Result, Search, instants_end
from tests.support.mutants import without
from tests.support.script import replay
from tests.support.trace import scenario


def main() -> int:
    """Run one search, and return 1 if it finds a violation."""
    args = _arguments()
    kinds = tuple(args.kinds.split(",")) if args.kinds else of_bounds.KINDS
    bounds = of_bounds.bounds(
        args.pods, args.min, args.faults, kinds if args.faults else (), args.longest,
        args.start,
    )  # fmt: skip
    print("\n".join(of_bounds.lines(bounds)), flush=True)
    with without(*args.without):
        machine = Machine(bounds)
        try:
            search = Search(machine, args.folder, args.formed)
        except OtherSearchError as error:
            print(error)
            return 2
        result = search.run(args.seconds)
        print("\n".join(summary(machine, result)))
    return 1 if result.broken or result.stuck else 0


def summary(machine: Machine, result: Result) -> list[str]:
    """The result of a search, with the first violation as a scenario."""
    end = "complete" if result.complete else "not complete"
    found = [
        f"result       {end}: {len(result.states):,} states, {result.transitions:,} transitions,"
        f" depth {result.depth}, {result.seconds:.0f} s",
        f"             {machine.stats['steps of agents']:,} different steps of agents,"
        f" {machine.stats['plans']:,} different plans",
    ]
    for why, at, move in result.broken[:1]:
        found += ["", f"VIOLATION of {why}", "", violation(machine, why, [*result.trace(at), move])]
    if result.stuck:
        why = "I5: no good state can be reached"
        found += ["", f"VIOLATION of {why}, from {len(result.stuck):,} states", ""]
        rests = (k for k in reversed(result.stuck) if result.rests[k])
        found.append(violation(machine, why, result.trace(next(rests, result.stuck[-1]))))
    elif result.complete and not result.broken:
        found.append("             no violation of I1 to I6, from any state a good one is reached")
        ends = instants_end(result)
        found.append(f"             {'each' if ends else 'NOT each'} instant comes to an end")
    return found


def violation(machine: Machine, why: str, moves: list[Move]) -> str:
    """The scenario of a violation, with what replaying it shows."""
    made = scenario(why, why[:2], machine.desired, machine.without_ranks(moves))
    return made.text(replay(made))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.model")
    parser.add_argument("--pods", type=int, default=2)
    parser.add_argument("--min", type=int, default=1)
    parser.add_argument("--faults", type=int, default=1)
    parser.add_argument("--longest", type=int, default=4, help="heartbeats that a fault lasts")
    parser.add_argument("--start", type=int, default=0, help="heartbeats before a new pod's agent")
    parser.add_argument("--kinds", default="", help="of faults; all if empty")
    parser.add_argument("--seconds", type=float, default=1e9)
    parser.add_argument("--folder", type=Path, help="to store the search and continue it")
    parser.add_argument("--formed", action="store_true", help="no fault before all pods run")
    parser.add_argument("--without", nargs="*", default=(), help="clauses to leave out")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
