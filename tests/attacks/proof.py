"""What the proof compares: the outcome of a training, and what the attacks cost the operator."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.attacks.by_agent import BY_AGENT
from tests.attacks.by_author import BY_AUTHOR
from tests.attacks.neighbour import COLUMNS, Attack, Neighbour, Place

from elasticjob.controller.allowance import AT_ONCE, AT_ONCE_PER_POD, PER_S, PER_S_PER_POD

VICTIM = "victim"
MEMBERS = 3
SCRIPT = Path(__file__).with_name("training.py").read_text()
MARK = "trained:"
PEAK_MIB = 256.0
"""Half of the memory limit of the chart (resources.limits.memory)."""
NAMES = 11  # of jobs in the namespace: nine of the neighbour, the victim and the bystander
AT_A_TIME = 6  # of these jobs
PODS = 24  # the quota of tests/cluster


def most_requests(elapsed_s: float) -> float:
    """The requests that the allowances of these jobs permit the operator in this time."""
    at_once = NAMES * AT_ONCE + PODS * AT_ONCE_PER_POD
    return at_once + elapsed_s * (AT_A_TIME * PER_S + PODS * PER_S_PER_POD)


@dataclass(frozen=True)
class Outcome:
    """How a training went: rounds, ranks and results."""

    phase: str
    n: int
    starts: int
    restarts: int
    counted: int
    pods: tuple[str, ...]
    printed: Mapping[str, Sequence[str]]
    """By pod, what its worker printed: its rank, the losses, the weights."""

    def rows(self) -> Iterator[tuple[str, str]]:
        """Each fact and its value."""
        for fact in ("phase", "n", "starts", "restarts", "counted"):
            yield fact, str(getattr(self, fact))
        yield "pods", " ".join(self.pods)
        for pod, lines in sorted(self.printed.items()):
            yield f"{pod}: rank", lines[0] if lines else ""
            yield f"{pod}: lines", str(len(lines))
            yield f"{pod}: last loss", lines[-2] if len(lines) > 2 else ""
            yield f"{pod}: weights", lines[-1] if lines else ""


def printed(log: str) -> list[str]:
    """The lines of the training script in a log."""
    return [line[line.index(MARK) :] for line in log.splitlines() if MARK in line]


def environment(steps: int, step_s: float) -> list[dict[str, str]]:
    """The variables of the training script."""
    given = {"STEPS": str(steps), "STEP_S": str(step_s)}
    return [{"name": name, "value": value} for name, value in given.items()]


# ---- the operator --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sample:
    """The state of the operator at one moment."""

    at: float
    process: str
    """Identifies the process: it changes if the operator restarts."""
    rss_mib: float
    peak_mib: float
    requests: Mapping[str, float]
    """By method and resource, since its start."""

    @property
    def total(self) -> float:
        return sum(self.requests.values())


def sample(process: str, status: str, metrics: str) -> Sample:
    """Read /proc/PID/status and /metrics of an operator."""
    found = dict(re.findall(r"(VmRSS|VmHWM):\s+(\d+) kB", status))
    requests: dict[str, float] = {}
    pattern = r'elasticjob_api_requests_total\{code="\d+",method="(\w+)",resource="(\w+)"\} (\S+)'
    for method, resource, count in re.findall(pattern, metrics):
        kind = f"{method} {resource}"
        requests[kind] = requests.get(kind, 0) + float(count)
    memory = (int(found["VmRSS"]) / 1024, int(found["VmHWM"]) / 1024)
    return Sample(time.monotonic(), process, *memory, requests)


@dataclass
class Samples:
    """The samples of one phase, in order."""

    taken: list[Sample] = field(default_factory=list)

    @property
    def elapsed_s(self) -> float:
        return self.taken[-1].at - self.taken[0].at

    @property
    def sent(self) -> float:
        """The requests during the phase."""
        return self.taken[-1].total - self.taken[0].total

    @property
    def rate(self) -> float:
        """Requests in a second, on average."""
        return self.sent / self.elapsed_s

    @property
    def highest_rate(self) -> float:
        """Requests in a second, in the interval between two samples that had the most."""
        pairs = zip(self.taken, self.taken[1:], strict=False)
        return max((b.total - a.total) / (b.at - a.at) for a, b in pairs)

    @property
    def peak_mib(self) -> float:
        return max(each.peak_mib for each in self.taken)

    @property
    def processes(self) -> set[str]:
        return {each.process for each in self.taken}

    def by_kind(self) -> dict[str, float]:
        """The requests of the phase by method and resource."""
        first, last = self.taken[0].requests, self.taken[-1].requests
        return {kind: count - first.get(kind, 0) for kind, count in sorted(last.items())}


# ---- the attack ----------------------------------------------------------------------------------


@contextmanager
def attacked(place: Place, seed: int, pause_s: float = 1.0) -> Iterator[list[Neighbour]]:
    """Let a neighbour attack while the block runs. pause_s: between the attacks of the author."""
    both = [
        Neighbour(place, VICTIM, seed, BY_AGENT, has_token=True),
        Neighbour(place, VICTIM, seed, BY_AUTHOR, has_token=False, pause_s=pause_s),
    ]
    errors: list[BaseException] = []

    def run(each: Neighbour) -> None:
        try:
            each.run()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(each,)) for each in both]
    for thread in threads:
        thread.start()
    try:
        yield both
    finally:
        for each in both:
            each.stop.set()
        for thread in threads:
            thread.join()
    if errors:
        raise errors[0]


@dataclass
class Proof:
    """The result of a run, as a table and as a verdict."""

    seed: int
    is_protected: bool
    undisturbed: Outcome
    attacked: Outcome
    alone: Samples
    beside: Samples
    tallies: Mapping[str, Mapping[str, int]]
    vandals_run: bool
    """Whether the agents whose files are damaged still start workers at the end."""

    def lines(self) -> Iterator[str]:
        """Everything, for a reader."""
        yield f"seed {self.seed}; attacked for {self.beside.elapsed_s:.0f} s"
        yield f"{'attack':<56}" + "".join(f"{column:>10}" for column in COLUMNS)
        for name, counts in sorted(self.tallies.items()):
            row = "".join(f"{counts.get(column, 0) or '':>10}" for column in COLUMNS)
            yield f"{name:<56}{row}"
        total = sum(sum(counts.values()) for counts in self.tallies.values())
        yield f"{total} requests of the neighbour, {total / self.beside.elapsed_s:.1f} each second"
        yield f"{'the training':<24}{'undisturbed':<60}attacked"
        for (fact, before), (_, after) in zip(
            self.undisturbed.rows(), self.attacked.rows(), strict=False
        ):
            mark = "" if before == after else "   DIFFERENT"
            yield f"{fact:<24}{before:<60}{after}{mark}"
        yield f"{'the operator':<24}{'alone':<24}with the neighbour"
        for fact, before, after in self._operator():
            yield f"{fact:<24}{before:<24}{after}"
        for kind, count in self.beside.by_kind().items():
            yield f"  {kind:<30}{count:>8.0f}"

    def _operator(self) -> Iterator[tuple[str, str, str]]:
        for fact in ("sent", "rate", "highest_rate", "peak_mib"):
            both = (getattr(self.alone, fact), getattr(self.beside, fact))
            yield (fact, *(f"{value:.1f}" for value in both))
        rss = [[f"{s.rss_mib:.1f}" for s in each.taken] for each in (self.alone, self.beside)]
        yield ("rss_mib, first", rss[0][0], rss[1][0])
        yield ("rss_mib, last", rss[0][-1], rss[1][-1])
        yield ("processes", str(len(self.alone.processes)), str(len(self.beside.processes)))

    def check(self) -> None:
        """Fail with every difference and every bound that does not hold."""
        wrong = [
            f"{fact}: {after}, undisturbed {before}"
            for (fact, before), (_, after) in zip(
                self.undisturbed.rows(), self.attacked.rows(), strict=False
            )
            if before != after
        ]
        if self.undisturbed != self.attacked and not wrong:
            wrong.append("the training printed other lines")
        if len(self.alone.processes | self.beside.processes) != 1:
            wrong.append("the operator has restarted, or another one leads")
        if self.beside.peak_mib > PEAK_MIB:
            wrong.append(f"the operator used {self.beside.peak_mib:.0f} MiB")
        if self.beside.sent > (most := most_requests(self.beside.elapsed_s)):
            wrong.append(f"the operator sent {self.beside.sent:.0f} requests; at most {most:.0f}")
        if not self.vandals_run:
            wrong.append("an agent whose files are damaged starts no more workers")
        wrong += list(self._let_through()) if self.is_protected else []
        wrong += [f"{a.name}: never tried" for a in self._known() if not self.tallies.get(a.name)]
        assert not wrong, "\n".join([*wrong, *self.lines()])

    def _known(self) -> list[Attack]:
        return [a for a in (*BY_AGENT, *BY_AUTHOR) if self.is_protected or not a.needs_policy]

    def _let_through(self) -> Iterator[str]:
        for each in self._known():
            if each.is_refused and (count := self.tallies.get(each.name, {}).get("allowed")):
                yield f"{each.name}: {count} requests were allowed"


def tallies(neighbours: Sequence[Neighbour]) -> dict[str, dict[str, int]]:
    """The answers to each attack."""
    found: dict[str, dict[str, Any]] = {}
    for each in neighbours:
        found |= {name: dict(counts) for name, counts in each.tally.items()}
    return found
