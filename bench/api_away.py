"""Row 10: the API server is away, and there is no operator either; what its return costs.

First nothing else happens: nobody may restart. Then a worker dies while it is away: nobody can say
so before it is back, and every second after that counts.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

from bench import sizes
from bench.api_server import ApiServer
from bench.crew import children
from bench.figure import Figure
from bench.plain_job import HEARTBEAT_S, PlainJob, plain_job, wanted
from bench.site import Site, until

from elasticjob.agent.clock import format_time
from elasticjob.wire.lease import AgentLease, RoundLease

AGENTS = 8
AFTER_S = 60.0
BEATS_S = 2 * HEARTBEAT_S
CRASHES = 3
CRASH_AWAY_S = 20.0  # agents ask at their longest intervals by then
Away = Callable[[], AbstractContextManager[None]]


@dataclass(frozen=True)
class Standing:
    """What an outage must not change. started: workers exec'd so far; pids: of the present ones."""

    n: int
    started: int
    pids: tuple[int, ...]


def api_away(site: Site, samples: int, away_s: float, agent: Path, root: Path) -> Iterator[Figure]:
    """One job through all of it."""
    server = ApiServer(site.processes)
    with plain_job(site, "away", wanted(AGENTS), agent, root) as job:
        job.crew.ledger.wait(AGENTS, job.crew.start_all(AGENTS))
        yield restart(job, samples, "before the API server was away")
        yield from untouched(job, server, away_s)
        yield restart(job, samples, f"after the API server was away for {away_s:.0f} s")
        yield from crashes(job, server.frozen, "frozen")
        yield from crashes(job, server.dead, "dead")


def restart(job: PlainJob, samples: int, when: str) -> Figure:
    """Figure 1 at this moment."""
    found = [sizes.crash(job, AGENTS) for _ in range(samples)]
    return Figure(
        "10", f"worker killed -> all {AGENTS} of the next round started, {when}", "ms",
        sizes.ms(found), target=sizes.RESTART_S[AGENTS] * 1000,
    )  # fmt: skip


def untouched(job: PlainJob, server: ApiServer, away_s: float) -> Iterator[Figure]:
    """Frozen, then dead, and in the minute after: nothing may happen to the workers."""
    time.sleep(BEATS_S)
    before = standing(job)
    job.site.client.close()
    with server.frozen():
        gone_at = time.time()
        time.sleep(away_s / 2)
        with server.dead():
            time.sleep(away_s / 2)
            start_at = time.time()
    back_at = answers(job)
    until("a sign of life of every agent", lambda: len(heard(job, gone_at)) == AGENTS)
    heard_s = time.time() - back_at
    time.sleep(max(AFTER_S - heard_s, 0.0))
    after, label = standing(job), f"API server away for {away_s:.0f} s"
    while_ = "meanwhile and in the minute after"
    yield Figure(
        "10", f"{label}: rounds written {while_}", "rounds", (float(after.n - before.n),),
        target=0.0, note="the first half frozen, the second half dead; no operator at any time",
    )  # fmt: skip
    yield Figure(
        "10", f"{label}: workers started {while_}", "workers",
        (float(after.started - before.started),), target=0.0,
    )  # fmt: skip
    yield Figure(
        "10", f"{label}: of {AGENTS} workers, those that are no longer the same process",
        "workers", (float(len(set(before.pids) - set(after.pids))),), target=0.0,
    )  # fmt: skip
    yield Figure(
        "10", f"{label}: its first answer -> every agent's Lease is renewed", "s", (heard_s,),
        note=f"T = {HEARTBEAT_S:.0f} s; the server's own start took {back_at - start_at:.1f} s",
    )  # fmt: skip


def crashes(job: PlainJob, away: Away, how: str) -> Iterator[Figure]:
    """A worker is killed in the middle of a short outage, several times."""
    found = [crash(job, away) for _ in range(CRASHES)]
    label = f"worker killed while the API server is {how} for {CRASH_AWAY_S:.0f} s"
    yield Figure(
        "10", f"{label}: its first answer -> all {AGENTS} of the next round started", "s",
        tuple(seconds for seconds, _ in found),
    )  # fmt: skip
    yield Figure(
        "10", f"{label}: rounds written", "rounds", tuple(float(rounds) for _, rounds in found),
        target=1.0,
    )  # fmt: skip


def crash(job: PlainJob, away: Away) -> tuple[float, int]:
    """Seconds from the return until all were started anew; how many rounds were written for it."""
    n, pid = job.lease.round.n, job.crew.worker_pid(random.randrange(AGENTS))
    job.site.client.close()
    with away():
        time.sleep(CRASH_AWAY_S / 2)
        at = time.time()
        os.kill(pid, signal.SIGKILL)
        time.sleep(CRASH_AWAY_S / 2)
    back_at = answers(job)
    last = max(line.at for line in job.crew.ledger.wait(AGENTS, at))
    time.sleep(BEATS_S)
    return max(last - back_at, 0.0), job.lease.round.n - n


def standing(job: PlainJob) -> Standing:
    """As it is now."""
    pids = [pid for index in range(AGENTS) for pid in children(job.crew.agent_pid(index))]
    return Standing(job.lease.round.n, len(job.crew.ledger.read()), tuple(pids))


def answers(job: PlainJob) -> float:
    """Waits until the agents' account is answered; the wall time. It may be 50 ms late."""
    user = job.site.client.as_user((job.crew.tokens / "token").read_text())

    def answered() -> bool:
        try:
            return user.get(job.path).code == 200
        except (OSError, HTTPException):
            return False

    until("the API server", answered)
    at = time.time()
    user.close()
    return at


def heard(job: PlainJob, since: float) -> set[str]:
    """The pods that have given a sign of life after a wall time."""
    return signs(job.lease, job.site.agent_leases(job.name), since)


def signs(round_lease: RoundLease, leases: list[AgentLease], since: float) -> set[str]:
    """Pod names: agents renew their own Leases, the holder pulses in the Round instead."""
    mark = format_time(since)
    found = {lease.name for lease in leases if lease.renew_time > mark}
    return found | ({round_lease.holder} - {""} if round_lease.renew_time > mark else set())
