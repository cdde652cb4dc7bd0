"""The figures that README and docs quote, on the local mode of this machine.

Everything shares the machine's cores: server, kubelet, operator, agents, workers. Each figure is
median [min-max] with its N; torchrun does the same in the same run, with the same stub workers.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import random
import signal
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from bench import torchrun
from bench.lab import Lab, age_s, agent_of, cpu_s, lab, rss_mib

from elasticjob.local.api.objects import builtins


def spread(values: list[float], digits: int = 3) -> str:
    """Median [min-max], N."""
    low, mid, high = min(values), statistics.median(values), max(values)
    return f"{mid:.{digits}f} [{low:.{digits}f}-{high:.{digits}f}] N={len(values)}"


def say(label: str, text: str) -> None:
    """One row."""
    print(f"{label:<62} {text}", flush=True)


async def restart(lab_: Lab, agents: int, samples: int) -> list[float]:
    """kill -9 of one worker -> all workers of the next round exec'd.

    A fresh job per sample, because a job's later failures are delayed by design.
    """
    found = []
    for sample in range(samples):
        name = f"restart-{agents}-{sample}"
        began = lab_.apply(name, agents, crashGraceSeconds=1)
        lines = await lab_.workers_of(name, agents, began)
        await asyncio.sleep(0.5)
        at = time.time()
        os.kill(random.choice(lines).pid, signal.SIGKILL)
        again = await lab_.workers_of(name, agents, at)
        found.append(max(line.at for line in again) - at)
        lab_.delete(name)
        await lab_.gone(name)
    return found


async def start(lab_: Lab, agents: int, samples: int) -> list[float]:
    """apply -> all workers exec'd, of a job of so many pods."""
    found = []
    for sample in range(samples):
        name = f"start-{agents}-{sample}"
        began = lab_.apply(name, agents)
        lines = await lab_.workers_of(name, agents, began)
        found.append(max(line.at for line in lines) - began)
        lab_.delete(name)
        await lab_.gone(name)
    return found


async def join(lab_: Lab, samples: int) -> tuple[list[float], list[float]]:
    """Agent forked -> its Lease exists, one agent at a time; and its RSS a second later."""
    joined: list[float] = []
    memory: list[float] = []

    def heard(resource: object, event: object) -> None:
        if resource is builtins.LEASES and getattr(event, "type", "") == "ADDED":
            meta = event.object["metadata"]  # type: ignore[attr-defined]
            pods = [p["metadata"] for p in lab_.pods(meta["name"].rsplit("-", 2)[0])]
            joined.extend(age_s(agent_of(p["uid"])) for p in pods if p["name"] == meta["name"])

    lab_.server.store.listeners.append(heard)
    for sample in range(samples):
        name = f"join{sample}"
        began = lab_.apply(name, 1)
        await lab_.workers_of(name, 1, began)
        await asyncio.sleep(1)
        memory.append(rss_mib(agent_of(lab_.pods(name)[0]["metadata"]["uid"])))
        lab_.delete(name)
        await lab_.gone(name)
    lab_.server.store.listeners.remove(heard)
    return joined, memory


async def operator_idle(lab_: Lab, jobs: int, seconds: float) -> tuple[float, float]:
    """CPU share of a core and RSS in MiB of the operator with running jobs of one pod."""
    for i in range(jobs):
        began = lab_.apply(f"idle-{i}", 1)
        await lab_.workers_of(f"idle-{i}", 1, began)
    await asyncio.sleep(5)
    before, at = cpu_s(lab_.operator_pid), time.monotonic()
    await asyncio.sleep(seconds)
    share = (cpu_s(lab_.operator_pid) - before) / (time.monotonic() - at)
    memory = rss_mib(lab_.operator_pid)
    for i in range(jobs):
        lab_.delete(f"idle-{i}")
        await lab_.gone(f"idle-{i}")
    return share, memory


async def figures(samples: int, sizes: list[int], python: str | None) -> None:
    """All of them, printed as they are found."""
    async with lab() as lab_:
        say("apply -> all workers started, 4 pods, s", spread(await start(lab_, 4, samples)))
        joined, memory = await join(lab_, samples)
        say("agent forked -> its Lease exists, s", spread(joined))
        say("agent RSS, MiB", spread(memory, 1))
        ours = {}
        for n in sizes:
            ours[n] = await restart(lab_, n, samples)
            say(f"kill -9 worker -> all {n} workers of the next round, s", spread(ours[n]))
        share, rss = await operator_idle(lab_, 10, 20)
        say("operator, 10 running jobs: idle CPU, share of a core", f"{share:.3f} N=1")
        say("operator, 10 running jobs: RSS, MiB", f"{rss:.0f} N=1")
    if python is None:
        say("torchrun", "left out: TORCH_PYTHON is not set")
        return
    for n in [size for size in sizes if size <= 8]:
        theirs = await torchrun.restarts(python, n, min(samples, 5))
        ratio = statistics.median(theirs) / statistics.median(ours[n])
        say(f"torchrun, {n} agents: the same, s", f"{spread(theirs)}   {ratio:.0f} x ours")


def main() -> None:
    """Prints where it ran, then the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=10, help="per figure (default 10)")
    parser.add_argument("--sizes", type=int, nargs="+", default=[4, 8, 32], help="agents")
    args = parser.parse_args()
    cores, load = os.cpu_count(), os.getloadavg()[0]
    print(f"local mode, Python {platform.python_version()}, {cores} cores, load {load:.1f}")
    asyncio.run(figures(args.samples, args.sizes, os.environ.get("TORCH_PYTHON")))


if __name__ == "__main__":
    main()
