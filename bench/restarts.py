"""Rows 1, 3, 4, 5, 6 and 8: one job of a given size, from its first exec to its restarts."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from random import random

from bench.agents import HEARTBEAT_S, JobWithoutOperator, job_without_operator
from bench.api_server import LEASES, ApiServer, Counts, agent_leases_of, lease_creations
from bench.baselines import minimal_restart
from bench.results import Figure
from dev.proc import cpu_s, rss_mib

from elasticjob.wire.lease import RoundLease, parse_round

RESTART_S = {8: 0.05, 32: 0.15, 128: 0.5}
COLD_S = {8: 0.3, 128: 1.5}
SETTLE_S = 1.0  # between two crashes
BEATS_S = 2 * HEARTBEAT_S  # within it every agent has reported `running`


@dataclass(frozen=True)
class Plan:
    """How much to measure."""

    samples: int = 10
    steady_s: float = 0.0
    """The length of the steady measurement; 0: no such measurement."""
    counts_writes: bool = False


def one_size(
    server: ApiServer, count: int, plan: Plan, archive: Path, root: Path
) -> Iterator[Figure]:
    """Measure all rows of a job of `count` agents."""
    least = minimal_restart(server, count, plan.samples, root)
    yield Figure(
        "1", f"floor, {count}: one PATCH, delivery to all, kill, spawn", "ms", ms(least),
        series="floor", size=count,
    )  # fmt: skip
    with job_without_operator(server, f"size-{count}", count, archive, root) as job:
        yield from cold_start(job)
        if plan.steady_s:
            time.sleep(BEATS_S)
            yield from steady(job, plan.steady_s)
        yield from restarts(job, plan.samples, statistics.median(least))
        if plan.counts_writes:
            yield from writes(job)
            yield from simultaneous(job, plan.samples)
        yield from resume(job, 3)


def cold_start(job: JobWithoutOperator) -> Iterator[Figure]:
    """Measure row 3: start all agents as fast as possible."""
    count, selector = job.count, agent_leases_of(job.name)
    with lease_creations(job.server.client, LEASES, selector) as joined:
        began = job.agents.start_all(count)
        ready_s = max(joined.wait(count).values()) - began
    last_s = job.agents.starts.last(count, began)
    yield Figure(
        "3", f"cold, {count} agents: first exec -> last worker exec'd", "s", (last_s,),
        target=COLD_S.get(count), size=count,
        note=f"{ready_s:.2f} s until the last agent has joined: its interpreter's start",
    )  # fmt: skip
    yield Figure(
        "3", f"cold, {count} agents: last one has joined -> last worker exec'd", "s",
        (max(last_s - ready_s, 0.0),), target=COLD_S.get(count), size=count,
    )  # fmt: skip


def steady(job: JobWithoutOperator, seconds: float) -> Iterator[Figure]:
    """Measure rows 4, 6 and 8 while the agents only send heartbeats."""
    count, server = job.count, job.server
    pids = [job.agents.pid(index) for index in range(count)]
    requests, cpu, own = server.requests(), server.cpu(), sum(map(cpu_s, pids))
    began = time.monotonic()
    time.sleep(seconds)
    spent, used = server.cpu() - cpu, sum(map(cpu_s, pids)) - own
    counts = server.requests() - requests
    seconds = time.monotonic() - began  # reading takes long on a loaded machine
    for verb in ("PATCH", "GET", "LIST", "POST", "WATCH"):
        per_minute = total(counts, verb) / count * 60 / seconds
        yield Figure(
            "4", f"{verb} of Leases per agent and minute, {count} agents, T = {HEARTBEAT_S:.0f} s",
            "requests", (per_minute,), target=12.0 if verb == "PATCH" else None,
        )  # fmt: skip
    yield Figure(
        "6", f"API server + etcd, steady, {count} agents, T = {HEARTBEAT_S:.0f} s", "cores",
        (spent.total / seconds,), note=f"etcd {spent.etcd / seconds:.3f} of it",
    )  # fmt: skip
    yield Figure("8", "agent, idle: share of a core", "%", (used / count / seconds * 100,))
    yield Figure("8", "agent: RSS", "MiB", tuple(map(rss_mib, pids)), target=30.0)


def restarts(job: JobWithoutOperator, samples: int, least_s: float) -> Iterator[Figure]:
    """Measure row 1, from kill -9 of a worker to the next round, and its CPU time for row 6."""
    count, before = job.count, job.server.cpu()
    time.sleep(BEATS_S)
    pids = [job.agents.pid(index) for index in range(count)]
    quiet, own = job.server.cpu() - before, sum(map(cpu_s, pids))
    began, cpu = time.monotonic(), job.server.cpu()
    found = [restart(job) for _ in range(samples)]
    window_s, spent = time.monotonic() - began, job.server.cpu() - cpu
    used = sum(map(cpu_s, pids)) - own
    yield Figure(
        "1", f"worker killed -> all {count} of the next round started", "ms", ms(found),
        target=RESTART_S[count] * 1000 if count in RESTART_S else None, floor=least_s * 1000,
        series="ours", size=count,
    )  # fmt: skip
    each = (spent.total - quiet.total / BEATS_S * window_s) / samples
    yield Figure("6", f"API server + etcd, one restart of {count}", "core-s", (max(each, 0.0),))
    yield Figure(
        "8", f"agent: CPU of one restart, {count} agents", "ms", (used / count / samples * 1000,),
        note="delivery, kill, reaping, spawn, `running`; two seconds of heartbeats",
    )  # fmt: skip


def restart(job: JobWithoutOperator) -> float:
    """Kill a worker after a random pause; returns the seconds until all run again."""
    time.sleep(SETTLE_S + random() * SETTLE_S)
    return job.agents.kill_worker(job.count)


def writes(job: JobWithoutOperator, samples: int = 2) -> Iterator[Figure]:
    """Measure row 5: the API server's counters with a crash and without one."""
    extra, refused, rounds, server = [], [], [], job.server
    time.sleep(BEATS_S)
    for _ in range(samples):
        quiet, n = server.requests(), job.lease.round.n
        time.sleep(BEATS_S)
        crashed = server.requests()
        restart(job)
        time.sleep(BEATS_S)
        after = server.requests()
        extra.append(float(total(after - crashed, "PATCH") - total(crashed - quiet, "PATCH")))
        refused.append(float((after - crashed)["PATCH", "409"]))
        rounds.append(float(job.lease.round.n - n))
    yield Figure(
        "5", f"rounds written by one crash, {job.count} agents", "writes", tuple(rounds),
        target=1.0, note="the only write before the workers start",
    )  # fmt: skip
    yield Figure("5", f"refused (409), {job.count} agents", "requests", tuple(refused))
    yield Figure(
        "5", f"PATCHes in {BEATS_S:.0f} s with a crash, minus those in {BEATS_S:.0f} s without one,"
        f" {job.count} agents", "requests", tuple(extra),
        note="the round, and each `running` that was sent between two beats",
    )  # fmt: skip


