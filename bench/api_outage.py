"""Row 10: an outage of the API server, with no operator either, and its end.

First nothing else happens: no worker may restart. Then a worker dies during an outage: no agent can
write that before the outage ends, and every second after its end counts.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from bench.agents import HEARTBEAT_S, JobWithoutOperator, job_without_operator
from bench.api_server import WITHIN_S, ApiServer, frozen, stopped
from bench.restarts import RESTART_S, ms, restart
from bench.results import Figure
from dev.cluster.processes import Processes
from dev.proc import children
from dev.wait import wait_until

from elasticjob.agent.clock import format_time
from elasticjob.wire.lease import AgentLease, RoundLease

AGENTS = 8
AFTER_S = 60.0
BEATS_S = 2 * HEARTBEAT_S
CRASHES = 3
CRASH_AWAY_S = 20.0  # the agents' retry intervals have reached their maximum by then
Outage = Callable[[Processes], AbstractContextManager[None]]


@dataclass(frozen=True)
class Workers:
    """What an outage must not change."""

    round: int
    started: int
    """Workers started since the job began."""
    pids: tuple[int, ...]


def api_outage(
    server: ApiServer, samples: int, away_s: float, archive: Path, root: Path
) -> Iterator[Figure]:
    """Measure several outages with one job."""
    with job_without_operator(server, "outage", AGENTS, archive, root) as job:
        job.start()
        yield restart_time(job, samples, "before the API server was away")
        yield from without_a_crash(job, away_s)
        yield restart_time(job, samples, f"after the API server was away for {away_s:.0f} s")
        yield from with_crashes(job, frozen, "frozen")
        yield from with_crashes(job, stopped, "dead")


def restart_time(job: JobWithoutOperator, samples: int, when: str) -> Figure:
    """Measure row 1 at this moment."""
    return Figure(
        "10", f"worker killed -> all {AGENTS} of the next round started, {when}", "ms",
        ms(restart(job) for _ in range(samples)), target=RESTART_S[AGENTS] * 1000,
    )  # fmt: skip


def without_a_crash(job: JobWithoutOperator, away_s: float) -> Iterator[Figure]:
    """The API server is frozen, then dead; in the minute after it no worker may have changed."""
    time.sleep(BEATS_S)
    before, processes = workers(job), job.server.processes
    job.server.client.close()
    with frozen(processes):
        gone_at = time.time()
        time.sleep(away_s / 2)
        with stopped(processes):
            time.sleep(away_s / 2)
            start_at = time.time()
    back_at = first_answer(job)

    def all_renewed() -> bool:
        leases = job.server.agent_leases(job.name)
        return len(renewed_since(gone_at, job.lease, leases)) == AGENTS

    wait_until(all_renewed, what="the Lease of every agent", within_s=WITHIN_S, every_s=0.05)
    renewed_s = time.time() - back_at
    time.sleep(max(AFTER_S - renewed_s, 0.0))
    after, label = workers(job), f"API server away for {away_s:.0f} s"
    when = "meanwhile and in the minute after"
    yield Figure(
        "10", f"{label}: rounds written {when}", "rounds", (float(after.round - before.round),),
        target=0.0, note="the first half frozen, the second half dead; no operator at any time",
    )  # fmt: skip
    yield Figure(
        "10", f"{label}: workers started {when}", "workers",
        (float(after.started - before.started),), target=0.0,
    )  # fmt: skip
    yield Figure(
        "10", f"{label}: of {AGENTS} workers, those that are no longer the same process",
        "workers", (float(len(set(before.pids) - set(after.pids))),), target=0.0,
    )  # fmt: skip
    yield Figure(
        "10", f"{label}: its first answer -> every agent's Lease is renewed", "s", (renewed_s,),
        note=f"T = {HEARTBEAT_S:.0f} s; the server's own start took {back_at - start_at:.1f} s",
    )  # fmt: skip


def with_crashes(job: JobWithoutOperator, outage: Outage, how: str) -> Iterator[Figure]:
    """Kill a worker in the middle of a short outage, several times."""
    found = [crash(job, outage) for _ in range(CRASHES)]
    label = f"worker killed while the API server is {how} for {CRASH_AWAY_S:.0f} s"
    yield Figure(
        "10", f"{label}: its first answer -> all {AGENTS} of the next round started", "s",
        tuple(seconds for seconds, _ in found),
    )  # fmt: skip
    yield Figure(
        "10", f"{label}: rounds written", "rounds", tuple(float(rounds) for _, rounds in found),
        target=1.0,
    )  # fmt: skip


def crash(job: JobWithoutOperator, outage: Outage) -> tuple[float, int]:
    """Return the seconds from the outage's end until all run again, and the rounds written."""
    n, pid = job.lease.round.n, job.agents.worker_pid(random.randrange(AGENTS))
    job.server.client.close()
    with outage(job.server.processes):
        time.sleep(CRASH_AWAY_S / 2)
        at = time.time()
        os.kill(pid, signal.SIGKILL)
        time.sleep(CRASH_AWAY_S / 2)
    back_at = first_answer(job)
    restarted_at = at + job.agents.starts.last(AGENTS, at)
    time.sleep(BEATS_S)
    return max(restarted_at - back_at, 0.0), job.lease.round.n - n


def workers(job: JobWithoutOperator) -> Workers:
    """The current state."""
    pids = [pid for index in range(AGENTS) for pid in children(job.agents.pid(index))]
    return Workers(job.lease.round.n, len(job.agents.starts.read()), tuple(pids))


def first_answer(job: JobWithoutOperator) -> float:
    """Wait until the API server answers the agents' account; the wall time, up to 50 ms late."""
    user = job.server.client.as_user((job.agents.tokens / "token").read_text())
    wait_until(
        lambda: user.get(job.path).code == 200,
        what="the API server", within_s=WITHIN_S, every_s=0.05, not_yet=(OSError,),
    )  # fmt: skip
    at = time.time()
    user.close()
    return at


def renewed_since(at: float, round_lease: RoundLease, leases: list[AgentLease]) -> set[str]:
    """The pods whose agents are alive: each renews its Lease, the holder the Round Lease."""
    mark = format_time(at)
    found = {lease.name for lease in leases if lease.renew_time > mark}
    return found | ({round_lease.holder} - {""} if round_lease.renew_time > mark else set())
