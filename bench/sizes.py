"""Rows 1, 3, 4, 5, 6 and 8: one job of so many agents, from its first exec to its restarts."""

from __future__ import annotations

import os
import random
import signal
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from bench.arrivals import arrivals
from bench.figure import Figure
from bench.floor import floor
from bench.lab import cpu_s, rss_mib
from bench.plain_job import HEARTBEAT_S, PlainJob, plain_job, wanted
from bench.site import Site

RESTART_S = {8: 0.05, 32: 0.15, 128: 0.5}
COLD_S = {8: 0.3, 128: 1.5}
SETTLE_S = 1.0  # between two crashes
BEATS_S = 2 * HEARTBEAT_S  # within it everybody has said `running`


@dataclass(frozen=True)
class Plan:
    """How much is measured. steady_s: 0 leaves out what needs a quiet minute."""

    samples: int = 10
    steady_s: float = 0.0
    counts_writes: bool = False


def one_size(site: Site, agents: int, plan: Plan, agent: Path, root: Path) -> Iterator[Figure]:
    """All rows of a job of this size."""
    least = floor(site, agents, plan.samples, root)
    yield Figure(
        "1", f"floor, {agents}: one PATCH, delivery to all, kill, spawn", "ms", ms(least),
        series="floor", size=agents,
    )  # fmt: skip
    with plain_job(site, f"size-{agents}", wanted(agents), agent, root) as job:
        yield from cold(job, agents)
        if plan.steady_s:
            time.sleep(BEATS_S)
            yield from steady(job, agents, plan.steady_s)
        yield from restarts(job, agents, plan.samples, statistics.median(least))
        if plan.counts_writes:
            yield from writes(job, agents)
        yield from resumed(job, agents, 3)


def cold(job: PlainJob, agents: int) -> Iterator[Figure]:
    """Row 3: nothing runs; then all agents are started as fast as this machine can."""
    with arrivals(job.site, job.name) as joined:
        began = job.crew.start_all(agents)
        ready = max(joined.wait(agents).values())
    last = max(line.at for line in job.crew.ledger.wait(agents, began))
    yield Figure(
        "3", f"cold, {agents} agents: first exec -> last worker exec'd", "s", (last - began,),
        target=COLD_S.get(agents), size=agents,
        note=f"{ready - began:.2f} s until the last agent has joined: its interpreter's start",
    )  # fmt: skip
    yield Figure(
        "3", f"cold, {agents} agents: last one has joined -> last worker exec'd", "s",
        (max(last - ready, 0.0),), target=COLD_S.get(agents), size=agents,
    )  # fmt: skip


def steady(job: PlainJob, agents: int, seconds: float) -> Iterator[Figure]:
    """Rows 4, 6, 8: nothing happens but heartbeats."""
    pids = [job.crew.agent_pid(index) for index in range(agents)]
    requests, cpu, own = job.site.requests(), job.site.cpu(), sum(map(cpu_s, pids))
    began = time.monotonic()
    time.sleep(seconds)
    spent, used = job.site.cpu() - cpu, sum(map(cpu_s, pids)) - own
    counts = job.site.requests() - requests
    seconds = time.monotonic() - began  # other load makes reading slow
    for verb in ("PATCH", "GET", "LIST", "POST", "WATCH"):
        total = sum(count for (found, _), count in counts.items() if found == verb)
        yield Figure(
            "4", f"{verb} of Leases per agent and minute, {agents} agents, T = {HEARTBEAT_S:.0f} s",
            "requests", (total / agents * 60 / seconds,), target=12.0 if verb == "PATCH" else None,
        )  # fmt: skip
    yield Figure(
        "6", f"API server + etcd, steady, {agents} agents, T = {HEARTBEAT_S:.0f} s", "cores",
        (spent.total / seconds,), note=f"etcd {spent.etcd / seconds:.3f} of it",
    )  # fmt: skip
    yield Figure("8", "agent, idle: share of a core", "%", (used / agents / seconds * 100,))
    yield Figure("8", "agent: RSS", "MiB", tuple(map(rss_mib, pids)), target=30.0)


