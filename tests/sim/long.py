"""Run histories until this many rounds were written, in several processes; `make sim-long`.

    .venv/bin/python -m tests.sim.long --rounds 1000000 --state .venv/sim-long.json

A round is one write of the Round Lease with a new number. The state file is written after each part
of the histories, so an interrupted run continues where it was. Exit code 1: a history broke an
invariant; the first of them are printed as reduced tests and scenarios.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.sim.checks import BrokenInvariantError
from tests.sim.history import of_seed, play, world_of
from tests.sim.shrink import as_scenario, as_test, shrink

HISTORIES = 10  # in one part
LONGEST = 100  # faults of a history: the longer they are, the less time is spent on coming to rest
REDUCED = 3  # failing histories that are reduced and printed


@dataclass
class Part:
    """The results of some histories."""

    first: int
    histories: int = 0
    rounds: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    checks: Counter[str] = field(default_factory=Counter)
    broken: dict[int, str] = field(default_factory=dict)  # by seed

    def add(self, other: Part) -> None:
        self.histories += other.histories
        self.rounds += other.rounds
        self.faults.update(other.faults)
        self.checks.update(other.checks)
        self.broken |= other.broken


def run_part(first: int) -> Part:
    """Let the histories of the next seeds happen."""
    part = Part(first)
    for seed in range(first, first + HISTORIES):
        history = of_seed(seed, LONGEST)
        world = world_of(history)
        try:
            play(world, history)
        except BrokenInvariantError as broken:
            part.broken[seed] = str(broken)
        except Exception as error:  # the run continues, and reports it
            part.broken[seed] = f"unexpected {error!r}"
        part.histories += 1
        part.rounds += world.rounds
        part.faults.update(fault.kind for fault in history.faults)
        part.checks.update(world.checked)
    return part


def revision() -> str:
    """The commit, and whether files differ from it."""
    text = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--exclude=*"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return text.stdout.strip()


@dataclass
class Run:
    """The results so far. seconds: of all processes together with the time between them."""

    revision: str
    total: Part
    seconds: float = 0.0

    @property
    def next_seed(self) -> int:
        """The first seed that has not been run."""
        return self.total.first + self.total.histories

    def save(self, path: Path) -> None:
        """Write the state file as a whole."""
        new = path.with_suffix(".new")
        state = {"revision": self.revision, "total": vars(self.total), "seconds": self.seconds}
        new.write_text(json.dumps(state, indent=1))
        new.replace(path)


def load(path: Path, code: str, first: int) -> Run:
    """The run that the state file continues, or a new one. Raises ValueError."""
    if not path.exists():
        return Run(code, Part(first))
    found = json.loads(path.read_text())
    if found["revision"] != code:
        raise ValueError(f"{path} is of revision {found['revision']}: delete it to begin again")
    part = found["total"]
    total = Part(
        part["first"], part["histories"], part["rounds"], Counter(part["faults"]),
        Counter(part["checks"]), {int(seed): why for seed, why in part["broken"].items()},
    )  # fmt: skip
    return Run(code, total, found["seconds"])


def extend(run: Run, rounds: int, processes: int, path: Path) -> None:
    """Run more histories until there are enough rounds."""
    began_at, before_s = time.monotonic(), run.seconds
    with multiprocessing.get_context("fork").Pool(processes) as pool:
        for part in pool.imap(run_part, _firsts(run.next_seed)):
            run.total.add(part)
            run.seconds = before_s + time.monotonic() - began_at
            run.save(path)
            print(f"\r{progress(run, rounds)}", end="", flush=True)
            if run.total.rounds >= rounds:
                break
    print()


def _firsts(first: int) -> Iterator[int]:
    """The first seeds of the parts. The pool reads ahead, so it is bounded."""
    yield from range(first, first + 10_000_000, HISTORIES)


def progress(run: Run, rounds: int) -> str:
    """One line."""
    rate = run.total.rounds / max(run.seconds, 0.001)
    left_s = max(0, rounds - run.total.rounds) / max(rate, 0.001)
    return (
        f"{run.total.rounds} of {rounds} rounds, {rate:.0f} per second, "
        f"{left_s / 60:.0f} minutes left, {len(run.total.broken)} histories broken"
    )


def summary(run: Run) -> str:
    """The result, as docs/protocol.md quotes it."""
    total = run.total
    faults = ", ".join(f"{kind} {count}" for kind, count in sorted(total.faults.items()))
    checks = ", ".join(f"{what} {count}" for what, count in sorted(total.checks.items()))
    broken = "\n".join(f"  seed {seed}: {why}" for seed, why in sorted(total.broken.items()))
    return (
        f"revision {run.revision}: {total.rounds} rounds in {total.histories} histories, seeds "
        f"{total.first} to {run.next_seed - 1}, {run.seconds:.0f} s\n"
        f"faults: {sum(total.faults.values())}: {faults}\n"
        f"checked: {checks}\n"
        f"broken: {len(total.broken)}{chr(10) * bool(broken)}{broken}"
    )


def print_reduced(run: Run) -> None:
    """Print the first failing histories as tests and scenarios."""
    for seed in sorted(run.total.broken)[:REDUCED]:
        small = shrink(of_seed(seed, LONGEST))
        print(f"\n# seed {seed}: {run.total.broken[seed]}\n{as_test(small)}\n{as_scenario(small)}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=1_000_000)
    parser.add_argument("--processes", type=int, default=multiprocessing.cpu_count())
    parser.add_argument("--state", type=Path, default=Path(".venv/sim-long.json"))
    parser.add_argument("--seed", type=int, default=0, help="the first seed of a new run")
    options = parser.parse_args()
    try:
        run = load(options.state, revision(), options.seed)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    extend(run, options.rounds, options.processes, options.state)
    print(summary(run))
    print_reduced(run)
    return 1 if run.total.broken else 0


if __name__ == "__main__":
    sys.exit(main())