def simultaneous(job: JobWithoutOperator, samples: int) -> Iterator[Figure]:
    """Measure row 5: kill all workers at once, and count the rounds and causes that are written."""
    written, refused = [], []
    for _ in range(samples):
        time.sleep(BEATS_S)
        before, lease = job.server.requests(), job.lease
        at = job.agents.kill_all_workers(job.count)
        job.agents.starts.last(job.count, at)
        time.sleep(SETTLE_S)
        refused.append(float((job.server.requests() - before)["PATCH", "409"]))
        written.append(float(len(rounds_after(job, lease))))
    yield Figure(
        "5", f"rounds and causes written if all {job.count} workers are killed at once", "writes",
        tuple(written), target=1.0,
    )  # fmt: skip
    yield Figure("5", f"refused (409) meanwhile, {job.count} agents", "requests", tuple(refused))


def rounds_after(job: JobWithoutOperator, lease: RoundLease) -> set[str]:
    """The values of the annotation `round` after this version of the Round Lease."""
    name = job.path.rpartition("/")[2]
    query = {"fieldSelector": f"metadata.name={name}", "resourceVersion": lease.version}
    with job.server.client.watch(LEASES, **query, timeoutSeconds="1") as events:
        found = {parse_round(event.object).round.to_json() for event in events}
    return found - {lease.round.to_json()}


def resume(job: JobWithoutOperator, samples: int) -> Iterator[Figure]:
    """Measure row 3 without interpreters: all agents have joined; then all become wanted."""
    found = []
    for _ in range(samples):
        job.write_desired(replace(job.desired, wanted=()))
        job.wait_stopped()
        at = time.time()
        job.write_desired(job.desired)
        found.append(job.agents.starts.last(job.count, at))
        time.sleep(SETTLE_S)
    yield Figure(
        "3", f"{job.count} agents without workers, all become wanted -> last worker exec'd", "s",
        tuple(found), target=COLD_S.get(job.count), size=job.count,
    )  # fmt: skip


def total(counts: Counts, verb: str) -> int:
    """The number of requests with this verb."""
    return sum(count for (found, _), count in counts.items() if found == verb)


def ms(seconds: Iterable[float]) -> tuple[float, ...]:
    """The values in milliseconds."""
    return tuple(value * 1000 for value in seconds)