def restarts(job: PlainJob, agents: int, samples: int, least_s: float) -> Iterator[Figure]:
    """Row 1: kill -9 of one worker -> every worker of the next round exec'd. Row 6: its CPU."""
    before, quiet_s = job.site.cpu(), BEATS_S
    time.sleep(quiet_s)
    pids = [job.crew.agent_pid(index) for index in range(agents)]
    quiet, own = job.site.cpu() - before, sum(map(cpu_s, pids))
    began, cpu = time.monotonic(), job.site.cpu()
    found = [crash(job, agents) for _ in range(samples)]
    window_s, spent = time.monotonic() - began, job.site.cpu() - cpu
    used = sum(map(cpu_s, pids)) - own
    yield Figure(
        "1", f"worker killed -> all {agents} of the next round started", "ms", ms(found),
        target=RESTART_S[agents] * 1000 if agents in RESTART_S else None, floor=least_s * 1000,
        series="ours", size=agents,
    )  # fmt: skip
    each = (spent.total - quiet.total / quiet_s * window_s) / samples
    yield Figure("6", f"API server + etcd, one restart of {agents}", "core-s", (max(each, 0.0),))
    yield Figure(
        "8", f"agent: CPU of one restart, {agents} agents", "ms", (used / agents / samples * 1000,),
        note="delivery, kill, reaping, spawn, `running`; two seconds of heartbeats",
    )  # fmt: skip


def crash(job: PlainJob, agents: int) -> float:
    """Seconds from the kill of one worker until all were started."""
    time.sleep(SETTLE_S + random.random() * SETTLE_S)
    pid = job.crew.worker_pid(random.randrange(agents))
    at = time.time()
    os.kill(pid, signal.SIGKILL)
    return max(line.at for line in job.crew.ledger.wait(agents, at)) - at


def writes(job: PlainJob, agents: int, samples: int = 2) -> Iterator[Figure]:
    """Row 5: by the API server's counters, against the same time without a crash."""
    extra, refused, rounds = [], [], []
    time.sleep(BEATS_S)
    for _ in range(samples):
        quiet, n = job.site.requests(), job.lease.round.n
        time.sleep(BEATS_S)
        crashed = job.site.requests()
        crash(job, agents)
        time.sleep(BEATS_S)
        after = job.site.requests()
        extra.append(float(patches(after - crashed) - patches(crashed - quiet)))
        refused.append(float((after - crashed)["PATCH", "409"]))
        rounds.append(float(job.lease.round.n - n))
    yield Figure(
        "5", f"rounds written by one crash, {agents} agents", "writes", tuple(rounds), target=1.0,
        note="all that comes before every worker is being started",
    )  # fmt: skip
    yield Figure("5", f"refused (409), {agents} agents", "requests", tuple(refused))
    yield Figure(
        "5", f"PATCHes in {BEATS_S:.0f} s with a crash, above as many quiet ones, {agents} agents",
        "requests", tuple(extra), note="the round, and each `running` that did not wait for a beat",
    )  # fmt: skip


def resumed(job: PlainJob, agents: int, samples: int) -> Iterator[Figure]:
    """Row 3 without interpreters: all agents are there and nobody runs; then all are wanted."""
    found = []
    for _ in range(samples):
        job.want(replace(job.desired, wanted=()))
        job.parked(agents)
        at = time.time()
        job.want(job.desired)
        found.append(max(line.at for line in job.crew.ledger.wait(agents, at)) - at)
        time.sleep(SETTLE_S)
    yield Figure(
        "3", f"{agents} agents are there, all become wanted -> last worker exec'd", "s",
        tuple(found), target=COLD_S.get(agents), size=agents,
    )  # fmt: skip


def patches(counts: dict[tuple[str, str], int]) -> int:
    """All PATCHes."""
    return sum(count for (verb, _), count in counts.items() if verb == "PATCH")


def ms(seconds: list[float] | tuple[float, ...]) -> tuple[float, ...]:
    """In milliseconds."""
    return tuple(value * 1000 for value in seconds)
