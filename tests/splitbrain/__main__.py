"""`make split-brain`: agents as processes behind a proxy that injects faults, on a kube-apiserver.

Workers record what they do, and the checker judges these records alone. The exit code is 1 if an
invariant was violated, a job stalled, or an agent had an internal error.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import signal
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from dev.kube_client import Client
from tests.splitbrain.run import Plan, Result, run
from tests.splitbrain.sabotage import SABOTAGES

from elasticjob.controller.act.bundle import build

SHOWN = 20


def summary(plan: Plan, result: Result, server: str) -> str:
    """What is printed at the end."""
    lines = [
        f"rounds      {result.rounds} in {plan.jobs} jobs of {plan.pods} pods",
        f"workers     {result.workers}",
        f"violations  {len(result.violations)}",
        f"stalled     {', '.join(result.stalled) or 'no job'}",
        f"seed        {plan.seed}",
        f"time        {result.seconds:.0f} s, ended {datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        f"versions    Kubernetes {server}, Python {platform.python_version()}",
        f"API servers {'2, of which one lags' if result.lags else '1'}",
        "faults",
        *(f"  {count:7}  {kind}" for kind, count in sorted(result.faults.items())),
        "ends of agents, by exit code and reason",
        *(f"  {count:7}  {text}" for text, count in result.exits.most_common(SHOWN)),
    ]
    return "\n".join([*lines, *result.violations[:SHOWN]])


def progress(result: Result) -> None:
    """Print one line."""
    faults, seconds = result.faults.total(), result.seconds
    print(
        f"{seconds:6.0f} s  {result.rounds:6} rounds  {result.workers:6} workers  "
        f"{faults:5} faults of pods and lags  {len(result.violations)} violations",
        flush=True,
    )


def main() -> int:
    """Run, and print the summary."""
    parser = argparse.ArgumentParser(prog="python -m tests.splitbrain", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    parser.add_argument("--rounds", type=int, default=10_000)
    parser.add_argument("--jobs", type=int, default=3)
    parser.add_argument("--pods", type=int, default=4, help="of each job")
    parser.add_argument("--mean-ms", type=float, default=30.0, help="until a worker fails")
    parser.add_argument("--sabotage", choices=SABOTAGES, help="run agents with this error")
    parser.add_argument("--keep", type=Path, help="a new directory for records and logs")
    words = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # which ends the agents first
    plan = Plan(words.seed, words.rounds, words.jobs, words.pods, words.mean_ms)
    kubeconfig = Path(os.environ["KUBECONFIG"])
    client = Client.from_kubeconfig(kubeconfig)
    server = str(client.get("/version").body["gitVersion"])
    client.close()
    agent = build()
    if words.sabotage:
        agent = SABOTAGES[words.sabotage].apply(agent)
    print(f"seed {plan.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="elasticjob-split-") as temporary:
        root = words.keep or Path(temporary)
        root.mkdir(parents=True, exist_ok=True)
        result = run(plan, kubeconfig, agent, root, progress)
    print(summary(plan, result, server))
    return int(result.has_failed)


if __name__ == "__main__":
    sys.exit(main())
