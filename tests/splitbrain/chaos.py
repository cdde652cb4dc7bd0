"""What happens to the pods of a job, at random: they are killed, stopped, given up, or leave."""

from __future__ import annotations

import random
import time
from collections import Counter
from dataclasses import dataclass, field

from tests.splitbrain.job import Job
from tests.splitbrain.pods import PodProcess

MEAN_S = 4.0  # between two
LONGEST_FREEZE_S = 4.0
KINDS = ("kill", "start again", "leave", "freeze", "freeze agent", "give up")


@dataclass
class Frozen:
    """A pod that continues at a time, or is given up before it does."""

    pod: PodProcess
    until: float
    give_up_at: float


@dataclass
class Chaos:
    """The faults of one job's pods."""

    job: Job
    rng: random.Random
    counts: Counter[str]
    next_at: float = 0.0
    frozen: list[Frozen] = field(default_factory=list)

    def step(self) -> None:
        """Do what is due now."""
        now = time.monotonic()
        self._thaw(now)
        if now < self.next_at:
            return
        if self.next_at:
            self._hurt(self.rng.choice(self.job.pods), now)
        self.next_at = now + self.rng.expovariate(1 / MEAN_S)

    def end(self) -> None:
        """Let all pods continue."""
        self._thaw(float("inf"))

    def _hurt(self, pod: PodProcess, now: float) -> None:
        if pod.has_ended or any(each.pod is pod for each in self.frozen):
            return
        kind = self.rng.choice(KINDS)
        self.counts[f"pod: {kind}"] += 1
        if kind == "kill":
            pod.kill()
        elif kind == "start again":
            pod.kill()
            self.job.start_again(pod)
        elif kind == "leave":
            pod.terminate()
        else:
            pod.freeze(with_workers=kind != "freeze agent")
            until = now + self.rng.uniform(0.2, LONGEST_FREEZE_S)
            give_up_at = now + self.rng.uniform(0.0, 2.0) if kind == "give up" else until
            self.frozen.append(Frozen(pod, until, give_up_at))

    def _thaw(self, now: float) -> None:
        for each in list(self.frozen):
            is_due = each.give_up_at < min(now, each.until)
            if is_due and each.pod in self.job.pods:
                self.job.give_up(each.pod)
            if now >= each.until:
                each.pod.thaw()
                self.frozen.remove(each)
