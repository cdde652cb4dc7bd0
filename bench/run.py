"""`make bench`: measure the figures of the README on the local mode of this machine.

API server, kubelet, operator, agents and workers share the machine's cores. Each figure is
median [min-max] with its N; torchrun restarts the same stub workers in the same run.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from bench.api_server import agent_leases_of, lease_creations
from bench.baselines import torchrun_job
from bench.operator_process import job_manifest
from bench.results import spread
from bench.stub_workers import StartLog
from dev import proc
from dev.kube_client import Client, Json
from dev.local_mode import local_mode
from dev.wait import wait_until

from elasticjob.wire.lease import LEASE_API
from elasticjob.wire.names import API_VERSION, LABEL_JOB, PLURAL

WITHIN_S = 90.0
JOBS = f"/apis/{API_VERSION}/namespaces/default/{PLURAL}"
PODS = "/api/v1/namespaces/default/pods"
LEASES = f"/apis/{LEASE_API}/namespaces/default/leases"


class LocalMode:
    """The running local mode."""

    def __init__(self, kubeconfig: Path, root: Path) -> None:
        self.client, self.root = Client.from_kubeconfig(kubeconfig), root

    @contextmanager
    def job(self, name: str, replicas: int, **spec: object) -> Iterator[tuple[StartLog, float]]:
        """Run a job of stub workers; gives their starts and the wall time before its creation."""
        starts = StartLog(self.root / name)
        manifest = job_manifest(name, replicas, starts.file, **spec)
        at = time.time()
        self.client.post(JOBS, manifest).accepted()
        starts.wait(replicas, at)
        yield starts, at
        self.client.delete(f"{JOBS}/{name}").accepted()
        wait_until(lambda: not self.pods(name), what=f"the end of {name}", within_s=WITHIN_S)

    def pods(self, job: str) -> list[Json]:
        """The job's pods."""
        items: list[Json] = self.client.get(PODS, labelSelector=f"{LABEL_JOB}={job}").body["items"]
        return items

    def agent_pid(self, job: str) -> int:
        """The agent of the job's only pod."""
        (pod,) = self.pods(job)
        found = proc.with_environment(ELASTICJOB_POD_UID=pod["metadata"]["uid"])
        return next(pid for pid in found if "-S" in proc.command_line(pid)[:4])

    def operator_pid(self) -> int:
        """The operator's pid: it runs as a pod of the local mode."""
        kubeconfig = f"{self.root}/"
        return next(
            pid
            for pid in proc.pids()
            if "elasticjob.controller" in (words := proc.command_line(pid))
            and any(word.startswith(kubeconfig) for word in words)
        )


def report(label: str, text: str) -> None:
    """Print one row."""
    print(f"{label:<62} {text}", flush=True)


def restart_s(local: LocalMode, agents: int, samples: int) -> tuple[float, ...]:
    """Return the times from kill -9 of one worker until all of the next round were exec'd.

    Each sample has a new job, because later failures of a job are delayed by design.
    """
    found = []
    for sample in range(samples):
        with local.job(f"restart-{agents}-{sample}", agents, crashGraceSeconds=1) as (starts, _):
            time.sleep(0.5)
            pid = random.choice(starts.newest(0)).pid
            at = time.time()
            os.kill(pid, signal.SIGKILL)
            found.append(starts.last(agents, at))
    return tuple(found)


def start_s(local: LocalMode, agents: int, samples: int) -> tuple[float, ...]:
    """Return the times from a job's creation until all its workers were exec'd."""
    found = []
    for sample in range(samples):
        with local.job(f"start-{agents}-{sample}", agents) as (starts, at):
            found.append(starts.last(agents, at))
    return tuple(found)


def join(local: LocalMode, samples: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the times from an agent's fork to its Lease, and its RSS in MiB a second later."""
    joined, memory = [], []
    for sample in range(samples):
        name = f"join{sample}"
        with (
            lease_creations(local.client, LEASES, agent_leases_of(name)) as leases,
            local.job(name, 1),
        ):
            (created_at,) = leases.wait(1).values()
            pid = local.agent_pid(name)
            joined.append(created_at - (time.time() - proc.age_s(pid)))
            time.sleep(1)
            memory.append(proc.rss_mib(pid))
    return tuple(joined), tuple(memory)


def idle_operator(local: LocalMode, jobs: int, seconds: float) -> tuple[float, float]:
    """Return the operator's share of a core, and its RSS in MiB, with running jobs of one pod."""
    pid = local.operator_pid()
    with ExitStack() as stack:
        for number in range(jobs):
            stack.enter_context(local.job(f"idle-{number}", 1))
        time.sleep(5)
        before, at = proc.cpu_s(pid), time.monotonic()
        time.sleep(seconds)
        return (proc.cpu_s(pid) - before) / (time.monotonic() - at), proc.rss_mib(pid)


def figures(samples: int, sizes: list[int], python: str | None, root: Path) -> None:
    """Measure all figures and print each at once."""
    with local_mode(root) as kubeconfig:
        local = LocalMode(kubeconfig, root)
        with local.job("first", 1):  # until then the operator may still be starting
            pass
        report("apply -> all workers started, 4 pods, s", spread(start_s(local, 4, samples)))
        joined, memory = join(local, samples)
        report("agent forked -> its Lease exists, s", spread(joined))
        report("agent RSS, MiB", spread(memory))
        ours = {}
        for n in sizes:
            ours[n] = restart_s(local, n, samples)
            report(f"kill -9 worker -> all {n} workers of the next round, s", spread(ours[n]))
        share, rss = idle_operator(local, 10, 20)
        report("operator, 10 running jobs: idle CPU, share of a core", f"{share:.3f} N=1")
        report("operator, 10 running jobs: RSS, MiB", f"{rss:.0f} N=1")
    if python is None:
        report("torchrun", "left out: TORCH_PYTHON is not set")
        return
    for n in [size for size in sizes if size <= 8]:
        with torchrun_job(python, n, root) as job:
            job.starts.wait(n, job.began)
            theirs = tuple(job.kill_worker() for _ in range(min(samples, 5)))
        ratio = statistics.median(theirs) / statistics.median(ours[n])
        report(f"torchrun, {n} agents: the same, s", f"{spread(theirs)}   {ratio:.0f} x ours")


def main() -> None:
    """Print where this runs, then the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=10, help="per figure (default 10)")
    parser.add_argument("--sizes", type=int, nargs="+", default=[4, 8, 32], help="agents")
    args = parser.parse_args()
    cores, load = os.cpu_count(), os.getloadavg()[0]
    print(f"local mode, Python {platform.python_version()}, {cores} cores, load {load:.1f}")
    with tempfile.TemporaryDirectory(prefix="elasticjob-bench-") as root:
        figures(args.samples, args.sizes, os.environ.get("TORCH_PYTHON"), Path(root))


if __name__ == "__main__":
    main()
