"""Rows 1, 3 and 8 for torchrun: the same stub workers on the same cores, its own c10d store."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from bench import torchrun
from bench.figure import Figure
from bench.lab import rss_mib
from bench.ledger import Ledger


def yardstick(python: str, agents: int, kills: int, root: Path) -> Iterator[Figure]:
    """One job of torchrun agents, from their exec to some restarts."""
    home = root / f"torchrun-{agents}"
    home.mkdir()
    ledger = Ledger(home / "lines")
    began = time.time()
    processes = torchrun.start(python, agents, ledger.file, home)
    try:
        first = max(line.at for line in ledger.wait(agents, began)) - began
        yield Figure(
            "3", f"torchrun, {agents} agents: first exec -> last worker exec'd", "s", (first,),
            size=agents,
        )  # fmt: skip
        time.sleep(3)
        memory = tuple(rss_mib(process.pid) for process in processes)
        yield Figure("8", f"torchrun agent: RSS, {agents} agents", "MiB", memory)
        found = tuple(kill(ledger, agents, began) * 1000 for _ in range(kills))
        yield Figure(
            "1", f"torchrun: worker killed -> all {agents} of the next round started", "ms", found,
            series="torchrun", size=agents,
        )  # fmt: skip
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(60)


def kill(ledger: Ledger, agents: int, began: float) -> float:
    """Seconds from the kill of one worker until all were started anew."""
    time.sleep(1.0)
    victim = random.choice(ledger.newest(began))
    at = time.time()
    os.kill(victim.pid, signal.SIGKILL)
    return max(line.at for line in ledger.wait(agents, at)) - at
