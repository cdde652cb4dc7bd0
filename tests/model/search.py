"""A breadth-first search over all states, then backwards from the good ones.

A search can be stored on disk and continued by another process. It is refused there if the code or
the bounds have changed.
"""

from __future__ import annotations

import hashlib
import pickle
import time
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from tests.model.machine import Machine, State, Step, is_good

import elasticjob

Move = tuple[Step, State]  # and where it leads

CODE = (Path(elasticjob.__path__[0]), Path(__file__).parent)


@dataclass
class Result:
    """What a search has found so far. The parts of states are in the tables of the machine."""

    before: list[Move] = field(default_factory=list)  # the moves to the first state
    states: list[State] = field(default_factory=list)
    parents: array[int] = field(default_factory=lambda: array("i"))
    steps: list[Step] = field(default_factory=list)
    rests: bytearray = field(default_factory=bytearray)  # whether time may pass, for each state
    sources: array[int] = field(default_factory=lambda: array("i"))  # of transitions without fault
    targets: array[int] = field(default_factory=lambda: array("i"))
    transitions: int = 0
    depth: int = 0
    end_of_level: int = 1
    explored: int = 0  # states whose transitions are known
    complete: bool = False
    seconds: float = 0.0
    broken: list[tuple[str, int, Move]] = field(default_factory=list)  # why, state, last move
    stuck: list[int] = field(default_factory=list)

    def add(self, state: State, parent: int, step: Step) -> int:
        """Add a state, and return its number."""
        self.states.append(state)
        self.parents.append(parent)
        self.steps.append(step)
        self.rests.append(0)
        return len(self.states) - 1

    def trace(self, state: int) -> list[Move]:
        """The moves from the first state to this one."""
        found = []
        while state > 0:
            found.append((self.steps[state], self.states[state]))
            state = self.parents[state]
        return [*self.before, *found[::-1]]


def form(machine: Machine) -> tuple[list[Move], State]:
    """The moves without a fault to a state in which all pods run and wait, and this state."""
    faults = machine.bounds.faults
    calm = Search(machine)
    calm.result.states[0] = machine.with_faults(calm.result.states[0], 0)
    calm._index = {calm.result.states[0]: 0}
    result = calm.run(show=lambda line: None)
    good = [
        k for k, state in enumerate(result.states) if result.rests[k] and is_good(machine, state)
    ]
    # A job that does not form has its first state, with the faults.
    last = good[-1] if good else 0
    return result.trace(last), machine.with_faults(result.states[last], faults)


