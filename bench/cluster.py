"""`make bench-cluster`: the figures of the design on a real kube-apiserver and etcd.

API server, etcd, all agents and all workers share this machine's cores. The yardsticks are measured
in the same run: the floor, and torchrun where TORCH_PYTHON names an interpreter that has it.
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

from bench.api_away import api_away
from bench.figure import Figure
from bench.fleet import fleet
from bench.joining import joining
from bench.leaving import leaving
from bench.load import load
from bench.page import RESULTS, write
from bench.pod_events import pod_events
from bench.results import Part, Results, Run
from bench.silence import silence
from bench.site import Site
from bench.sizes import Plan, one_size
from bench.yardstick import yardstick

from elasticjob.controller.act.bundle import build

STEADY_AT = 128
STEADY_S = 30.0
WRITES_AT = 32  # the same number at every size; it takes a minute
KILLS = 5
DOCS = Path(__file__).parents[1] / "docs"

Measure = Callable[[], Iterator[Figure]]


def parts(site: Site, words: argparse.Namespace, root: Path) -> dict[str, Measure]:
    """What can be measured, by name; first what other load on the machine disturbs least."""
    agent = root / "agent.pyz"
    agent.write_bytes(build().data)
    found: dict[str, Measure] = {
        "silence": partial(silence, site, 3, agent, root),
        "fleet": partial(fleet, site, words.jobs, STEADY_S, root),
    }
    for jobs in (1, 250):
        found[f"load-{jobs}"] = partial(load, site, jobs, STEADY_S)
    found["pod-events"] = partial(pod_events, site, 3, agent, root)
    found["leaving"] = partial(leaving, site, 5, agent, root)
    found["joining"] = partial(joining, site, words.samples, agent, root)
    for size in words.sizes:
        steady_s = STEADY_S if size >= STEADY_AT else 0.0
        plan = Plan(words.samples, steady_s, counts_writes=size == WRITES_AT)
        found[str(size)] = partial(one_size, site, size, plan, agent, root)
    # the last that needs the API server: it ends the process that all others have measured
    found["api-away"] = partial(api_away, site, words.samples, words.away_s, agent, root)
    python = os.environ.get("TORCH_PYTHON", "")
    for size in words.torchrun if python else ():
        found[f"torchrun-{size}"] = partial(yardstick, python, size, KILLS, root)
    return found


def measure(name: str, part: Measure, run: Run) -> Part:
    """One part, each figure printed as soon as it is there."""
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
    """Measures, and writes the page anew after each part; `--only` without a part: the page.

    Without `--only` nothing of earlier runs is kept.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=10, help="per figure (default 10)")
    parser.add_argument("--sizes", type=int, nargs="+", default=[8, 32, 128], help="agents")
    parser.add_argument("--torchrun", type=int, nargs="*", default=[8, 32], help="agents")
    parser.add_argument("--jobs", type=int, default=1000, help="of the operator")
    parser.add_argument("--away-s", type=float, default=120.0, help="of the API server (row 10)")
    parser.add_argument("--only", nargs="*", metavar="PART", help="keep the others")
    words = parser.parse_args()
    if words.only is None:
        (DOCS / RESULTS).unlink(missing_ok=True)
    results = Results(DOCS / RESULTS)
    site = Site(Path(os.environ["KUBECONFIG"]))
    site.install()
    with tempfile.TemporaryDirectory(prefix="elasticjob-bench-") as root:
        found = parts(site, words, Path(root))
        run = this_run(site)
        write(results, tuple(found), DOCS)
        for name in found if words.only is None else words.only:
            results.note(name, measure(name, found[name], run))
            write(results, tuple(found), DOCS)
    return 1 if any(part.failed for part in results.parts.values()) else 0


def now() -> str:
    """For people."""
    return time.strftime("%Y-%m-%d %H:%M", time.gmtime())


def this_run(site: Site) -> Run:
    """What the page says of this machine and moment."""
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    versions = [
        f"kube-apiserver {site.version()} and its etcd",
        f"agents on Python {platform.python_version()}",
    ]
    if python := os.environ.get("TORCH_PYTHON"):
        ask = [python, "-c", "import torch; print(torch.__version__)"]
        found = subprocess.run(ask, capture_output=True, text=True, check=True)
        versions.append(f"torchrun of torch {found.stdout.strip()}")
    return Run(
        now(),
        f"{os.cpu_count()} cores ({cpu_model()}), {memory_gb:.0f} GB",
        ", ".join(versions),
    )


def cpu_model() -> str:
    """As the kernel names it."""
    rows = Path("/proc/cpuinfo").read_text().splitlines()
    return next((row.split(": ")[1] for row in rows if row.startswith("model name")), "unknown")


if __name__ == "__main__":
    sys.exit(main())
