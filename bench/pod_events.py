"""Row 2 with the operator: a pod is gone, and the operator hears it before the agents could."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import pods
from bench.crew import Crew
from bench.figure import Figure
from bench.operator_process import operator
from bench.site import LEASES, PODS, Site, jobs_path, until

from elasticjob.wire import lease as wire
from elasticjob.wire.names import pod_name, round_lease_name

AGENTS = 8
SETTLE_S = 11.0  # two beats: all have said `running`


def pod_events(site: Site, samples: int, agent: Path, root: Path) -> Iterator[Figure]:
    """A job per sample: later failures of a job are delayed by design, and here nobody resets."""
    with operator(site, root):
        crashed, lost = [], []
        for sample in range(samples):
            with operated(site, f"crash-{sample}", agent, root) as crew:
                crashed.append(crash(crew) * 1000)
            with operated(site, f"loss-{sample}", agent, root) as crew:
                lost.append(lose(site, crew))
    yield Figure(
        "1", f"with the operator: worker killed -> all {AGENTS} of the next round started", "ms",
        tuple(crashed), target=50.0, size=AGENTS, note="all others have none at all (row 10)",
    )  # fmt: skip
    yield Figure(
        "2", f"pod killed and deleted -> survivors of {AGENTS} in the next round", "s", tuple(lost),
        target=1.0, note="from the DELETE of the pod; its agent died just before, without a word",
    )  # fmt: skip


@contextmanager
def operated(site: Site, name: str, agent: Path, root: Path) -> Iterator[Crew]:
    """A job of the operator's whose pods are processes started here; all workers run."""
    uid = site.made(jobs_path(), pods.job(name, AGENTS, minReplicas=1))["metadata"]["uid"]
    until("the pods", lambda: len(listed(site, name)) == AGENTS)
    home = root / name
    home.mkdir()
    crew = Crew(site, name, uid, agent, home)
    try:
        began = time.time()
        for index in range(AGENTS):
            path = f"{PODS}/{pod_name(name, index, 0)}"
            pod = site.client.patch(f"{path}/status", pods.running(index)).body
            crew.start(index, 0, pod["metadata"]["uid"])
        crew.ledger.wait(AGENTS, began)
        yield crew
    finally:
        crew.end()
        site.client.delete(f"{jobs_path()}/{name}")


def listed(site: Site, name: str) -> list[pods.Json]:
    """The job's pods."""
    found: list[pods.Json] = site.client.get(PODS, labelSelector=pods.selector(name)).body["items"]
    return found


def crash(crew: Crew) -> float:
    """Seconds from the kill of a worker until all were started anew."""
    time.sleep(1)
    pid = crew.worker_pid(random.randrange(AGENTS))
    at = time.time()
    os.kill(pid, signal.SIGKILL)
    return max(line.at for line in crew.ledger.wait(AGENTS, at)) - at


def lose(site: Site, crew: Crew) -> float:
    """Seconds from the deletion of a pod whose agent is dead until the others run without it."""
    time.sleep(SETTLE_S)
    lease = wire.parse_round(site.client.get(f"{LEASES}/{round_lease_name(crew.name)}").body)
    holder = int(lease.holder.split("-")[-2])
    index = random.choice([other for other in range(AGENTS) if other != holder])
    crew.kill(index)
    at = time.time()
    site.client.delete(f"{PODS}/{pod_name(crew.name, index, 0)}", {"gracePeriodSeconds": 0})
    return max(line.at for line in crew.ledger.wait(AGENTS - 1, at)) - at
