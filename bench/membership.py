"""Rows 1, 2, 8 and 12: agents join, are killed, are deleted with their pods, or leave."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.agents import HEARTBEAT_S, Agents, JobWithoutOperator, holder_index, job_without_operator
from bench.api_server import (
    JOBS,
    LEASES,
    PODS,
    WITHIN_S,
    ApiServer,
    agent_leases_of,
    lease_creations,
)
from bench.operator_process import job_manifest, operator, running_status
from bench.restarts import ms
from bench.results import Figure
from bench.stub_workers import LINE, StartLog
from dev.wait import wait_until

from elasticjob.wire.lease import parse_round
from elasticjob.wire.names import LABEL_JOB, pod_name, round_lease_name

AGENTS = 8
D_S = 3 * HEARTBEAT_S
LEAVING_AGENTS = 32
SIGNALLED = ".signalled"
SIGNALLED_WORKER = (
    f"trap '{LINE} >> \"$BENCH_FILE{SIGNALLED}\"; exit 0' TERM; "
    f'{LINE} >> "$BENCH_FILE"; sleep 900 & wait'
)
"""Also writes a line when it receives SIGTERM."""


def joining(server: ApiServer, samples: int, archive: Path, root: Path) -> Iterator[Figure]:
    """Measure the time from just before the fork until the agent's Lease has reached a watch."""
    found = []
    with (
        job_without_operator(server, "joining", samples, archive, root) as job,
        lease_creations(server.client, LEASES, agent_leases_of(job.name)) as joined,
    ):
        for index in range(samples):
            time.sleep(0.5)
            at = job.agents.start(index)
            found.append(joined.wait(index + 1)[pod_name(job.name, index, 0)] - at)
    yield Figure("8", "agent: exec -> joined", "ms", ms(found), target=250.0)


def killed_agents(server: ApiServer, samples: int, archive: Path, root: Path) -> Iterator[Figure]:
    """Kill one agent after the other of one job, at last the holder; there is no operator."""
    with job_without_operator(server, "killed-agents", AGENTS, archive, root) as job:
        job.start()
        alive = set(range(AGENTS))
        found = [kill_agent(job, alive, holder=False) for _ in range(samples)]
        yield Figure(
            "2", f"agent killed -> survivors of {AGENTS} in the next round", "s",
            tuple(found), target=D_S + 1, note=f"D = 3T = {D_S:.0f} s",
        )  # fmt: skip
        yield Figure(
            "2", "the same, the holder killed", "s", (kill_agent(job, alive, holder=True),),
            note="another agent claims after three beats without a pulse",
        )  # fmt: skip


def kill_agent(job: JobWithoutOperator, alive: set[int], holder: bool) -> float:
    """Return the seconds until all other agents run without it."""
    # every agent has reported `running`; the kill falls into a random moment of a beat
    time.sleep((2 + random.random()) * HEARTBEAT_S)
    holds = holder_index(job.lease)
    index = holds if holder else min(alive - {holds})
    alive.remove(index)
    at = time.time()
    os.kill(job.agents.pid(index), signal.SIGKILL)
    return job.agents.starts.last(len(alive), at)


def leaving(server: ApiServer, samples: int, archive: Path, root: Path) -> Iterator[Figure]:
    """Send SIGTERM to one agent after the other; every worker of the job must receive one."""
    with job_without_operator(server, "leaving", LEAVING_AGENTS, archive, root) as job:
        job.agents.worker = SIGNALLED_WORKER
        signalled = StartLog(Path(f"{job.agents.starts.file}{SIGNALLED}"))
        job.start()
        alive = set(range(LEAVING_AGENTS))
        found = [leave(job, signalled, alive) for _ in range(samples)]
    yield Figure(
        "12", f"SIGTERM to one agent -> the last of {LEAVING_AGENTS} workers has its SIGTERM",
        "ms", ms(found), target=300.0, note=f"one agent fewer with each of the {samples}",
    )  # fmt: skip


def leave(job: JobWithoutOperator, signalled: StartLog, alive: set[int]) -> float:
    """Return the seconds until every worker, also the leaving agent's, has its SIGTERM."""
    time.sleep(4)
    index, count = random.choice(sorted(alive)), len(alive)
    alive.remove(index)
    pid = job.agents.pid(index)
    at = time.time()
    os.kill(pid, signal.SIGTERM)
    last = signalled.last(count, at)
    job.agents.starts.wait(len(alive), at)
    return last


def with_operator(server: ApiServer, samples: int, archive: Path, root: Path) -> Iterator[Figure]:
    """Measure a new job per sample, because later failures of a job are delayed by design."""
    with operator(server, root / "operator.log"):
        crashed, lost = [], []
        for sample in range(samples):
            with job_with_operator(server, f"crash-{sample}", archive, root) as agents:
                time.sleep(1)
                crashed.append(agents.kill_worker(AGENTS))
            with job_with_operator(server, f"loss-{sample}", archive, root) as agents:
                lost.append(delete_pod(server, agents))
    yield Figure(
        "1", f"with the operator: worker killed -> all {AGENTS} of the next round started", "ms",
        ms(crashed), target=50.0, size=AGENTS, note="all other rows here have no operator (row 10)",
    )  # fmt: skip
    yield Figure(
        "2", f"pod killed and deleted -> survivors of {AGENTS} in the next round", "s", tuple(lost),
        target=1.0, note="from the DELETE of the pod; its agent was killed just before",
    )  # fmt: skip


@contextmanager
def job_with_operator(server: ApiServer, name: str, archive: Path, root: Path) -> Iterator[Agents]:
    """Create an ElasticJob whose pods are processes of this machine; all workers run."""
    uid = server.create(JOBS, job_manifest(name, AGENTS, minReplicas=1))["metadata"]["uid"]
    selector = f"{LABEL_JOB}={name}"

    def created() -> bool:
        return len(server.client.get(PODS, labelSelector=selector).names) == AGENTS

    wait_until(created, what="the pods", within_s=WITHIN_S, every_s=0.05)
    agents = Agents(server, name, uid, archive, root / name)
    try:
        began = time.time()
        for index in range(AGENTS):
            path = f"{PODS}/{pod_name(name, index, 0)}/status"
            pod = server.client.patch(path, running_status(index)).accepted()
            agents.start(index, pod["metadata"]["uid"])
        agents.starts.wait(AGENTS, began)
        yield agents
    finally:
        agents.end()
        server.client.delete(f"{JOBS}/{name}")


def delete_pod(server: ApiServer, agents: Agents) -> float:
    """Delete a pod whose agent was killed; seconds until the others run without it."""
    time.sleep(2 * HEARTBEAT_S + 1)  # every agent has reported `running`
    lease = parse_round(server.client.get(f"{LEASES}/{round_lease_name(agents.job)}").body)
    holder = holder_index(lease)
    index = random.choice([other for other in range(AGENTS) if other != holder])
    os.kill(agents.pid(index), signal.SIGKILL)
    at = time.time()
    server.client.delete(f"{PODS}/{pod_name(agents.job, index, 0)}", {"gracePeriodSeconds": 0})
    return agents.starts.last(AGENTS - 1, at)