class Search:
    """A search of a machine's states.

    folder: where it is stored, if anywhere. formed: faults happen after all pods run only.
    """

    def __init__(self, machine: Machine, folder: Path | None = None, formed: bool = False) -> None:
        self.machine = machine
        self.result = Result()
        self.folder = folder
        self.formed = formed
        if folder is not None and (folder / "search").exists():
            self._load(folder)
        elif formed:
            self.result.before, first = form(machine)
            self.result.add(first, -1, ())
        else:
            self.result.add(machine.first(), -1, ())
        self._index = {state: k for k, state in enumerate(self.result.states)}

    def run(
        self, seconds: float = 1e9, show: Callable[[str], None] = print, every_s: float = 10.0,
        save_s: float = 600.0,
    ) -> Result:  # fmt: skip
        """Explore to the end, to a violation, or for this time."""
        result = self.result
        began = shown = saved = time.monotonic()
        before_s = result.seconds
        while result.explored < len(result.states):
            now = time.monotonic()
            result.seconds = before_s + now - began
            if now - shown > every_s:
                shown = now
                show(self._progress())
            if now - began > seconds:
                self.save()
                return result
            if now - saved > save_s:
                self.save()
                saved = time.monotonic()
            if not self._explore(result.explored):
                return result
            result.explored += 1
        result.complete = True
        result.stuck = find_stuck(self.machine, result)
        result.seconds = before_s + time.monotonic() - began
        return result

    def _explore(self, at: int) -> bool:
        """Add the states after one; False after a violation."""
        result, index = self.result, self._index
        if at == result.end_of_level:
            result.depth += 1
            result.end_of_level = len(result.states)
        moves = 0
        for found in self.machine.successors(result.states[at]):
            result.transitions += 1
            if found.step[0] == "wait":
                result.rests[at] = 1
            moves += not found.is_fault
            if found.broken:
                result.broken.append((found.broken, at, (found.step, found.state)))
                return False
            to = index.get(found.state)
            if to is None:
                to = index[found.state] = result.add(found.state, at, found.step)
            if not found.is_fault:
                result.sources.append(at)
                result.targets.append(to)
        if not moves:  # nothing happens any more
            result.rests[at] = 1
        return True

    def _progress(self) -> str:
        result = self.result
        return (
            f"{result.seconds:6.0f} s  {len(result.states):,} states, {result.transitions:,}"
            f" transitions, depth {result.depth},"
            f" {len(result.states) - result.explored:,} states to explore"
        )

    # ---- on disk -----------------------------------------------------------------------------

    def save(self) -> None:
        """Store the search in its folder, if it has one."""
        if self.folder is None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "of").write_text(self._key(), encoding="utf-8")
        new = self.folder / "new"
        with new.open("wb") as file:
            pickle.dump((self.machine.tables, self.result), file, pickle.HIGHEST_PROTOCOL)
        new.rename(self.folder / "search")

    def _load(self, folder: Path) -> None:
        """Continue a stored search. Raises OtherSearchError."""
        if (folder / "of").read_text(encoding="utf-8") != self._key():
            raise OtherSearchError(f"{folder} is of other code or other bounds: remove it")
        with (folder / "search").open("rb") as file:
            tables, self.result = pickle.load(file)
        self.machine.continue_with(tables)

    def _key(self) -> str:
        code = hashlib.sha256()
        for path in sorted(path for root in CODE for path in root.rglob("*.py")):
            code.update(path.read_bytes())
        return f"{code.hexdigest()}\n{self.machine.bounds} {self.formed}\n"


class OtherSearchError(Exception):
    """The stored search is of other code or other bounds."""


def find_stuck(machine: Machine, result: Result) -> list[int]:
    """I5: the states from which no good state can be reached without another fault."""
    count = len(result.states)
    starts, before = _incoming(result, count)
    reached = bytearray(count)
    todo = [
        k
        for k, state in enumerate(result.states)
        if (result.rests[k] or machine.is_over(state)) and is_good(machine, state)
    ]
    for k in todo:
        reached[k] = 1
    while todo:
        at = todo.pop()
        for k in range(starts[at], starts[at + 1]):
            source = before[k]
            if not reached[source]:
                reached[source] = 1
                todo.append(source)
    return [k for k in range(count) if not reached[k]]


def _incoming(result: Result, count: int) -> tuple[array[int], array[int]]:
    """The sources of all transitions, in the order of their targets, and where each begins."""
    starts = array("i", bytes(4 * (count + 1)))
    for target in result.targets:
        starts[target + 1] += 1
    for k in range(count):
        starts[k + 1] += starts[k]
    filled = array("i", starts)
    before = array("i", bytes(4 * len(result.sources)))
    for source, target in zip(result.sources, result.targets, strict=True):
        before[filled[target]] = source
        filled[target] += 1
    return starts, before


def instants_end(result: Result) -> bool:
    """Whether there is no cycle of transitions without time: each instant comes to an end.

    The reduction depends on it: an agent that is explored later does get its turn.
    """
    count = len(result.states)
    left = array("i", bytes(4 * count))
    edges = [
        (source, target)
        for source, target in zip(result.sources, result.targets, strict=True)
        if not result.rests[source]
    ]
    for _, target in edges:
        left[target] += 1
    edges.sort()
    starts = dict[int, int]()
    for k, (source, _) in enumerate(edges):
        starts.setdefault(source, k)
    ends = {a: starts[b] for a, b in pairwise(starts)}
    todo = [k for k in range(count) if not left[k]]
    seen = len(todo)
    while todo:
        for target in _targets(edges, starts, ends, todo.pop()):
            left[target] -= 1
            if not left[target]:
                seen += 1
                todo.append(target)
    return seen == count


def _targets(
    edges: list[tuple[int, int]], starts: dict[int, int], ends: dict[int, int], source: int
) -> Iterator[int]:
    if source in starts:
        for k in range(starts[source], ends.get(source, len(edges))):
            yield edges[k][1]
