"""`make bench-cluster`: measure docs/performance.md on a real kube-apiserver and etcd.

API server, etcd, all agents and all workers share this machine's cores. The same run measures what
the results are compared with: the minimal restart, and torchrun if TORCH_PYTHON is set.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from bench.api_outage import api_outage
from bench.api_server import ApiServer
from bench.baselines import torchrun
from bench.membership import joining, killed_agents, leaving, with_operator
from bench.page import RESULTS, write
from bench.restarts import Plan, one_size
from bench.results import Figure, Part, Results, Run
from bench.scale import api_load, operator_load

from elasticjob.controller.act.bundle import build

STEADY_AT = 128
STEADY_S = 30.0
WRITES_AT = 32  # the number of writes is the same at every size; counting takes a minute
KILLS = 5
DOCS = Path(__file__).parents[1] / "docs"

Measure = Callable[[], Iterator[Figure]]


def parts(server: ApiServer, words: argparse.Namespace, root: Path) -> dict[str, Measure]:
    """Return all parts by name; first those that other load on the machine disturbs least."""
    agent = root / "agent.pyz"
    agent.write_bytes(build().data)
    found: dict[str, Measure] = {
        "killed-agents": partial(killed_agents, server, 3, agent, root),
        "operator": partial(operator_load, server, words.jobs, STEADY_S, root),
    }
    for jobs in (1, 250):
        found[f"load-{jobs}"] = partial(api_load, server, jobs, STEADY_S)
    found["with-operator"] = partial(with_operator, server, 3, agent, root)
    found["leaving"] = partial(leaving, server, 5, agent, root)
    found["joining"] = partial(joining, server, words.samples, agent, root)
    for size in words.sizes:
        steady_s = STEADY_S if size >= STEADY_AT else 0.0
        plan = Plan(words.samples, steady_s, counts_writes=size == WRITES_AT)
        found[str(size)] = partial(one_size, server, size, plan, agent, root)
    # the last part that needs the API server: it kills the process that all others measure
    found["api-outage"] = partial(api_outage, server, words.samples, words.away_s, agent, root)
    python = os.environ.get("TORCH_PYTHON", "")
    for size in words.torchrun if python else ():
        found[f"torchrun-{size}"] = partial(torchrun, python, size, KILLS, root)
    return found


def measure(name: str, part: Measure, run: Run) -> Part:
    """Measure one part and print each figure at once."""
    at, load_now, figures, failed = now(), os.getloadavg()[0], [], ""
    print(f"== {name}, load {load_now:.1f}", flush=True)
    try:
        for figure in part():
            print(figure.line, flush=True)
            figures.append(figure)
    except Exception as error:
        traceback.print_exc()
        failed = repr(error)
    return Part(at, round(load_now, 1), tuple(figures), failed, run)


def main() -> int:
    """Measure, and write the page after each part.

    Without `--only` earlier results are dropped; `--only` without a part writes the page alone.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=10, help="per figure (default 10)")
    parser.add_argument("--sizes", type=int, nargs="+", default=[8, 32, 128], help="agents")
    parser.add_argument("--torchrun", type=int, nargs="*", default=[8, 32], help="agents")
    parser.add_argument("--jobs", type=int, default=1000, help="of the operator (row 7)")
    parser.add_argument("--away-s", type=float, default=120.0, help="the outage (row 10)")
    parser.add_argument("--only", nargs="*", metavar="PART", help="keep the other parts' results")
    parser.add_argument("--docs", type=Path, default=DOCS, help="where the page is written")
    words = parser.parse_args()
    if words.only is None:
        (words.docs / RESULTS).unlink(missing_ok=True)
    results = Results(words.docs / RESULTS)
    if words.only == []:
        write(results, (), words.docs)
        return 0
    server = ApiServer(Path(os.environ["KUBECONFIG"]))
    server.install()
    with tempfile.TemporaryDirectory(prefix="elasticjob-bench-") as root:
        found = parts(server, words, Path(root))
        run = this_run(server)
        write(results, tuple(found), words.docs)
        for name in found if words.only is None else words.only:
            results.add(name, measure(name, found[name], run))
            write(results, tuple(found), words.docs)
    return 1 if any(part.failed for part in results.parts.values()) else 0


def now() -> str:
    """The current time in UTC, for readers of the page."""
    return time.strftime("%Y-%m-%d %H:%M", time.gmtime())


def this_run(server: ApiServer) -> Run:
    """The description of this machine and moment."""
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    versions = [
        f"kube-apiserver {server.version()} and its etcd",
        f"agents on Python {platform.python_version()}",
    ]
    if python := os.environ.get("TORCH_PYTHON"):
        command = [python, "-c", "import torch; print(torch.__version__)"]
        found = subprocess.run(command, capture_output=True, text=True, check=True)
        versions.append(f"torchrun of torch {found.stdout.strip()}")
    return Run(
        now(), f"{os.cpu_count()} cores ({cpu_model()}), {memory_gb:.0f} GB", ", ".join(versions)
    )


def cpu_model() -> str:
    """The CPU's name in /proc/cpuinfo."""
    rows = Path("/proc/cpuinfo").read_text().splitlines()
    return next((row.split(": ")[1] for row in rows if row.startswith("model name")), "unknown")


if __name__ == "__main__":
    sys.exit(main())
