"""One run: some jobs behind the proxy until enough rounds have been run, then a calm end."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from dev.cluster.processes import Processes
from dev.kube_client import Client
from tests.splitbrain import check
from tests.splitbrain.chaos import Chaos
from tests.splitbrain.faults import mood
from tests.splitbrain.job import Job
from tests.splitbrain.lagging import FIRST, LaggingServer, lagging_server
from tests.splitbrain.pods import Place
from tests.splitbrain.proxy import FaultyProxy, Upstream, faulty_proxy

from elasticjob.controller.act.bundle import Bundle

STEP_S = 0.05
STALLED_S = 90.0  # without a round of a job: far more than the slowest way out of any fault
CALM_S = 90.0


@dataclass(frozen=True)
class Plan:
    """The size of a run."""

    seed: int
    rounds: int
    jobs: int = 3
    pods: int = 4
    mean_ms: float = 30.0
    """The mean time until the first worker of a round fails."""
    look_s: float = 5.0
    """Between two checks of the records."""


@dataclass
class Result:
    """What a run has shown."""

    rounds: int = 0
    workers: int = 0
    seconds: float = 0.0
    lags: bool = False
    """Whether a second API server lagged."""
    violations: list[str] = field(default_factory=list)
    stalled: list[str] = field(default_factory=list)
    """The jobs that made no round, or did not recover when the faults stopped."""
    faults: Counter[str] = field(default_factory=Counter)
    exits: Counter[str] = field(default_factory=Counter)

    @property
    def has_failed(self) -> bool:
        """Whether an invariant was violated, a job stalled, or an agent had an internal error."""
        internal = any("internal error" in text for text in self.exits)
        return bool(self.violations or self.stalled or internal)


@dataclass
class Scene:
    """The jobs of a run, the proxy, and the second API server if there is one."""

    plan: Plan
    proxy: FaultyProxy
    lagging: LaggingServer | None
    jobs: list[Job]
    chaos: list[Chaos]
    result: Result

    def step(self) -> None:
        """Do what is due: faults of pods, replacements, another lag."""
        for chaos in self.chaos:
            chaos.step()
        self.replace_ended()
        if self.lagging is not None and self.lagging.change_lag() is not None:
            self.result.faults["another lag of the second API server"] += 1

    def replace_ended(self) -> None:
        """Replace pods that have ended, as the operator does."""
        for job in self.jobs:
            job.replace_ended()

    def look(self) -> dict[str, int]:
        """Read and check all records; return the newest round of each job."""
        starts = {job.place.job: job.starts() for job in self.jobs}
        self.result.violations = [
            f"{name}: {text}"
            for name, of_job in starts.items()
            for text in check.violations(of_job)
        ]
        self.result.rounds = sum(len({start.n for start in each}) for each in starts.values())
        self.result.workers = sum(map(len, starts.values()))
        return {name: max((s.n for s in each), default=0) for name, each in starts.items()}

    def is_whole(self, job: Job, after: int) -> bool:
        """Whether a round after this one runs in all pods of the job."""
        found = [start for start in job.starts() if start.n > after]
        newest = max((start.n for start in found), default=0)
        return sum(start.n == newest for start in found) == self.plan.pods

    def calm_down(self) -> None:
        """End all faults; each job must then run a round with all pods (I5)."""
        if self.lagging is not None:
            self.lagging.catch_up()
        for chaos in self.chaos:
            chaos.end()
        self.proxy.calm.set()
        before, until = self.look(), time.monotonic() + CALM_S
        waiting = list(self.jobs)
        while waiting and time.monotonic() < until:
            self.replace_ended()
            waiting = [job for job in waiting if not self.is_whole(job, before[job.place.job])]
            time.sleep(STEP_S)
        self.result.stalled += [f"{job.place.job}, when the faults stopped" for job in waiting]
        self.look()


def run(
    plan: Plan, kubeconfig: Path, agent: Bundle, root: Path, report: Callable[[Result], None]
) -> Result:
    """Run until there are enough rounds, or one thing is wrong. report: called every few seconds.

    The logs of all agents stay in the directory `root`.
    """
    with scene(plan, kubeconfig, agent, root) as found:
        result, began = found.result, time.monotonic()
        moved = {job.place.job: (0, began) for job in found.jobs}
        look_at = began + plan.look_s
        while result.rounds < plan.rounds and not result.has_failed:
            found.step()
            time.sleep(STEP_S)
            now = time.monotonic()
            if now >= look_at:
                look_at = now + plan.look_s
                for name, n in found.look().items():
                    moved[name] = moved[name] if moved[name][0] == n else (n, now)
                result.stalled = [name for name, (_, at) in moved.items() if now - at > STALLED_S]
                result.seconds = now - began
                report(result)
        if not result.has_failed:
            found.calm_down()
        result.seconds = time.monotonic() - began
        result.faults += found.proxy.counts
        for job in found.jobs:
            result.exits += job.exits
        return result


@contextmanager
def scene(plan: Plan, kubeconfig: Path, agent: Bundle, root: Path) -> Iterator[Scene]:
    """Start everything; end it after the block."""
    with ExitStack() as stack:
        client = Client.from_kubeconfig(kubeconfig)
        stack.callback(client.close)
        place = urlsplit(client.url)
        upstreams = [Upstream(str(place.hostname), int(place.port or 443), client.ca)]
        processes, lagging = Processes(kubeconfig.parent), None
        if processes.find(FIRST):
            lagging = stack.enter_context(lagging_server(processes, client, plan.seed))
            upstreams.append(Upstream("127.0.0.1", lagging.port, client.ca))
        proxy = stack.enter_context(faulty_proxy(partial(mood, plan.seed), *upstreams))
        tokens = root / "tokens"
        tokens.mkdir()
        (tokens / "token").write_text(client.token)
        (tokens / "ca.crt").write_bytes(proxy.ca)
        result = Result(lags=lagging is not None)
        found = Scene(plan, proxy, lagging, [], [], result)
        for number in range(plan.jobs):
            name = f"split-{plan.seed}-{number}"
            of_job = Place(
                name, f"uid-of-{name}", root / name, agent, tokens, proxy.port, plan.mean_ms
            )
            job = Job(client, of_job, plan.pods)
            stack.callback(job.end)
            found.jobs.append(job)
            rng = random.Random(f"{plan.seed}/{name}")
            found.chaos.append(Chaos(job, rng, result.faults))
        yield found
