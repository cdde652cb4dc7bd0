"""Reduce a failing history to the fewest faults, pods and times that still fail.

Without a fault, all later latencies differ. So each candidate is tried with several seeds, and with
latencies that are not random. A candidate counts only if it breaks the same invariant.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from tests.sim.faults import HOLDER, Fault
from tests.sim.history import History, failure

SEEDS = 6  # with which each candidate is tried, after its own
_COMMANDS = {
    "worker": "fail", "report": "report", "fatal": "fatal", "finish": "finish", "leave": "leave",
    "die": "die", "die-silently": "die", "restart": "restart", "cut": "cut", "mute": "mute",
    "dark": "dark", "delete-lease": "delete-lease", "delete-pod": "leave", "evict": "leave",
}  # fmt: skip
_HEALED = frozenset({"cut", "mute", "dark"})

Fails = Callable[[History], str]


def shrink(history: History, fails: Fails = failure, seeds: int = SEEDS) -> History:
    """The smallest history found that breaks the same invariant as this one."""
    kind = kind_of(fails(history))
    if not kind:
        raise ValueError(f"the history of seed {history.seed} breaks no invariant")
    while True:
        smaller = next(_failing(_candidates(history), kind, fails, seeds), None)
        if smaller is None:
            return history
        history = smaller


def kind_of(text: str) -> str:
    """The invariant that a failure names first."""
    return " ".join(text.split()[:2]) if text.startswith("rule") else text.split(" ")[0]


def _failing(
    candidates: Iterator[History], kind: str, fails: Fails, seeds: int
) -> Iterator[History]:
    for candidate in candidates:
        for seed in (candidate.seed, *range(seeds)):
            found = replace(candidate, seed=seed)
            if kind_of(fails(found)) == kind:
                yield found
                break


def _candidates(history: History) -> Iterator[History]:
    """Smaller histories, the smallest first."""
    faults = history.faults
    size = len(faults) // 2
    while size:
        for at in range(0, len(faults), size):
            yield replace(history, faults=faults[:at] + faults[at + size :])
        size //= 2
    if history.is_noisy:
        yield replace(history, is_noisy=False)
    if history.start_budget is not None:
        yield replace(history, start_budget=None)
    if history.peers_fail:
        yield replace(history, peers_fail=0.0)
    if history.pods > 1:
        min_members = min(history.min_members, history.pods - 1)
        yield replace(history, pods=history.pods - 1, min_members=min_members)
    if history.min_members > 1:
        yield replace(history, min_members=history.min_members - 1)
    yield from (replace(history, faults=earlier) for earlier in _earlier(faults))


def _earlier(faults: tuple[Fault, ...]) -> Iterator[tuple[Fault, ...]]:
    """The same faults with shorter waits before them, to whole seconds."""
    for k, fault in enumerate(faults):
        before = faults[k - 1].at if k else 0.0
        for wait_s in (0.0, 2.0, 5.0):
            if fault.at - before > wait_s + 0.5:
                by_s = fault.at - before - wait_s
                later = (replace(x, at=round(x.at - by_s, 3)) for x in faults[k:])
                yield (*faults[:k], *later)
        if fault.for_s > 1.0:
            yield (*faults[:k], replace(fault, for_s=1.0), *faults[k + 1 :])


# ---- what is printed -----------------------------------------------------------------------------


def as_test(history: History) -> str:
    """A test of this history, for tests/sim/test_found.py."""
    lines = "".join(f"            {fault!r},\n" for fault in history.faults)
    fields = (
        f"{history.seed}, pods={history.pods}, min_members={history.min_members}, "
        f"budget={history.budget}, start_budget={history.start_budget}, "
        f"reset_after_s={history.reset_after_s}, "
        f"peers_fail={history.peers_fail}, is_noisy={history.is_noisy}"
    )
    return (
        "def test_NAME() -> None:\n    history = History(\n"
        f"        {fields},\n        faults=(\n{lines}        ),\n    )\n"
        '    assert failure(history) == ""\n'
    )


def as_scenario(history: History) -> str:
    """The faults as the steps of a scenario (tests/scenarios/README.md), as far as it has them.

    A scenario has no operator, so what it does stands in comments. The transcript may differ, as
    the latencies do: compare it with the log of the history.
    """
    letters = [chr(ord("A") + index) for index in range(history.pods)]
    names = " ".join(letters)
    steps = [f"job {names} min {history.min_members} budget {history.budget} T 1", f"rest {names}"]
    at = 1.0
    for fault in history.faults:
        if fault.at - at > 0.1:
            steps.append(f"wait {fault.at - at:g}")
        at = max(at, fault.at)
        steps += _steps(fault, letters)
    return "\n----\n\n".join([*steps, "wait 60"]) + "\n----\n"


def _steps(fault: Fault, letters: list[str]) -> list[str]:
    pod = letters[0] if fault.index == HOLDER else letters[fault.index]
    command = _COMMANDS.get(fault.kind)
    if command is None:
        return [f"# {fault.kind} {pod} for {fault.for_s:g} s"]
    healed = [f"wait {fault.for_s:g}", f"heal {pod}"] if fault.kind in _HEALED else []
    marked = [f"mark {pod}"] if fault.kind == "die" else []
    return [f"{command} {pod}", *marked, *healed]
